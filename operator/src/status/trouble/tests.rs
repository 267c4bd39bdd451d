//! What the cluster says, in its own words, and what is made of it. The texts are those of Kubernetes 1.34.

use serde_json::{Value, json};

use super::*;

fn from<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn pod(status: Value) -> Pod {
    from(json!({
        "metadata": {"name": "p-runners-abc", "uid": "pod-uid"},
        "spec": {"containers": [], "volumes": [{"name": "secret-login", "secret": {"secretName": "login"}}]},
        "status": status,
    }))
}

fn container(state: Value, last_state: Value) -> Pod {
    pod(json!({"containerStatuses": [{
        "name": "runner", "image": "registry.example/runner:1", "imageID": "", "ready": false, "restartCount": 3,
        "state": state, "lastState": last_state,
    }]}))
}

fn waiting(reason: &str, message: &str) -> Pod {
    container(json!({"waiting": {"reason": reason, "message": message}}), json!({}))
}

fn event(uid: &str, reason: &str, message: &str) -> Event {
    from(json!({
        "metadata": {}, "involvedObject": {"uid": uid}, "reason": reason, "message": message, "count": 1,
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }))
}

fn claim(phase: &str, class: Option<&str>) -> PersistentVolumeClaim {
    from(
        json!({"metadata": {"name": "p-state", "uid": "claim-uid"}, "spec": {"storageClassName": class}, "status": {"phase": phase}}),
    )
}

fn of_pod(pod: Pod, events: &[Event]) -> Option<(Reason, String)> {
    trouble(None, &[pod], events, None).map(|found| (found.reason, found.message))
}

fn of_claim(claim: &PersistentVolumeClaim, events: &[Event]) -> Option<(Reason, String)> {
    trouble(None, &[], events, Some(claim)).map(|found| (found.reason, found.message))
}

fn told(reason: Reason, message: &str) -> Option<(Reason, String)> {
    Some((reason, message.to_owned()))
}

#[test]
fn secrets_that_are_missing_are_named() {
    let starting = || waiting("ContainerCreating", "");
    let rows = [
        (
            r#"MountVolume.SetUp failed for volume "secret-login" : secret "login" not found"#,
            told(Reason::SecretMissing, "Secret `login` does not exist: create it"),
        ),
        (
            r#"MountVolume.SetUp failed for volume "secret-login" : references non-existent secret key: password"#,
            told(Reason::SecretMissing, "Secret `login` has no key `password`: add it"),
        ),
        (
            r#"MountVolume.SetUp failed for volume "secret-login" : object "ns"/"login" not registered"#,
            None,
        ),
        (
            r#"MountVolume.SetUp failed for volume "x" : failed to sync secret cache: timed out waiting for the condition"#,
            None,
        ),
        (
            r#"MountVolume.SetUp failed for volume "pv" : mount failed: exit status 32 (UniqueName: "x") pod "p-runners-abc""#,
            told(
                Reason::ContainerFailed,
                r#"a runner's volumes cannot be mounted: MountVolume.SetUp failed for volume "pv" : mount failed: exit status 32"#,
            ),
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(
            of_pod(starting(), &[event("pod-uid", "FailedMount", text)]),
            expected,
            "{text}"
        );
    }
    let missing = event("pod-uid", "FailedMount", rows_first());
    assert_eq!(
        of_pod(starting(), &[event("another", "FailedMount", rows_first())]),
        None,
        "another pod's"
    );
    let running = container(json!({"running": {}}), json!({}));
    assert_eq!(
        of_pod(running, std::slice::from_ref(&missing)),
        None,
        "it was mounted after all"
    );
    let newer: Event = from(json!({
        "metadata": {}, "involvedObject": {"uid": "pod-uid"}, "reason": "FailedMount",
        "message": "references non-existent secret key: k", "eventTime": "2026-01-01T00:00:05.000000Z",
    }));
    let found = of_pod(starting(), &[missing, newer]);
    assert_eq!(
        found,
        told(Reason::SecretMissing, "a Secret has no key `k`: add it"),
        "the newest counts"
    );
}

fn rows_first() -> &'static str {
    r#"MountVolume.SetUp failed for volume "secret-login" : secret "login" not found"#
}

#[test]
fn claims_without_a_class_or_a_provisioner_are_told_and_claims_on_their_way_are_not() {
    let rows = [
        (
            None,
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
            1,
            told(
                Reason::NoStorageClass,
                "claim `p-state`: the cluster has no default StorageClass; make one, or name one in spec.checkpoint.storage.className",
            ),
        ),
        (
            Some("fast"),
            "ProvisioningFailed",
            r#"storageclass.storage.k8s.io "fast" not found"#,
            1,
            told(
                Reason::NoStorageClass,
                "claim `p-state`: there is no StorageClass `fast`; create it",
            ),
        ),
        (
            Some("fast"),
            "ProvisioningFailed",
            "no space on the array",
            1,
            told(Reason::ClaimPending, "claim `p-state`: no space on the array"),
        ),
        (
            Some("fast"),
            "ExternalProvisioning",
            "Waiting for a volume to be created",
            1,
            None,
        ),
        (
            Some("fast"),
            "ExternalProvisioning",
            "Waiting for a volume to be created",
            9,
            told(
                Reason::ClaimPending,
                "claim `p-state`: Waiting for a volume to be created",
            ),
        ),
        (
            Some("fast"),
            "WaitForFirstConsumer",
            "waiting for first consumer to be created before binding",
            9,
            None,
        ),
    ];
    for (class, reason, text, count, expected) in rows {
        let event = Event {
            count: Some(count),
            ..event("claim-uid", reason, text)
        };
        let pending = of_claim(&claim("Pending", class), std::slice::from_ref(&event));
        assert_eq!(pending, expected, "{text}");
        assert_eq!(of_claim(&claim("Bound", class), &[event]), None, "bound meanwhile");
    }
    assert_eq!(of_claim(&claim("Pending", None), &[]), None);
    assert!(of_claim(&claim("Lost", None), &[]).is_some());
}

#[test]
fn pods_that_no_node_takes_and_pods_that_wait_for_their_claim() {
    let unscheduled = |message: &str| {
        pod(json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
        ]}))
    };
    let no_room = "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are \
                   available: 1 Preemption is not helpful for scheduling.";
    let found = of_pod(unscheduled(no_room), &[]).unwrap();
    assert_eq!(found.0, Reason::Unschedulable);
    assert!(
        found.1.contains("1 Insufficient memory")
            && found.1.ends_with("scheduling. Change spec.resources, or add nodes"),
        "{}",
        found.1
    );
    let waits = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: not helpful.";
    assert_eq!(of_pod(unscheduled(waits), &[]), None, "the claim says why");
    assert_eq!(
        of_pod(
            pod(json!({"conditions": [{"type": "PodScheduled", "status": "True"}]})),
            &[]
        ),
        None
    );
}

#[test]
fn containers_that_cannot_start() {
    let pull =
        r#"rpc error: code = NotFound desc = failed to pull and unpack image "registry.example/runner:1": not found"#;
    let back_off = format!(r#"Back-off pulling image "registry.example/runner:1": ErrImagePull: {pull}"#);
    let same = format!("image `registry.example/runner:1` cannot be pulled: {pull}");
    let rows = [
        ("ErrImagePull", pull.to_owned(), told(Reason::ImagePullFailed, &same)),
        ("ImagePullBackOff", back_off, told(Reason::ImagePullFailed, &same)),
        (
            "ImagePullBackOff",
            r#"Back-off pulling image "registry.example/runner:1""#.to_owned(),
            told(
                Reason::ImagePullFailed,
                "image `registry.example/runner:1` cannot be pulled",
            ),
        ),
        (
            "CreateContainerConfigError",
            "couldn't find key password in Secret ns/login".to_owned(),
            told(Reason::SecretMissing, "Secret `login` has no key `password`: add it"),
        ),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root".to_owned(),
            told(
                Reason::ContainerFailed,
                "a runner's container cannot be started: container has runAsNonRoot and image will run as root",
            ),
        ),
        ("ContainerCreating", String::new(), None),
    ];
    for (reason, text, expected) in rows {
        assert_eq!(of_pod(waiting(reason, &text), &[]), expected, "{reason} {text}");
    }
}

#[test]
fn what_cannot_be_started_is_told_the_same_whether_it_waits_or_has_stopped() {
    let why = r#"failed to create containerd task: exec: "/runner": no such file or directory: unknown"#;
    let ended = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": why}});
    let first = container(
        json!({"waiting": {"reason": "RunContainerError", "message": why}}),
        ended.clone(),
    );
    let then = container(
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}),
        ended,
    );
    let expected = format!("a runner's container cannot be started: {why}");
    assert_eq!(of_pod(first, &[]), told(Reason::ContainerFailed, &expected));
    assert_eq!(of_pod(then, &[]), told(Reason::ContainerFailed, &expected));
}

#[test]
fn runners_that_stop_are_told_with_their_last_words() {
    let ended = |code: i32, reason: &str, words: &str| json!({"terminated": {"exitCode": code, "reason": reason, "message": words}});
    let looping = |last: Value| {
        let message = "back-off 20s restarting failed container=runner pod=p-runners-abc_ns(pod-uid)";
        container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}}),
            last,
        )
    };
    let failed = "a runner stopped with exit code 1: source topic flights does not exist";
    let words = "source topic flights does not exist\n";
    for pod in [
        looping(ended(1, "Error", words)),
        container(ended(1, "Error", words), json!({})),
        container(json!({"running": {}}), ended(1, "Error", words)),
    ] {
        assert_eq!(
            of_pod(pod, &[]),
            told(Reason::RunnerFailed, failed),
            "the same sentence at every turn"
        );
    }
    let silent = of_pod(looping(ended(2, "Error", "")), &[]).unwrap().1;
    assert!(silent.contains("no last words"), "{silent}");
    assert_eq!(
        of_pod(looping(ended(137, "OOMKilled", "")), &[]).unwrap().0,
        Reason::OutOfMemory
    );
    assert_eq!(
        of_pod(container(json!({"running": {}}), ended(0, "Completed", "")), &[]),
        None
    );
    let mut ready = container(json!({"running": {}}), ended(1, "Error", words));
    ready.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0].ready = true;
    assert_eq!(of_pod(ready, &[]), None, "it works again");
    let mut leaving = looping(ended(1, "Error", words));
    leaving.metadata.deletion_timestamp = from(json!("2026-01-01T00:00:00Z"));
    assert_eq!(of_pod(leaving, &[]), None, "it is on its way out");
    let long = of_pod(looping(ended(1, "Error", &"w\u{1b}".repeat(4096))), &[])
        .unwrap()
        .1;
    assert!(long.len() < 600 && !long.contains('\u{1b}'), "{long}");
}

#[test]
fn pods_that_are_not_let_in_are_told_without_their_changing_names() {
    let deployment = |message: &str| -> Deployment {
        from(json!({"status": {"conditions": [
            {"type": "Progressing", "status": "True"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message},
        ]}}))
    };
    let found = |name: &str| {
        let message = format!(
            r#"pods "{name}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2"#
        );
        trouble(Some(&deployment(&message)), &[], &[], None).map(|found| (found.reason, found.message))
    };
    let expected = "the cluster refuses to create runner pods: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2";
    assert_eq!(found("p-runners-1"), told(Reason::Forbidden, expected));
    assert_eq!(found("p-runners-1"), found("p-runners-2"));
    let other = trouble(Some(&deployment("no such account")), &[], &[], None).map(|found| found.reason);
    assert_eq!(other, Some(Reason::ApplyFailed));
}

#[test]
fn the_first_step_that_fails_is_told() {
    let crashed = container(json!({"running": {}}), json!({"terminated": {"exitCode": 1}}));
    let pending = claim("Pending", Some("fast"));
    let no_class = event(
        "claim-uid",
        "ProvisioningFailed",
        r#"storageclass.storage.k8s.io "fast" not found"#,
    );
    let found = trouble(None, std::slice::from_ref(&crashed), &[no_class], Some(&pending));
    assert_eq!(found.map(|found| found.reason), Some(Reason::NoStorageClass));
    let pods = [crashed, waiting("ErrImagePull", "x")];
    assert_eq!(
        trouble(None, &pods, &[], None).map(|found| found.reason),
        Some(Reason::ImagePullFailed)
    );
    assert_eq!(trouble(None, &[], &[], None), None);
}
