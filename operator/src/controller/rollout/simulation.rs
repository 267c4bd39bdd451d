//! Random changes of the spec against a small model of the Deployment controller, seen through a cache that lags. The
//! claim: pods of two templates never exist at once, and when changes end, the wanted runners are there.
//!
//! The model knows what the claim hangs on: controllers act on what they saw last, pods take their time to leave, and a
//! write that was decided on an old Deployment is refused (`resourceVersion`).

use proptest::prelude::*;

use super::{Live, Step, Wanted, decide};

#[derive(Clone, Debug, Default)]
struct Deployment {
    version: u64,
    template: u8,
    runners: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pod {
    template: u8,
    leaving: bool,
}

#[derive(Debug, Default)]
struct World {
    wanted: (u8, i32),
    /// Writes so far: no two versions are the same.
    writes: u64,
    deployment: Option<Deployment>,
    pods: Vec<Pod>,
    /// What the Deployment controller saw last: the version, and what it would do.
    controller: Option<Deployment>,
    /// What the operator's cache holds.
    cached: Option<Deployment>,
    cached_pods: Vec<Pod>,
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Spec(u8, i32),
    Cache,
    CachePods,
    ControllerSees,
    ControllerActs,
    PodLeaves,
    PodFails,
    DeploymentDeleted,
    Reconcile,
}

impl World {
    fn happens(&mut self, event: Happens) {
        match event {
            Happens::Spec(template, runners) => self.wanted = (template, runners),
            Happens::Cache => self.cached = self.deployment.clone(),
            Happens::CachePods => self.cached_pods = self.pods.clone(),
            Happens::ControllerSees => self.controller = self.deployment.clone(),
            Happens::ControllerActs => self.controller_acts(),
            Happens::PodLeaves => self.pods.retain(|pod| !pod.leaving),
            Happens::PodFails => self.pods.truncate(self.pods.len().saturating_sub(1)),
            Happens::DeploymentDeleted => self.deployment = None,
            Happens::Reconcile => self.reconcile(),
        }
    }

    /// Starts and stops pods as the Deployment that it saw says; its own template's only.
    fn controller_acts(&mut self) {
        let Some(seen) = self.controller.clone() else {
            self.pods.iter_mut().for_each(|pod| pod.leaving = true);
            return;
        };
        let of_template = |pod: &&mut Pod| pod.template == seen.template && !pod.leaving;
        let have = self.pods.iter_mut().filter(of_template).count() as i32;
        for _ in have..seen.runners {
            self.pods.push(Pod {
                template: seen.template,
                leaving: false,
            });
        }
        let surplus = usize::try_from(have - seen.runners).unwrap_or_default();
        self.pods
            .iter_mut()
            .filter(of_template)
            .take(surplus)
            .for_each(|pod| pod.leaving = true);
    }

    fn reconcile(&mut self) {
        let (template, runners) = self.wanted;
        let live = self.cached.as_ref().map(|cached| Live {
            template: Some(cached.template.to_string()),
            runners: cached.runners,
            going: false,
        });
        let wanted = Wanted::Runners {
            template: template.to_string(),
            runners,
        };
        let strangers = self.cached_pods.iter().any(|pod| pod.template != template);
        match decide(live.as_ref(), strangers, &wanted) {
            Step::Drain => self.write(|deployment| deployment.runners = 0),
            // Only with the certainty that the real thing asks the API server for.
            Step::Create | Step::Replace if !self.drained(template) => {}
            Step::Create if self.deployment.is_none() => {
                self.writes += 1;
                self.deployment = Some(Deployment {
                    version: self.writes,
                    template,
                    runners,
                });
            }
            Step::Replace | Step::Keep | Step::Scale | Step::Suspend | Step::Resume => {
                self.write(|deployment| (deployment.template, deployment.runners) = (template, runners));
            }
            Step::Create | Step::AwaitDrained | Step::Leave => {}
        }
    }

    /// No pod of another template, and nobody who would still start one.
    fn drained(&self, template: u8) -> bool {
        let starts_strangers = |seen: &Deployment| seen.template != template && seen.runners > 0;
        !self.controller.as_ref().is_some_and(starts_strangers) && self.pods.iter().all(|pod| pod.template == template)
    }

    fn write(&mut self, change: impl FnOnce(&mut Deployment)) {
        if let (Some(deployment), Some(cached)) = (&mut self.deployment, &self.cached)
            && deployment.version == cached.version
        {
            change(deployment);
            self.writes += 1;
            deployment.version = self.writes;
        }
    }

    fn templates(&self) -> std::collections::BTreeSet<u8> {
        self.pods.iter().map(|pod| pod.template).collect()
    }
}

fn event() -> impl Strategy<Value = Happens> {
    prop_oneof![
        1 => (0..3_u8, 0..3_i32).prop_map(|(template, runners)| Happens::Spec(template, runners)),
        3 => Just(Happens::Cache),
        3 => Just(Happens::CachePods),
        3 => Just(Happens::ControllerSees),
        3 => Just(Happens::ControllerActs),
        2 => Just(Happens::PodLeaves),
        1 => Just(Happens::PodFails),
        1 => Just(Happens::DeploymentDeleted),
        4 => Just(Happens::Reconcile),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pods_of_two_templates_never_exist_at_once(events in prop::collection::vec(event(), 0..120)) {
        let mut world = World::default();
        for event in events {
            world.happens(event);
            prop_assert!(world.templates().len() <= 1, "{event:?} led to {world:?}");
        }
        for _ in 0..12 {
            for event in [
                Happens::ControllerSees, Happens::ControllerActs, Happens::PodLeaves,
                Happens::Cache, Happens::CachePods, Happens::Reconcile,
            ] {
                world.happens(event);
                prop_assert!(world.templates().len() <= 1, "{event:?} led to {world:?}");
            }
        }
        let (template, runners) = world.wanted;
        prop_assert_eq!(world.pods.len() as i32, runners);
        prop_assert!(world.pods.iter().all(|pod| pod.template == template && !pod.leaving));
    }
}

/// The control: the model does let both exist at once when nobody waits.
#[test]
fn without_waiting_both_would_exist() {
    let mut world = World {
        wanted: (0, 1),
        ..World::default()
    };
    for event in [
        Happens::Reconcile,
        Happens::ControllerSees,
        Happens::ControllerActs,
        Happens::Cache,
    ] {
        world.happens(event);
    }
    world.write(|deployment| deployment.template = 1);
    world.happens(Happens::ControllerSees);
    world.happens(Happens::ControllerActs);
    assert_eq!(world.templates().len(), 2);
}
