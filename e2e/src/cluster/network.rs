//! Addresses of one test cluster. Decides nothing else, and asks nobody.

use std::net::Ipv4Addr;

/// How many clusters one machine can have at the same time.
pub const SLOTS: u8 = 4;

/// All addresses of a cluster lie in a `10.x.0.0/16` of its own, so that several can run beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    slot: u8,
}

impl Network {
    /// The network of a slot below [`SLOTS`].
    pub fn new(slot: u8) -> Self {
        Self { slot }
    }

    /// Its slot.
    pub fn slot(self) -> u8 {
        self.slot
    }

    /// Name of the cluster on this machine: its interface, its cgroup and its folder are called so.
    pub fn name(self) -> String {
        format!("millrace-{}", self.slot)
    }

    /// First two parts of every address: `10.240`.
    pub fn prefix(self) -> String {
        format!("10.{}", self.second())
    }

    /// The host as the cluster sees it: pods reach there what listens on this machine.
    pub fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second(), 255, 1)
    }

    /// The cluster's one node: kubelet, the API server and everything else that is no pod.
    pub fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second(), 255, 2)
    }

    /// Where pods get their addresses from.
    pub fn pods(self) -> String {
        format!("{}.0.0/24", self.prefix())
    }

    /// Where Services get their addresses from.
    pub fn services(self) -> String {
        format!("{}.128.0/18", self.prefix())
    }

    /// Address of the Service `kubernetes`: the first of its range, as the API server has it.
    pub fn api_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second(), 128, 1)
    }

    /// Address of the Service `kube-dns`.
    pub fn dns(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second(), 128, 10)
    }

    /// Fills in a file of `e2e/cluster/conf`.
    pub fn fill_in(self, template: &str) -> String {
        template
            .replace("@NAME@", &self.name())
            .replace("@NODE@", &self.node().to_string())
            .replace("@DNS@", &self.dns().to_string())
            .replace("@PODS@", &self.pods())
    }

    fn second(self) -> u8 {
        240 + self.slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_beside_each_other_share_no_address() {
        let networks: Vec<String> = (0..SLOTS).map(|slot| Network::new(slot).prefix()).collect();
        assert_eq!(networks, ["10.240", "10.241", "10.242", "10.243"]);
    }

    #[test]
    fn templates_leave_no_placeholder() {
        let network = Network::new(1);
        for template in [
            include_str!("../../cluster/conf/kubelet.yaml"),
            include_str!("../../cluster/conf/network.conflist"),
            include_str!("../../cluster/conf/setup.yaml"),
            include_str!("../../cluster/conf/Corefile"),
        ] {
            let text = network.fill_in(template);
            assert!(!text.contains('@'), "{text}");
        }
    }
}
