//! What is answered about metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use millrace_operator::observe::Observation;

use crate::caller::{Answer, Authority, Client, call, get, with_method};
use crate::cluster::{Cluster, SERVICE};
use crate::eventually::eventually;
use crate::replica::{METRIC, Replica, lag};

const BASE: &str = "/apis/external.metrics.k8s.io/v1beta1";

struct Asked {
    cluster: Cluster,
    replica: Replica,
    proxy: Client,
}

impl Asked {
    async fn new() -> Self {
        let front = Authority::new("front-proxy");
        let cluster = Cluster::new(SERVICE, &front.pem);
        let replica = Replica::settled(&cluster, "24h").await;
        let asked = Self {
            cluster,
            replica,
            proxy: front.client("front-proxy-client"),
        };
        let _ = eventually(
            "the API server's certificate is believed",
            Duration::from_secs(10),
            async || Some(asked.get("/apis").await).filter(|answer| answer.code == StatusCode::OK),
        )
        .await;
        asked
    }

    async fn get(&self, path: &str) -> Answer {
        self.replica.get(&self.cluster, &self.proxy, "hpa", path).await
    }

    async fn accepting(&self, path: &str, accept: &str) -> Answer {
        let request = get(path, &[("x-remote-user", "hpa"), ("accept", accept)]);
        call(self.replica.address, &self.cluster.bundle(), &self.proxy, request)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn statuses_are_those_of_the_reference_server() {
    let asked = Asked::new().await;
    for (path, code) in [
        ("/apis/".to_owned(), 404),
        (format!("{BASE}/nonexistent-metric"), 404),
        (format!("{BASE}/namespaces/foo"), 404),
        (format!("{BASE}/namespaces/foo/group/metric"), 404),
        ("/".to_owned(), 404),
        ("/apis/other.io".to_owned(), 404),
        ("/apis".to_owned(), 200),
        ("/apis/external.metrics.k8s.io".to_owned(), 200),
        (BASE.to_owned(), 200),
        ("/openapi/v2".to_owned(), 200),
        ("/openapi/v3".to_owned(), 200),
        (format!("/openapi/v3{BASE}"), 200),
        (METRIC.to_owned(), 200),
        (format!("{METRIC}?labelSelector=millrace.io%2Fname%3Dorders"), 200),
        (format!("{METRIC}?labelSelector=a%3D%3D%3Db"), 400),
        (format!("{METRIC}?watch=true"), 405),
    ] {
        let answer = asked.get(&path).await;
        assert_eq!(
            answer.code.as_u16(),
            code,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        if code >= 400 {
            let status = answer.json();
            assert_eq!(
                (&status["kind"], &status["code"]),
                (&"Status".into(), &code.into()),
                "{path}"
            );
        }
    }
    for method in ["POST", "DELETE", "PUT"] {
        let request = with_method(method, METRIC, &[("x-remote-user", "hpa")]);
        let answer = call(asked.replica.address, &asked.cluster.bundle(), &asked.proxy, request)
            .await
            .unwrap();
        assert_eq!(answer.code, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[tokio::test]
async fn a_selector_chooses_among_pipelines() {
    let asked = Asked::new().await;
    for (selector, names) in [
        ("", vec!["orders", "returns"]),
        ("millrace.io/name=orders", vec!["orders"]),
        (
            "millrace.io/kind=StreamPipeline,millrace.io/name!=orders",
            vec!["returns"],
        ),
        ("millrace.io/name in (orders,returns,x)", vec!["orders", "returns"]),
        ("millrace.io/name notin (orders),!other", vec!["returns"]),
    ] {
        let encoded: String = form_urlencoded::byte_serialize(selector.as_bytes()).collect();
        let list = asked.get(&format!("{METRIC}?labelSelector={encoded}")).await.json();
        assert_eq!(list["kind"], "ExternalMetricValueList");
        assert_eq!(list["apiVersion"], "external.metrics.k8s.io/v1beta1");
        let items = list["items"].as_array().unwrap();
        let found: Vec<_> = items
            .iter()
            .map(|item| item["metricLabels"]["millrace.io/name"].as_str().unwrap())
            .collect();
        assert_eq!(found, names, "{selector}");
    }
    let path = format!("{BASE}/namespaces/shop/millrace_lag_seconds?labelSelector=millrace.io/name%3Dorders");
    let item = asked.get(&path).await.json()["items"][0].clone();
    assert_eq!(
        (&item["metricName"], &item["value"]),
        (&"millrace_lag_seconds".into(), &"2".into())
    );
    assert_eq!(item["metricLabels"]["millrace.io/kind"], "StreamPipeline");
    let measured: jiff::Timestamp = item["timestamp"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(measured).as_secs();
    assert!((0..60).contains(&age), "{item}");
}

#[tokio::test]
async fn what_is_not_known_is_an_error_and_heals() {
    let asked = Asked::new().await;
    let orders = format!("{METRIC}?labelSelector=millrace.io/name%3Dorders");
    let returns = format!("{METRIC}?labelSelector=millrace.io/name%3Dreturns");
    let set = |observation: Option<Arc<Observation>>| {
        let mut observed = asked.replica.observed.lock().unwrap();
        match observation {
            Some(observation) => observed.insert("orders".to_owned(), observation),
            None => observed.remove("orders"),
        };
    };
    let mut stale = Observation::clone(&lag(0, 0));
    stale.lag_at = Instant::now().checked_sub(Duration::from_secs(61));
    for unknown in [None, Some(Arc::new(Observation::default())), Some(Arc::new(stale))] {
        set(unknown);
        for path in [orders.as_str(), METRIC] {
            let answer = asked.get(path).await;
            assert_eq!(answer.code, StatusCode::SERVICE_UNAVAILABLE);
            let message = answer.json()["message"].to_string();
            assert!(message.contains("StreamPipeline shop/orders is not known"), "{message}");
        }
        assert_eq!(
            asked.get(&returns).await.code,
            StatusCode::OK,
            "others are not affected"
        );
    }
    set(Some(lag(9, 1)));
    assert_eq!(asked.get(&orders).await.json()["items"][0]["value"], "9");

    let nobody = asked
        .get(&format!("{METRIC}?labelSelector=millrace.io/name%3Dnobody"))
        .await;
    assert_eq!(nobody.code, StatusCode::NOT_FOUND);
    let elsewhere = asked.get(&METRIC.replace("/shop/", "/No%20Namespace/")).await;
    assert_eq!(elsewhere.code, StatusCode::NOT_FOUND);
    // As the reference does; the autoscaler calls an empty list an error.
    let unknown = asked.get(&format!("{BASE}/namespaces/shop/other")).await;
    assert_eq!(
        (unknown.code, &unknown.json()["items"]),
        (StatusCode::OK, &serde_json::json!([]))
    );
}

#[tokio::test]
async fn clients_get_the_encoding_that_they_ask_for() {
    const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const OLD: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    let asked = Asked::new().await;
    let protobuf = "application/vnd.kubernetes.protobuf";
    for (path, accept, code, content_type) in [
        (
            METRIC,
            "application/vnd.kubernetes.protobuf,application/json",
            200,
            protobuf,
        ),
        (METRIC, protobuf, 200, protobuf),
        (METRIC, "application/json", 200, "application/json"),
        (METRIC, "text/html", 406, "application/json"),
        (
            BASE,
            "application/vnd.kubernetes.protobuf,application/json",
            200,
            "application/json",
        ),
        (BASE, protobuf, 406, "application/json"),
        ("/apis", &format!("{V2},{OLD},application/json"), 200, V2),
        ("/apis", &format!("{OLD},application/json"), 200, OLD),
        ("/apis", "application/json", 200, "application/json"),
    ] {
        let answer = asked.accepting(path, accept).await;
        assert_eq!(
            (answer.code.as_u16(), answer.content_type()),
            (code, content_type),
            "{path} {accept}"
        );
        if content_type == protobuf {
            assert!(answer.body.starts_with(b"k8s\0"));
        }
    }
    assert_eq!(
        asked.accepting("/apis", V2).await.json()["kind"],
        "APIGroupDiscoveryList"
    );
}
