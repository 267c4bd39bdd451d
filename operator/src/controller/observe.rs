//! Says whom to ask about an object: its broker and its runners. Asks nobody itself.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::build::labels;
use super::context::Context;
use super::dereference::{Found, exists};
use super::memory::Checked;
use crate::observe::{RunnerAddress, Subject};

const ADMIN_PORT: u16 = 9464;

/// Tells `Observations` what there is to observe. With a broken spec, what was observed goes on being observed.
pub fn observe(context: &Context, found: &Found, checked: &Checked) {
    let key = &found.declared.key;
    if found.declared.being_deleted {
        context.observations.forget(key);
        return;
    }
    let Ok(plan) = checked else { return };
    let mut runners: Vec<_> = found.pods.iter().filter_map(|pod| address(pod)).collect();
    runners.sort();
    context.observations.watch(Subject {
        key: key.clone(),
        uid: found.declared.uid.clone(),
        plan: plan.clone(),
        runners,
    });
}

fn address(pod: &Pod) -> Option<RunnerAddress> {
    let ip = pod.status.as_ref()?.pod_ip.as_deref()?;
    let address = match ip.contains(':') {
        true => format!("[{ip}]:{ADMIN_PORT}"),
        false => format!("{ip}:{ADMIN_PORT}"),
    };
    let is_runner = exists(pod) && pod.labels().contains_key(labels::TEMPLATE);
    is_runner.then(|| RunnerAddress {
        pod: pod.name_any(),
        address,
    })
}
