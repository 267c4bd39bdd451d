//! `spec.replicas`, `scaling`, `resources`, `suspend` and `checkpoint.storage`.

use std::time::Duration;

use millrace_crds::{AccessMode, Reclaim, ResourceAmounts, ScalingSpec};

use super::declared::Declared;
use super::duration;
use super::problems::Problems;
use crate::workload::{DEFAULT_MEMORY_LIMIT, DEFAULT_REQUESTS, DEFAULT_SIZE};
use crate::{Resources, Scaling, ScalingTarget, Storage, Workload};

const DEFAULT_SCALE_DOWN_AFTER: Duration = Duration::from_secs(300);
const LONGEST_SCALE_DOWN_AFTER: Duration = Duration::from_secs(3600);

/// `is_stateful`: whether checkpoints have anything to hold.
pub(super) fn check(declared: &Declared, is_stateful: bool, problems: &mut Problems) -> Workload {
    let (requests, limits) = resources(declared, problems);
    // Checked in any case: a groupBy or window that is added later must not bring old mistakes to light.
    let storage = storage(declared, problems);
    Workload {
        replicas: declared.workload.replicas,
        scaling: declared.workload.scaling.map(|spec| scaling(spec, problems)),
        requests,
        limits,
        storage: is_stateful.then_some(storage),
        suspended: declared.workload.suspend,
    }
}

fn scaling(spec: &ScalingSpec, problems: &mut Problems) -> Scaling {
    let min = spec.min.unwrap_or(1);
    if min == 0 || min > spec.max {
        problems.add("spec.scaling.min", "must be at least 1 and at most `max`");
    }
    let target = match (spec.target.lag_records, spec.target.lag_seconds) {
        (Some(records), None) if records > 0 => ScalingTarget::LagRecords(records),
        (None, Some(seconds)) if seconds > 0 => ScalingTarget::LagSeconds(seconds),
        _ => {
            problems.add(
                "spec.scaling.target",
                "set exactly one of lagRecords and lagSeconds, above 0",
            );
            ScalingTarget::LagSeconds(1)
        }
    };
    let path = "spec.scaling.scaleDownAfter";
    let given = spec.scale_down_after.as_deref();
    let scale_down_after = given
        .and_then(|text| problems.take(path, duration::parse(text)))
        .unwrap_or(DEFAULT_SCALE_DOWN_AFTER);
    if scale_down_after > LONGEST_SCALE_DOWN_AFTER {
        problems.add(path, "must be at most 1h");
    }
    Scaling {
        min,
        max: spec.max,
        target,
        scale_down_after,
    }
}

fn resources(declared: &Declared, problems: &mut Problems) -> (Resources, Resources) {
    let spec = declared.workload.resources;
    let of = |amounts: Option<&ResourceAmounts>| Resources {
        cpu: amounts.and_then(|amounts| amounts.cpu.clone()),
        memory: amounts.and_then(|amounts| amounts.memory.clone()),
    };
    let mut limits = of(spec.and_then(|spec| spec.limits.as_ref()));
    let mut requests = of(spec.and_then(|spec| spec.requests.as_ref()));
    let amount = |text: &Option<String>| text.as_deref().and_then(millis);
    // What is left out never contradicts what was given.
    if limits.memory.is_none() {
        let default = Some(DEFAULT_MEMORY_LIMIT.to_owned());
        limits.memory = [default, requests.memory.clone()]
            .into_iter()
            .max_by_key(amount)
            .flatten();
    }
    if requests.cpu.is_none() {
        requests.cpu = smaller(DEFAULT_REQUESTS.0, &limits.cpu);
    }
    if requests.memory.is_none() {
        requests.memory = smaller(DEFAULT_REQUESTS.1, &limits.memory);
    }
    for (name, request, limit) in [
        ("cpu", &requests.cpu, &limits.cpu),
        ("memory", &requests.memory, &limits.memory),
    ] {
        if let (Some(asked), Some(most)) = (amount(request), amount(limit))
            && asked > most
        {
            problems.add(
                format!("spec.resources.requests.{name}"),
                format!(
                    "`{}` is more than the limit `{}`",
                    request.as_deref().unwrap_or_default(),
                    limit.as_deref().unwrap_or_default()
                ),
            );
        }
    }
    (requests, limits)
}

fn smaller(default: &str, limit: &Option<String>) -> Option<String> {
    match limit {
        Some(limit) if millis(limit) < millis(default) => Some(limit.clone()),
        _ => Some(default.to_owned()),
    }
}

/// A quantity in thousandths; None where it is not one (the schema's pattern has said so).
fn millis(quantity: &str) -> Option<u128> {
    let digits = quantity.len()
        - quantity
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (number, unit) = quantity.split_at(digits);
    let factor: u128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = format!("{fraction:0<3}");
    let thousandths = whole.parse::<u128>().ok()? * 1_000 + fraction.get(..3)?.parse::<u128>().ok()?;
    Some(thousandths * factor / 1_000)
}

fn storage(declared: &Declared, problems: &mut Problems) -> Storage {
    let spec = declared.checkpoint.and_then(|spec| spec.storage.as_ref());
    let size = spec.and_then(|spec| spec.size.as_deref()).unwrap_or(DEFAULT_SIZE);
    if millis(size).is_none_or(|size| size == 0) {
        problems.add(
            "spec.checkpoint.storage.size",
            format!("`{size}` is not a size such as `10Gi`"),
        );
    }
    Storage {
        size: size.to_owned(),
        class_name: spec.and_then(|spec| spec.class_name.clone()),
        one_node: spec.is_some_and(|spec| spec.access_mode == AccessMode::ReadWriteOnce),
        delete_with_object: spec.is_some_and(|spec| spec.reclaim == Reclaim::Delete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_across_units() {
        for (quantity, expected) in [
            ("100m", Some(100)),
            ("1", Some(1_000)),
            ("1.5", Some(1_500)),
            ("0.25", Some(250)),
            ("1Ki", Some(1_024_000)),
            ("1k", Some(1_000_000)),
            ("1Gi", Some(1_073_741_824_000)),
            ("x", None),
            ("1X", None),
        ] {
            assert_eq!(millis(quantity), expected, "{quantity}");
        }
    }
}
