//! How many runners there should be. Pure.

use millrace_plan::Workload;

/// None while suspended, else as many as asked for, but never more than partitions: the others would have nothing to do.
pub fn runners(workload: &Workload, partitions: Option<u32>) -> i32 {
    match workload.suspended {
        true => 0,
        false => i32::from(at_most(workload.replicas, partitions)),
    }
}

/// `runners`, or the partitions where there are fewer. At least one where one was asked for: a topic that is not there yet
/// needs a runner to wait for it.
pub fn at_most(runners: u16, partitions: Option<u32>) -> u16 {
    let most = partitions.and_then(|partitions| u16::try_from(partitions.max(1)).ok());
    most.map_or(runners, |most| runners.min(most))
}

#[cfg(test)]
mod tests {
    use millrace_plan::Resources;

    use super::*;

    #[test]
    fn runners_are_what_was_asked_for_within_the_partitions() {
        for (replicas, suspended, partitions, expected) in [
            (3, false, None, 3),
            (3, false, Some(6), 3),
            (9, false, Some(6), 6),
            (9, true, Some(6), 0),
            (0, false, Some(6), 0),
            (2, false, Some(0), 1),
            (0, false, Some(0), 0),
            (1000, false, Some(1_000_000), 1000),
        ] {
            let workload = Workload {
                replicas,
                scaling: None,
                requests: Resources::default(),
                limits: Resources::default(),
                storage: None,
                suspended,
            };
            assert_eq!(
                runners(&workload, partitions),
                expected,
                "{replicas} {suspended} {partitions:?}"
            );
        }
    }
}
