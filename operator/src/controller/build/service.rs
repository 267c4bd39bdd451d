//! The runners' addresses, for whoever scrapes their metrics. It has no address of its own: nothing sends records to it.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::deployment::{ADMIN, ADMIN_PORT};
use super::{Blueprint, labels, metadata, names};

pub(super) fn build(blueprint: &Blueprint) -> Service {
    Service {
        metadata: metadata(blueprint, names::runners(&blueprint.key.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels::selector(blueprint.key)),
            // A runner that is not ready has metrics that say why.
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![ServicePort {
                name: Some(ADMIN.to_owned()),
                port: ADMIN_PORT,
                target_port: Some(IntOrString::String(ADMIN.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
