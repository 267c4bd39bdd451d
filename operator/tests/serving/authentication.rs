//! Who is let in.

use std::time::Duration;

use hyper::StatusCode;

use crate::caller::{Authority, Client, call, get};
use crate::cluster::{Cluster, SERVICE};
use crate::eventually::eventually;
use crate::replica::{METRIC, Replica};

const SPOOFED: [(&str, &str); 2] = [("x-remote-user", "hpa"), ("x-remote-group", "system:masters")];

/// Until the ConfigMap is read even the right certificate is refused.
async fn trusted(replica: &Replica, cluster: &Cluster, client: &Client) {
    eventually(
        "the API server's certificate is believed",
        Duration::from_secs(10),
        async || (replica.get(cluster, client, "hpa", METRIC).await.code == StatusCode::OK).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn only_the_api_server_speaks_for_a_user_and_only_users_who_may_are_answered() {
    let front = Authority::new("front-proxy");
    let cluster = Cluster::new(SERVICE, &front.pem);
    let replica = Replica::settled(&cluster, "24h").await;
    let proxy = front.client("front-proxy-client");
    trusted(&replica, &cluster, &proxy).await;

    let other = Authority::new("front-proxy");
    for (case, client) in [
        ("no client certificate", Client::nobody()),
        ("wrong common name", front.client("admin")),
        (
            "the right name of another authority",
            other.client("front-proxy-client"),
        ),
    ] {
        for headers in [&SPOOFED[..], &[]] {
            let answer = call(replica.address, &cluster.bundle(), &client, get(METRIC, headers))
                .await
                .unwrap();
            assert_eq!(answer.code, StatusCode::UNAUTHORIZED, "{case}");
            let status = answer.json();
            assert_eq!(
                (&status["kind"], &status["code"]),
                (&"Status".into(), &401.into()),
                "{case}"
            );
        }
    }
    let nameless = call(replica.address, &cluster.bundle(), &proxy, get(METRIC, &[]))
        .await
        .unwrap();
    assert_eq!(nameless.code, StatusCode::UNAUTHORIZED);

    let before = cluster.asked().len();
    for _ in 0..5 {
        let refused = replica.get(&cluster, &proxy, "ann", METRIC).await;
        assert_eq!(refused.code, StatusCode::FORBIDDEN);
        let message = refused.json()["message"].to_string();
        assert!(
            message.contains("ann") && message.contains("millrace_lag_records"),
            "{message}"
        );
    }
    let asked = cluster.asked();
    assert_eq!(asked.len(), before + 1, "an answer is remembered for a while");
    let wanted = &asked[before]["resourceAttributes"];
    let words = ["group", "resource", "namespace", "verb"].map(|key| wanted[key].as_str().unwrap());
    assert_eq!(
        words,
        ["external.metrics.k8s.io", "millrace_lag_records", "shop", "list"]
    );
    assert_eq!(asked[before]["groups"], serde_json::json!(["system:authenticated"]));
}

#[tokio::test]
async fn health_is_answered_to_anyone() {
    let front = Authority::new("front-proxy");
    let cluster = Cluster::new(SERVICE, &front.pem);
    let replica = Replica::settled(&cluster, "24h").await;
    for path in ["/livez", "/readyz", "/healthz"] {
        let answer = call(replica.address, &cluster.bundle(), &Client::nobody(), get(path, &[]))
            .await
            .unwrap();
        assert_eq!(answer.code, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_new_authority_of_the_api_server_replaces_the_old_one() {
    let (old, new) = (Authority::new("front-proxy"), Authority::new("front-proxy"));
    let cluster = Cluster::new(SERVICE, &old.pem);
    let replica = Replica::settled(&cluster, "24h").await;
    let (before, after) = (old.client("front-proxy-client"), new.client("front-proxy-client"));
    trusted(&replica, &cluster, &before).await;
    assert_eq!(
        replica.get(&cluster, &after, "hpa", METRIC).await.code,
        StatusCode::UNAUTHORIZED
    );
    cluster.change_front_proxy(&new.pem);
    trusted(&replica, &cluster, &after).await;
    assert_eq!(
        replica.get(&cluster, &before, "hpa", METRIC).await.code,
        StatusCode::UNAUTHORIZED
    );
}
