//! Manifests with the children that are made of them: `tests/children/*.yaml` with the children beside them.
//! `MILLRACE_BLESS=1 cargo test -p millrace-operator golden` writes the expected files anew.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use millrace_crds::OnStateChange;
use millrace_crds::manifest::Manifest;

use super::{Blueprint, Built, Child, ChildKind, build, build_like};
use crate::controller::scale;
use crate::key::ObjectKey;

const PARTITIONS: Option<u32> = Some(6);

fn folder() -> PathBuf {
    Path::new(env!("MILLRACE_SOURCE")).join("operator/tests/children")
}

#[test]
fn manifests_become_the_expected_children() {
    let folder = folder();
    let bless = std::env::var_os("MILLRACE_BLESS").is_some();
    let manifests = files(&folder, "yaml");
    assert!(manifests.len() >= 5, "only {} manifests", manifests.len());
    for path in manifests {
        let found = children(&load(&path));
        let beside = path.with_extension("children");
        if bless {
            fs::write(&beside, found).expect("the folder can be written");
            continue;
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert!(
            expected == found,
            "{}\n--- expected\n{expected}--- found\n{found}MILLRACE_BLESS=1 writes the expected files anew",
            beside.display()
        );
    }
}

#[test]
fn scaling_and_suspending_are_not_another_plan_or_template() {
    let folder = folder();
    let mut manifests = load(&folder.join("stateful.yaml"));
    let before = built(&manifests);
    let Some(Manifest::StreamPipeline(object)) = manifests.first_mut() else {
        panic!("the first object is a StreamPipeline");
    };
    object.spec.suspend = true;
    object.spec.replicas = 5;
    object.spec.scaling = None;
    let after = built(&manifests);
    assert_eq!((before.plan, before.template), (after.plan, after.template));
}

#[test]
fn another_image_or_other_resources_are_another_template_of_the_same_plan() {
    let folder = folder();
    let mut manifests = load(&folder.join("stateless.yaml"));
    let before = built(&manifests);
    let Some(Manifest::StreamPipeline(object)) = manifests.first_mut() else {
        panic!("the first object is a StreamPipeline");
    };
    object.spec.resources = Some(millrace_crds::ResourcesSpec {
        requests: Some(millrace_crds::ResourceAmounts {
            cpu: Some("2".to_owned()),
            memory: None,
        }),
        limits: None,
    });
    let after = built(&manifests);
    assert_eq!(before.plan, after.plan);
    assert_ne!(before.template, after.template);
}

#[test]
fn pull_secrets_are_named_by_every_pod() {
    let folder = folder();
    let manifests = load(&folder.join("stateless.yaml"));
    let secrets = ["registry".to_owned(), "mirror".to_owned()];
    let with_secrets = built_by(&manifests, |blueprint| {
        build(&Blueprint {
            pull_secrets: &secrets,
            ..*blueprint
        })
    });
    let without = built(&manifests);
    let pod = |built: &Built| deployment(built).object["spec"]["template"]["spec"].clone();
    let named = serde_json::json!([{"name": "registry"}, {"name": "mirror"}]);
    assert_eq!(pod(&with_secrets)["imagePullSecrets"], named);
    assert_eq!(pod(&without).get("imagePullSecrets"), None);
    assert_ne!(with_secrets.template, without.template);
}

#[test]
fn to_forbid_a_loss_again_replaces_no_runner() {
    let folder = folder();
    let manifests = |drop: Option<&str>, state: &str| {
        let mut manifests = load(&folder.join("stateful.yaml"));
        let Some(Manifest::StreamPipeline(object)) = manifests.first_mut() else {
            panic!("the first object is a StreamPipeline");
        };
        object.spec.on_state_change = drop.map(|name| OnStateChange {
            drop: vec![name.to_owned()],
        });
        object.spec.state_id = Some(state.to_owned());
        manifests
    };
    let after = |before: &Built, manifests: &[Manifest]| {
        let live = serde_json::from_value(deployment(before).object.clone()).expect("a Deployment is an object");
        built_by(manifests, |blueprint| build_like(Some(&live), blueprint))
    };
    let plain = built(&manifests(None, "a"));
    let allowing = built(&manifests(Some("gone"), "a"));
    assert_ne!(
        plain.template, allowing.template,
        "runners must know what they may lose"
    );
    for drop in [None, Some("gone")] {
        let like = after(&allowing, &manifests(drop, "a"));
        assert_eq!(
            (like.template, like.plan),
            (allowing.template.clone(), allowing.plan.clone()),
            "{drop:?}"
        );
    }
    // Who allows more has runners that wait for it.
    for before in [&plain, &allowing] {
        let more = manifests(Some("other"), "a");
        assert_eq!(after(before, &more).template, built(&more).template);
    }
    // Together with any other change it is part of that change.
    let changed = manifests(Some("gone"), "b");
    assert_eq!(after(&plain, &changed).template, built(&changed).template);
    assert_ne!(after(&plain, &changed).template, plain.template);
}

fn deployment(built: &Built) -> &Child {
    let mut children = built.children.iter();
    children
        .find(|child| child.kind == ChildKind::Deployment)
        .expect("every object has runners")
}

/// The first object, with everything in the file around it.
fn load(path: &Path) -> Vec<Manifest> {
    let text = fs::read_to_string(path).expect("a manifest is text");
    millrace_plan::load(&text).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()))
}

fn built(manifests: &[Manifest]) -> Built {
    built_by(manifests, build)
}

fn built_by(manifests: &[Manifest], build: impl Fn(&Blueprint) -> Built) -> Built {
    let manifest = manifests.first().expect("a file holds an object");
    let plan = millrace_plan::validate(manifest, manifests).unwrap_or_else(|problems| panic!("{problems:?}"));
    let key = ObjectKey {
        kind: plan.kind,
        namespace: plan.namespace.clone(),
        name: plan.name.clone(),
    };
    let owner = OwnerReference {
        api_version: "millrace.io/v1alpha1".to_owned(),
        kind: plan.kind.to_owned(),
        name: plan.name.clone(),
        uid: manifest.uid().unwrap_or_default().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    build(&Blueprint {
        key: &key,
        owner: &owner,
        manifest,
        neighbours: manifests,
        plan: &plan,
        runners: scale::runners(&plan.workload, PARTITIONS),
        partitions: PARTITIONS,
        image: "millrace/runner:test",
        pull_policy: "IfNotPresent",
        pull_secrets: &[],
    })
}

fn children(manifests: &[Manifest]) -> String {
    let built = built(manifests);
    let kinds: Vec<ChildKind> = built.children.iter().map(|child| child.kind).collect();
    assert!(
        kinds.is_sorted(),
        "children stand in the order in which they are applied"
    );
    let yaml = built.children.iter().map(|child| {
        assert_eq!(child.object["metadata"]["name"], child.name);
        yaml_serde::to_string(&child.object).expect("a child is plain data")
    });
    yaml.collect::<Vec<_>>().join("---\n")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    files
}
