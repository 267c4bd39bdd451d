//! `window`: aggregates a key and window.

use millrace_crds::WindowSpec;

use super::aggregates::{check_aggregates, results};
use super::duration;
use super::group_key::check_keys;
use super::key::RecordKey;
use super::problems::Problems;
use super::scope::Scope;
use super::steps::Checked;
use crate::{Field, FieldType, OperatorKind, Tumbling, Window};

pub(super) fn check(path: &str, spec: &WindowSpec, input: &Scope, key: &RecordKey, problems: &mut Problems) -> Checked {
    let tumbling = check_tumbling(&format!("{path}.tumbling"), spec, problems);
    let allowed_lateness = match &spec.allowed_lateness {
        Some(text) => problems.take(format!("{path}.allowedLateness"), duration::millis(text, 0)),
        None => Some(0),
    };
    let added = vec![
        Field::computed("window_start", FieldType::Timestamp, false),
        Field::computed("window_end", FieldType::Timestamp, false),
        Field::computed("is_final", FieldType::Boolean, false),
    ];
    let keys_path = format!("{path}.keys");
    for (index, name) in spec
        .keys
        .iter()
        .enumerate()
        .filter(|(_, name)| added.iter().any(|field| field.name == **name))
    {
        let text = format!("`{name}` is a field that every window adds; rename the key in a map before");
        problems.add(format!("{keys_path}[{index}]"), text);
    }
    let keys = check_keys(&keys_path, &spec.keys, input, key, problems);
    let aggregates_path = format!("{path}.aggregates");
    let aggregates = check_aggregates(&aggregates_path, &spec.aggregates, &spec.keys, &added, input, problems);
    let output = results(&spec.keys, added, &spec.aggregates, aggregates.as_deref(), input);
    let window = || {
        Some(Window {
            tumbling: tumbling?,
            allowed_lateness: allowed_lateness?,
            keys: keys?,
            aggregates: aggregates?,
        })
    };
    Checked {
        kind: window().map(OperatorKind::Window),
        output,
    }
}

fn check_tumbling(path: &str, spec: &WindowSpec, problems: &mut Problems) -> Option<Tumbling> {
    let size = problems.take(format!("{path}.size"), duration::millis(&spec.tumbling.size, 1));
    let offset = match &spec.tumbling.offset {
        Some(text) => problems.take(format!("{path}.offset"), duration::millis(text, 0)),
        None => Some(0),
    };
    let tumbling = Tumbling {
        size: size?,
        offset: offset?,
    };
    if tumbling.offset >= tumbling.size {
        problems.add(format!("{path}.offset"), "must be shorter than size");
        return None;
    }
    Some(tumbling)
}
