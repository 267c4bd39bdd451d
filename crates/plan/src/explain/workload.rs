//! How a pipeline stands on a cluster, as far as it is not the default.

use std::fmt::Write;

use super::line;
use super::numbers::{count, duration};
use crate::workload::{DEFAULT_MEMORY_LIMIT, DEFAULT_REQUESTS, DEFAULT_SIZE};
use crate::{Plan, Resources, Scaling, ScalingTarget, Storage};

pub(super) fn describe(plan: &Plan, text: &mut String) {
    let workload = &plan.workload;
    let mut words = Vec::new();
    if workload.suspended {
        words.push("suspended: no runner runs".to_owned());
    }
    match &workload.scaling {
        Some(it) => words.push(scaling(it)),
        None if workload.replicas != 1 => words.push(count(usize::from(workload.replicas), "runner")),
        None => {}
    }
    words.extend(resources(&workload.requests, &workload.limits));
    words.extend(workload.storage.as_ref().and_then(storage));
    for (position, words) in words.iter().enumerate() {
        line(text, if position == 0 { "Cluster" } else { "" }, words);
    }
}

fn scaling(scaling: &Scaling) -> String {
    let target = match scaling.target {
        ScalingTarget::LagRecords(records) => format!("{records} records of lag for each"),
        ScalingTarget::LagSeconds(seconds) => format!("{seconds} seconds of lag"),
    };
    format!(
        "{} to {}, aiming at {target}; fewer when fewer were enough for {}",
        scaling.min,
        count(usize::from(scaling.max), "runner"),
        duration(scaling.scale_down_after)
    )
}

fn resources(requests: &Resources, limits: &Resources) -> Option<String> {
    let resources = |cpu: Option<&str>, memory: &str| Resources {
        cpu: cpu.map(str::to_owned),
        memory: Some(memory.to_owned()),
    };
    let asks = resources(Some(DEFAULT_REQUESTS.0), DEFAULT_REQUESTS.1);
    let gets = resources(None, DEFAULT_MEMORY_LIMIT);
    if (requests, limits) == (&asks, &gets) {
        return None;
    }
    let amounts = |resources: &Resources| {
        let named = [("cpu", &resources.cpu), ("memory", &resources.memory)];
        let amount = |(name, amount): (&str, &Option<String>)| Some(format!("{name} {}", amount.as_ref()?));
        named.into_iter().filter_map(amount).collect::<Vec<_>>().join(", ")
    };
    Some(format!(
        "each runner asks for {} and gets at most {}",
        amounts(requests),
        amounts(limits)
    ))
}

fn storage(storage: &Storage) -> Option<String> {
    let Storage {
        size,
        class_name,
        one_node,
        delete_with_object,
    } = storage;
    if (size.as_str(), class_name, one_node, delete_with_object) == (DEFAULT_SIZE, &None, &false, &false) {
        return None;
    }
    let mut words = format!("checkpoints in a volume claim of {size}");
    if let Some(class) = class_name {
        write!(words, " of class `{class}`").expect("a string takes everything");
    }
    if *one_node {
        words += "; all runners are on one node";
    }
    if *delete_with_object {
        words += "; deleted with the object";
    }
    Some(words)
}
