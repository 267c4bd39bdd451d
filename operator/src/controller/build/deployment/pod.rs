//! One runner's pod. It fits the Pod Security profile `restricted`.

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, LocalObjectReference,
    ObjectFieldSelector, PodAffinity, PodAffinityTerm, PodSecurityContext, PodSpec, Probe, ResourceRequirements,
    SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use millrace_plan::Resources;

use super::volumes::{self, CONFIG_MAPS_DIR, PLAN_DIR, SECRETS_DIR, STATE_DIR};
use super::{ADMIN, ADMIN_PORT, Blueprint, labels, names};
use crate::controller::build::config_map::FILE;

/// The user and group of the image.
const USER: i64 = 65532;
/// Where a runner leaves its last words, for the status.
const LAST_WORDS: &str = "/dev/termination-log";
/// Longer than a commit takes at its worst: a runner that is killed has its work done again by another.
const GRACE_SECONDS: i64 = 60;

pub(super) fn build(blueprint: &Blueprint, plan: &str) -> PodSpec {
    let one_node = blueprint
        .plan
        .workload
        .storage
        .as_ref()
        .is_some_and(|storage| storage.one_node);
    PodSpec {
        service_account_name: Some(names::runners(&blueprint.key.name)),
        automount_service_account_token: Some(false),
        // The addresses of a namespace's Services as environment variables help no runner.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        affinity: one_node.then(|| together(blueprint)),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        // Where there are none the field stays away: an empty list would be another template of every pipeline.
        image_pull_secrets: (!blueprint.pull_secrets.is_empty()).then(|| pull_secrets(blueprint)),
        containers: vec![container(blueprint)],
        volumes: Some(volumes::volumes(blueprint, plan)),
        ..PodSpec::default()
    }
}

fn pull_secrets(blueprint: &Blueprint) -> Vec<LocalObjectReference> {
    let secrets = blueprint.pull_secrets.iter();
    secrets
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect()
}

/// All runners on the node that has the claim: no other can mount it.
fn together(blueprint: &Blueprint) -> Affinity {
    Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                label_selector: Some(LabelSelector {
                    match_labels: Some(labels::selector(blueprint.key)),
                    ..LabelSelector::default()
                }),
                topology_key: "kubernetes.io/hostname".to_owned(),
                ..PodAffinityTerm::default()
            }]),
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn container(blueprint: &Blueprint) -> Container {
    let workload = &blueprint.plan.workload;
    Container {
        name: "runner".to_owned(),
        image: Some(blueprint.image.to_owned()),
        image_pull_policy: Some(blueprint.pull_policy.to_owned()),
        args: Some(arguments(blueprint)),
        env: Some(vec![runner_id()]),
        ports: Some(vec![ContainerPort {
            name: Some(ADMIN.to_owned()),
            container_port: ADMIN_PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // Recovery reads checkpoints before the process answers.
        startup_probe: Some(probe("/healthz", 2, 150)),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        readiness_probe: Some(probe("/readyz", 2, 3)),
        resources: Some(ResourceRequirements {
            requests: quantities(&workload.requests),
            limits: quantities(&workload.limits),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        termination_message_path: Some(LAST_WORDS.to_owned()),
        volume_mounts: Some(volumes::mounts(blueprint)),
        ..Container::default()
    }
}

fn arguments(blueprint: &Blueprint) -> Vec<String> {
    let plan = format!("{PLAN_DIR}/{FILE}");
    let arguments = [
        ("--plan", plan.as_str()),
        ("--state-dir", STATE_DIR),
        ("--secrets-dir", SECRETS_DIR),
        ("--termination-log", LAST_WORDS),
    ];
    // Runners without tables do not start anew when a version of ours learns of this.
    let tables = volumes::has_tables(blueprint).then_some(("--config-maps-dir", CONFIG_MAPS_DIR));
    let arguments = arguments.into_iter().chain(tables);
    arguments.map(|(name, value)| format!("{name}={value}")).collect()
}

/// The pod's name: the same after a restart of the container, and nobody else's.
fn runner_id() -> EnvVar {
    EnvVar {
        name: "MILLRACE_RUNNER_ID".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

fn quantities(resources: &Resources) -> Option<std::collections::BTreeMap<String, Quantity>> {
    let amounts = [("cpu", &resources.cpu), ("memory", &resources.memory)];
    let set = amounts
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount.clone()?))));
    let set: std::collections::BTreeMap<_, _> = set.collect();
    (!set.is_empty()).then_some(set)
}
