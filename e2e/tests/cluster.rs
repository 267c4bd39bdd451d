//! The Kubernetes that the other tests stand on: what a pod can do there, and what a test can do to it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use millrace_e2e::cluster::{Cluster, Component, Options};
use millrace_e2e::eventually::eventually;
use millrace_e2e::images;
use millrace_e2e::kubectl::Kubectl;

/// Two busy cores.
const PATIENCE: Duration = Duration::from_secs(90);
const BUSYBOX: &str = "millrace.test/busybox:test";

/// One for all tests of this file that leave it as it was.
fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = Cluster::start(&Options::default()).unwrap();
        let image = images::of_programs(BUSYBOX, &[PathBuf::from("/bin/busybox")]).unwrap();
        cluster.import_image(&image).unwrap();
        cluster
    })
}

/// A pod as Pod Security `restricted` wants it, that runs a script and ends.
fn pod(name: &str, script: &str, claim: Option<&str>) -> String {
    let (mount, volume) = claim.map_or((String::new(), String::new()), |claim| {
        (
            "volumeMounts: [{ name: shared, mountPath: /shared }]".to_owned(),
            format!("volumes: [{{ name: shared, persistentVolumeClaim: {{ claimName: {claim} }} }}]"),
        )
    });
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{ name: {name}, labels: {{ app: {name} }} }}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  securityContext: {{ runAsNonRoot: true, seccompProfile: {{ type: RuntimeDefault }} }}
  containers:
    - name: main
      image: {BUSYBOX}
      imagePullPolicy: Never
      command: [busybox, sh, -c, '{script}']
      securityContext: {{ allowPrivilegeEscalation: false, capabilities: {{ drop: [ALL] }} }}
      {mount}
  {volume}
"#
    )
}

/// What a pod has written when it has succeeded.
fn output_of(kubectl: &Kubectl, namespace: &str, name: &str) -> String {
    let ended = kubectl.until("the pod ends", PATIENCE, (namespace, "pod", name), |pod| {
        let phase = pod["status"]["phase"].as_str()?;
        ["Succeeded", "Failed"].contains(&phase).then(|| phase.to_owned())
    });
    let log = kubectl.run(&["logs", "-n", namespace, name]).unwrap_or_default();
    assert_eq!(ended.unwrap(), "Succeeded", "{name}: {log}");
    log
}

#[test]
fn service_answers_by_address_and_by_name_and_pods_reach_the_host() {
    let cluster = shared();
    let kubectl = cluster.kubectl();
    let namespace = "services";
    kubectl.restricted_namespace(namespace).unwrap();
    let serve = "echo hello from a pod > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp";
    let web = format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 2
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {{ runAsNonRoot: true, seccompProfile: {{ type: RuntimeDefault }} }}
      volumes: [{{ name: tmp, emptyDir: {{}} }}]
      containers:
        - name: main
          image: {BUSYBOX}
          imagePullPolicy: Never
          command: [busybox, sh, -c, '{serve}']
          readinessProbe: {{ httpGet: {{ port: 8080, path: /index.html }} }}
          securityContext: {{ allowPrivilegeEscalation: false, capabilities: {{ drop: [ALL] }} }}
          volumeMounts: [{{ name: tmp, mountPath: /tmp }}]
---
apiVersion: v1
kind: Service
metadata: {{ name: web }}
spec:
  selector: {{ app: web }}
  ports: [{{ port: 80, targetPort: 8080 }}]
"#
    );
    kubectl.apply(namespace, &web).unwrap();
    kubectl
        .run(&["rollout", "status", "deployment/web", "-n", namespace, "--timeout=90s"])
        .unwrap();
    let address = kubectl.get(namespace, "service", "web").unwrap().unwrap()["spec"]["clusterIP"]
        .as_str()
        .unwrap()
        .to_owned();
    let host = TcpListener::bind((cluster.host_for_pods().parse::<IpAddr>().unwrap(), 0)).unwrap();
    let port = host.local_addr().unwrap().port();
    let accepted = thread::spawn(move || host.accept().map(|(_, peer)| peer));
    let script = format!(
        "busybox wget -q -O - http://{address}/index.html && \
         busybox wget -q -O - http://web.{namespace}.svc.cluster.local/index.html && \
         busybox wget -q -O - http://web/index.html && \
         busybox nc -w 10 {} {port} </dev/null",
        cluster.host_for_pods()
    );
    kubectl.apply(namespace, &pod("asking", &script, None)).unwrap();
    let answers = output_of(&kubectl, namespace, "asking");
    assert_eq!(answers, "hello from a pod\n".repeat(3));
    // By the pod's own address: nothing between the two rewrites it.
    let peer = accepted.join().unwrap().unwrap();
    let asking = kubectl.get(namespace, "pod", "asking").unwrap().unwrap();
    assert_eq!(peer.ip().to_string(), asking["status"]["podIP"].as_str().unwrap());
}

#[test]
fn shared_claim_is_provisioned_and_written_by_two_pods_that_are_not_root() {
    let kubectl = shared().kubectl();
    let namespace = "claims";
    kubectl.restricted_namespace(namespace).unwrap();
    let claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: state}, \
                 spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Mi}}}}";
    kubectl.apply(namespace, claim).unwrap();
    // Each writes its own file and waits for the other's: both run at the same time.
    for (mine, other) in [("one", "two"), ("two", "one")] {
        let script = format!(
            "busybox id -u > /shared/{mine} && until [ -s /shared/{other} ]; do busybox sleep 0.1; done; busybox cat /shared/{other}"
        );
        kubectl.apply(namespace, &pod(mine, &script, Some("state"))).unwrap();
    }
    for name in ["one", "two"] {
        assert_eq!(output_of(&kubectl, namespace, name), "65532\n");
    }
    kubectl
        .run(&["delete", "namespace", namespace, "--timeout=90s"])
        .unwrap();
    eventually("the volume is gone with its claim", PATIENCE, || {
        let left = kubectl.run(&["get", "persistentvolumes", "-o", "name"])?;
        Ok(left.is_empty().then_some(()))
    })
    .unwrap();
}

#[test]
fn restricted_namespace_refuses_a_privileged_pod() {
    let kubectl = shared().kubectl();
    let namespace = "restricted";
    kubectl.restricted_namespace(namespace).unwrap();
    let good = pod("good", "true", None);
    kubectl.apply(namespace, &good).unwrap();
    assert_eq!(output_of(&kubectl, namespace, "good"), "");
    let bad = good
        .replace("name: good", "name: bad")
        .replace("allowPrivilegeEscalation: false", "privileged: true");
    let refusal = kubectl
        .refused(&["apply", "-n", namespace, "-f", "-"], Some(&bad))
        .unwrap();
    assert!(
        refusal.contains("violates PodSecurity") && refusal.contains("privileged"),
        "{refusal}"
    );
}

#[test]
fn killed_and_stopped_components_come_back_and_writes_are_counted() {
    let cluster = Cluster::start(&Options {
        fresh: true,
        ..Options::default()
    })
    .unwrap();
    let kubectl = cluster.kubectl();
    let is_there = |name: &str| kubectl.run(&["get", "configmap", name, "--request-timeout=1s"]).is_ok();
    let create = |name: &str| kubectl.run(&["create", "configmap", name]).unwrap();
    create("before");
    assert!(is_there("before"));

    cluster.kill(Component::ApiServer).unwrap();
    assert!(!is_there("before"), "the API server is gone");
    assert!(cluster.signal(Component::ApiServer, "CONT").is_err());
    cluster.restart(Component::ApiServer).unwrap();
    cluster.until_ready().unwrap();
    assert!(is_there("before"));

    cluster.signal(Component::ApiServer, "STOP").unwrap();
    assert!(!is_there("before"), "the API server stands still");
    cluster.signal(Component::ApiServer, "CONT").unwrap();
    cluster.until_ready().unwrap();
    assert!(is_there("before"));

    // Without its controller a Deployment stays a wish.
    cluster.kill(Component::ControllerManager).unwrap();
    kubectl
        .run(&["create", "deployment", "wish", "--image=millrace.test/pause:1"])
        .unwrap();
    cluster.kill(Component::Kubelet).unwrap();
    for component in [Component::ControllerManager, Component::Kubelet] {
        cluster.restart(component).unwrap();
    }
    kubectl
        .run(&["rollout", "status", "deployment/wish", "--timeout=90s"])
        .unwrap();

    let writes = cluster.audit().unwrap();
    let admin: Vec<String> = writes
        .iter()
        .filter(|event| event.user == "admin" && event.namespace == "default")
        .map(|event| format!("{} {} {} {}", event.verb, event.resource, event.name, event.code))
        .collect();
    assert_eq!(
        admin,
        ["create configmaps before 201", "create deployments wish 201"],
        "all writes of this test, and no read"
    );
    let controller = "system:serviceaccount:kube-system:replicaset-controller";
    assert!(
        writes
            .iter()
            .any(|event| event.user == controller && event.resource == "pods")
    );
    cluster.stop().unwrap();
}

#[test]
fn cluster_that_was_started_elsewhere_is_used_and_stays() {
    let cluster = shared();
    let state = cluster.state().unwrap();

    let known = Cluster::started_elsewhere(state.to_owned()).unwrap();
    known.signal(Component::Scheduler, "CONT").unwrap();
    known.until_ready().unwrap();
    assert!(!known.audit().unwrap().is_empty());
    assert_eq!(known.host_for_pods(), cluster.host_for_pods());
    known.stop().unwrap();

    let given = Cluster::given(&state.join("kubeconfig")).unwrap();
    given.kubectl().run(&["get", "nodes"]).unwrap();
    given.kubectl().helm(&["list"]).unwrap();
    assert_eq!(given.host_for_pods(), cluster.host_for_pods());
    given.import_image(Path::new("/nowhere")).unwrap();
    assert!(given.kill(Component::Etcd).is_err(), "it belongs to somebody");
    given.stop().unwrap();

    cluster.until_ready().unwrap();
}
