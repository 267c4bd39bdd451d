//! All pipelines, a line each. No network.

use jiff::Timestamp;
use millrace_crds::{ConditionType, PipelineStatus};
use serde_json::{Value, json};

use crate::cluster::Found;
use crate::output::{Table, UNKNOWN, age, known};

/// One line for every object; with the namespace where there may be several.
pub fn table(objects: &[Found], with_namespace: bool, now: Timestamp) -> Table {
    let head = [
        "NAMESPACE",
        "NAME",
        "READY",
        "REASON",
        "RUNNERS",
        "LAG",
        "LAG TIME",
        "IN/S",
        "OUT/S",
        "CHECKPOINT",
        "AGE",
    ];
    let skipped = usize::from(!with_namespace);
    let mut table = Table::new(&head[skipped..]);
    for found in objects {
        let cells = cells(found, now);
        table.row(cells.into_iter().skip(skipped).collect());
    }
    table
}

fn cells(found: &Found, now: Timestamp) -> Vec<String> {
    let status = found.status().unwrap_or_default();
    let (ready, reason) = ready(&status);
    let since = |time: Timestamp| age(now.as_second() - time.as_second());
    let created = found.object.metadata.creation_timestamp.as_ref();
    let partitions = |most: i32| format!("{}/{}", status.ready_replicas, most);
    vec![
        found.namespace(),
        found.reference(),
        ready,
        reason,
        partitions(status.replicas),
        known(status.lag.as_ref().map(|lag| lag.records)),
        known(status.lag.as_ref().and_then(|lag| lag.seconds).map(age)),
        known(status.throughput.as_ref().map(|throughput| throughput.in_per_second)),
        known(status.throughput.as_ref().map(|throughput| throughput.out_per_second)),
        known(
            status
                .checkpoint
                .as_ref()
                .map(|checkpoint| since(checkpoint.completed_at.0)),
        ),
        known(created.map(|time| since(time.0))),
    ]
}

/// Status and reason of the condition `Ready`.
fn ready(status: &PipelineStatus) -> (String, String) {
    let named = ConditionType::Ready.as_str();
    let condition = status.conditions.iter().find(|condition| condition.type_ == named);
    condition.map_or_else(
        || (UNKNOWN.to_owned(), UNKNOWN.to_owned()),
        |condition| (condition.status.clone(), condition.reason.clone()),
    )
}

/// The objects as `kubectl get -o json` would give them.
pub fn objects(objects: &[Found]) -> Value {
    let items: Vec<&kube::core::DynamicObject> = objects.iter().map(|found| &found.object).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

#[cfg(test)]
pub(super) mod tests {
    use kube::core::DynamicObject;

    use super::*;
    use crate::cluster::KINDS;

    /// An object with this status, created at the second 1000.
    pub(in crate::status) fn found(name: &str, status: Value) -> Found {
        let object = json!({
            "apiVersion": "millrace.io/v1alpha1",
            "kind": "StreamPipeline",
            "metadata": {"name": name, "namespace": "default", "creationTimestamp": "1970-01-01T00:16:40Z"},
            "spec": {},
            "status": status,
        });
        Found {
            kind: KINDS[0],
            object: serde_json::from_value::<DynamicObject>(object).unwrap(),
        }
    }

    pub(in crate::status) fn running() -> Value {
        json!({
            "replicas": 2, "readyReplicas": 1, "selector": "a=b", "partitions": 6,
            "lag": {"records": 1200, "seconds": 130},
            "throughput": {"inPerSecond": 500, "outPerSecond": 40},
            "watermarkDelaySeconds": 5, "watermarkHeldBackBy": {"topic": "flights", "partition": 3},
            "checkpoint": {"completedAt": "1970-01-01T00:18:18Z", "sizeBytes": 2048},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": "2 runners",
                            "lastTransitionTime": "1970-01-01T00:17:00Z"}],
        })
    }

    #[test]
    fn every_pipeline_has_a_line_and_what_is_unknown_is_a_dash() {
        let objects = [found("flights", running()), found("new", json!({}))];
        let table = table(&objects, false, Timestamp::from_second(1100).unwrap());
        let expected = "\
NAME                     READY   REASON    RUNNERS   LAG    LAG TIME   IN/S   OUT/S   CHECKPOINT   AGE
streampipeline/flights   True    Running   1/2       1200   2m         500    40      2s           100s
streampipeline/new       -       -         0/0       -      -          -      -       -            100s
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn namespaces_are_shown_where_there_may_be_several() {
        let text = table_of_all();
        assert!(text.starts_with("NAMESPACE   NAME "), "{text}");
        assert!(text.contains("\ndefault     streampipeline/flights "), "{text}");
    }

    fn table_of_all() -> String {
        table(
            &[found("flights", running())],
            true,
            Timestamp::from_second(1100).unwrap(),
        )
        .to_string()
    }
}
