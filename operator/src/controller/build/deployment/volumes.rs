//! What a runner's pod mounts: its plan, its checkpoints, the Secrets and ConfigMaps that the spec names, and a place for
//! temporary files, because its root is read-only.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, SecretVolumeSource,
    Volume, VolumeMount,
};
use millrace_plan::{SecretKey, Security, TableOrigin};

use super::{Blueprint, names};
use crate::controller::build::config_map::FILE;

/// Where the plan is.
pub(super) const PLAN_DIR: &str = "/etc/millrace";
/// Where the checkpoints are.
pub(super) const STATE_DIR: &str = "/var/lib/millrace";
/// Where Secrets are, a directory each.
pub(super) const SECRETS_DIR: &str = "/etc/millrace-secrets";
/// Where ConfigMaps with tables are, a directory each.
pub(super) const CONFIG_MAPS_DIR: &str = "/etc/millrace-config-maps";
const TEMPORARY_DIR: &str = "/tmp";
/// The runner's group reads them, nobody else.
const SECRET_MODE: i32 = 0o440;

pub(super) fn volumes(blueprint: &Blueprint, plan: &str) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "plan".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::plan(&blueprint.key.name, plan),
                items: Some(vec![key_to_path(FILE)]),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        state(blueprint),
        empty("tmp"),
    ];
    volumes.extend(
        secrets(blueprint)
            .into_iter()
            .enumerate()
            .map(|(at, (name, keys))| Volume {
                name: secret_volume(at),
                secret: Some(SecretVolumeSource {
                    secret_name: Some(name.to_owned()),
                    default_mode: Some(SECRET_MODE),
                    items: Some(keys.into_iter().map(key_to_path).collect()),
                    ..SecretVolumeSource::default()
                }),
                ..Volume::default()
            }),
    );
    let tables = tables(blueprint).into_iter().enumerate();
    volumes.extend(tables.map(|(at, (name, keys))| Volume {
        name: table_volume(at),
        config_map: Some(ConfigMapVolumeSource {
            name: name.to_owned(),
            items: Some(keys.into_iter().map(key_to_path).collect()),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }));
    volumes
}

pub(super) fn mounts(blueprint: &Blueprint) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount("plan", PLAN_DIR, true),
        mount("state", STATE_DIR, false),
        mount("tmp", TEMPORARY_DIR, false),
    ];
    let secrets = secrets(blueprint).into_keys().enumerate();
    mounts.extend(secrets.map(|(at, name)| mount(&secret_volume(at), &format!("{SECRETS_DIR}/{name}"), true)));
    let tables = tables(blueprint).into_keys().enumerate();
    mounts.extend(tables.map(|(at, name)| mount(&table_volume(at), &format!("{CONFIG_MAPS_DIR}/{name}"), true)));
    mounts
}

/// The claim, or a directory of the pod's own where nothing is remembered between records.
fn state(blueprint: &Blueprint) -> Volume {
    if blueprint.plan.workload.storage.is_none() {
        return empty("state");
    }
    Volume {
        name: "state".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: names::claim(&blueprint.key.name),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn empty(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// Names of Secrets may hold dots, names of volumes may not.
fn secret_volume(at: usize) -> String {
    format!("secret-{at}")
}

fn table_volume(at: usize) -> String {
    format!("table-{at}")
}

fn key_to_path(key: &str) -> KeyToPath {
    KeyToPath {
        key: key.to_owned(),
        path: key.to_owned(),
        ..KeyToPath::default()
    }
}

/// The keys that the spec names, by Secret.
fn secrets<'a>(blueprint: &Blueprint<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let Security { tls, sasl } = &blueprint.plan.source.connection.security;
    let tls = tls.iter().flat_map(|tls| {
        let client = tls.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        tls.ca.iter().chain(client)
    });
    let sasl = sasl.iter().flat_map(|sasl| [&sasl.username, &sasl.password]);
    let mut secrets = BTreeMap::<&str, Vec<&str>>::new();
    for SecretKey { name, key } in tls.chain(sasl) {
        let keys = secrets.entry(name).or_default();
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    secrets
}

/// Whether any ConfigMap holds a table.
pub(super) fn has_tables(blueprint: &Blueprint) -> bool {
    !tables(blueprint).is_empty()
}

/// The keys that the plan's tables are in, by ConfigMap.
fn tables<'a>(blueprint: &Blueprint<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut tables = BTreeMap::<&str, Vec<&str>>::new();
    for (_, table) in blueprint.plan.tables() {
        if let TableOrigin::ConfigMap { name, key } = &table.origin {
            let keys = tables.entry(name).or_default();
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
    }
    tables
}
