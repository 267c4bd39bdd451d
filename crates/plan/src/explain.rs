//! A plan in words, for the person who wrote it. Decides nothing.

mod numbers;
mod steps;
mod window;
mod workload;

use std::fmt::Write;

pub use self::numbers::count;
use self::numbers::{duration, millis};
use crate::{
    EventTime, Field, Fields, OperatorKind, OtherStream, Plan, Previous, Sasl, Security, Start, TimeDomain, TimeOrigin,
    TimeUnit, Topic, Ttl,
};

/// Says where a plan reads and writes, what every step does, what is remembered and what happens to bad and late records.
/// Every line ends in a line break.
pub fn explain(plan: &Plan) -> String {
    let mut text = format!("{} {}/{}\n", plan.kind, plan.namespace, plan.name);
    reads(plan, &mut text);
    steps(plan, &mut text);
    state(plan, &mut text);
    writes(plan, &mut text);
    delivery(plan, &mut text);
    workload::describe(plan, &mut text);
    text
}

/// A line under a heading; the heading stands on the first one only.
fn line(text: &mut String, heading: &str, content: &str) {
    writeln!(text, "{heading:<9} {content}").expect("a string takes everything");
}

fn quoted(words: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    words
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn reads(plan: &Plan, text: &mut String) {
    let source = &plan.source;
    let topics = quoted(&source.topics);
    let servers = source.connection.bootstrap_servers.join(", ");
    line(
        text,
        "Reads",
        &format!(
            "{} {topics} at {servers}",
            if source.topics.len() == 1 { "topic" } else { "topics" }
        ),
    );
    if let Some(words) = security(&source.connection.security) {
        line(text, "", &words);
    }
    let start = start(source.start);
    line(
        text,
        "",
        &format!("in group `{}`; {start} where the group has no offset", source.group),
    );
    match plan.input.is_empty() {
        true => line(text, "", "no field is decoded"),
        false => line(text, "", &format!("decodes {}", fields(&plan.input))),
    }
    line(text, "", &key(plan));
    line(text, "", &event_time(plan.event_time, &plan.input));
    for (_, streams) in plan.joined_streams() {
        reads_too(&streams.other, text);
    }
}

/// A stream that is read beside the source.
fn reads_too(other: &OtherStream, text: &mut String) {
    let (topics, names) = (
        if other.topics.len() == 1 { "topic" } else { "topics" },
        quoted(&other.topics),
    );
    let start = start(other.start);
    line(
        text,
        "",
        &format!(
            "stream {}: {topics} {names}; {start} where the group has no offset",
            other.name
        ),
    );
    line(text, "", &format!("  decodes {}", fields(&other.fields)));
    line(text, "", &format!("  {}", event_time(other.event_time, &other.fields)));
}

fn start(start: Start) -> &'static str {
    match start {
        Start::Earliest => "from the oldest record",
        Start::Latest => "from the end",
    }
}

fn security(security: &Security) -> Option<String> {
    let tls = security.tls.as_ref().map(|tls| match (&tls.ca, &tls.client) {
        (None, None) => "TLS".to_owned(),
        (Some(ca), None) => format!("TLS (authorities from secret `{}`)", ca.name),
        (None, Some((certificate, _))) => format!("TLS with the client certificate of secret `{}`", certificate.name),
        (Some(ca), Some((certificate, _))) => {
            format!(
                "TLS (authorities from secret `{}`) with the client certificate of secret `{}`",
                ca.name, certificate.name
            )
        }
    });
    let sasl = security.sasl.as_ref().map(
        |Sasl {
             mechanism, password, ..
         }| { format!("SASL {mechanism} with the password of secret `{}`", password.name) },
    );
    let parts: Vec<_> = [tls, sasl].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("over {}", parts.join(" and ")))
}

fn fields(fields: &[Field]) -> String {
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

fn field(field: &Field) -> String {
    let or_null = if field.nullable { " or null" } else { "" };
    let from = if field.path == [field.name.as_str()] {
        String::new()
    } else {
        format!(" at {}", field.path.join("."))
    };
    format!("{} ({}{or_null}{from})", field.name, field.field_type)
}

fn key(plan: &Plan) -> String {
    match &plan.key {
        None => "record keys are passed on and mean nothing".to_owned(),
        Some(key) => {
            let names = quoted(key.fields.iter().map(|position| &plan.input[*position].name));
            format!("record key: {names}; a record with another key than its fields say is a bad record")
        }
    }
}

fn event_time(time: EventTime, input: &Fields) -> String {
    let origin = match time.origin {
        TimeOrigin::Record => "the Kafka timestamp".to_owned(),
        TimeOrigin::Field { position, unit } => {
            let unit = match unit {
                TimeUnit::Seconds => " (seconds)",
                TimeUnit::Milliseconds => "",
                TimeUnit::Microseconds => " (microseconds)",
                TimeUnit::Nanoseconds => " (nanoseconds)",
            };
            format!("field `{}`{unit}", input[position].name)
        }
    };
    let order = match time.max_out_of_orderness {
        0 => "in order".to_owned(),
        disorder => format!("up to {} out of order", millis(disorder)),
    };
    let idle = time.close_after_idle.map_or(String::new(), |after| {
        format!("; after {} without a record it goes on with the clock", millis(after))
    });
    let drift = time.max_drift.map_or(String::new(), |most| {
        format!(
            "; a runner stops fetching partitions that are more than {} ahead",
            millis(most)
        )
    });
    format!("event time: {origin}, {order}{idle}{drift}")
}

fn steps(plan: &Plan, text: &mut String) {
    if plan.operators.is_empty() {
        line(text, "Steps", "none: records are copied");
    }
    for (position, operator) in plan.operators.iter().enumerate() {
        let heading = if position == 0 { "Steps" } else { "" };
        let content = steps::describe(operator, plan.fields_into(position));
        line(text, heading, &format!("{}. {} {content}", position + 1, operator.name));
    }
    stages(plan, text);
}

fn stages(plan: &Plan, text: &mut String) {
    if plan.repartitions.is_empty() {
        return line(
            text,
            "Stages",
            "one: every step runs where the partition is read, nothing is repartitioned",
        );
    }
    let number = plan.stages();
    line(
        text,
        "Stages",
        &format!("{number}: records change partitions where a step needs another key than theirs, or another stream"),
    );
    for cut in &plan.repartitions {
        let (operator, input) = (&plan.operators[cut.before], plan.fields_into(cut.before));
        let keys = operator.kind.keys().unwrap_or_default();
        let names = match &operator.kind {
            // Of the input's names those of one side would stand for both.
            OperatorKind::StreamJoin(_) => quoted(operator.output[..keys.len()].iter().map(|field| &field.name)),
            _ => quoted(keys.iter().map(|key| &input[*key].name)),
        };
        let carried = input
            .iter()
            .map(|field| field.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let content = format!(
            "before {}, by {names}, through internal topic {}; it carries {carried}",
            operator.name,
            topic(&cut.topic)
        );
        line(text, "", &content);
        let combined = match plan.combines(cut) {
            Ok(()) => "rows of a batch that have group and window in common cross as one".to_owned(),
            Err(why) => format!("rows cross one by one: {why}"),
        };
        line(text, "", &combined);
    }
}

fn state(plan: &Plan, text: &mut String) {
    let mut heading = "State";
    for (position, operator) in plan.operators.iter().enumerate() {
        let keys = |keys: &[usize]| quoted(keys.iter().map(|key| &plan.fields_into(position)[*key].name));
        let words = match &operator.kind {
            OperatorKind::Group(group) => {
                let (name, keys) = (&operator.name, keys(&group.keys));
                format!("{name} remembers one row for every {keys}, {}", kept(group.ttl))
            }
            OperatorKind::Previous(Previous { keys: group, ttl, .. }) => {
                let (name, keys) = (&operator.name, keys(group));
                format!("{name} remembers one row for every {keys}, {}", kept(*ttl))
            }
            OperatorKind::Deduplicate(deduplicate) => {
                let (name, keys) = (&operator.name, keys(&deduplicate.keys));
                let passed = passed(deduplicate.within, deduplicate.time);
                format!("{name} remembers the time of one record for every {keys}, until {passed}")
            }
            OperatorKind::StreamJoin(streams) => {
                let rows = steps::remembered(streams, plan.event_time.max_out_of_orderness);
                format!("{} remembers {rows}", operator.name)
            }
            OperatorKind::Window(window) => {
                let until = window::forgotten(plan, window);
                format!(
                    "{} remembers one row for every {} and {}; {until}",
                    operator.name,
                    keys(&window.keys),
                    window::remembered(window)
                )
            }
            _ => continue,
        };
        line(text, heading, &words);
        heading = "";
    }
    let owner = format!("state id `{}`", plan.state_id);
    match heading {
        "" => line(text, "", &owner),
        _ => line(
            text,
            "State",
            &format!("none but the position in each partition; {owner}"),
        ),
    }
    if !plan.droppable.is_empty() {
        let names = quoted(&plan.droppable);
        line(
            text,
            "",
            &format!("a change of the spec may throw away the state of {names}"),
        );
    }
}

fn kept(ttl: Option<Ttl>) -> String {
    match ttl {
        None => "for ever".to_owned(),
        Some(Ttl { after, time }) => format!("until {} without another record", passed(after, time)),
    }
}

fn passed(length: i64, time: TimeDomain) -> String {
    format!("{} of {} have passed", millis(length), time.as_str())
}

fn writes(plan: &Plan, text: &mut String) {
    let mut heading = "Writes";
    for sink in &plan.sinks {
        line(
            text,
            heading,
            &format!("sink {}: topic {}", sink.name, topic(&sink.topic)),
        );
        heading = "";
    }
    if plan.passes_bytes_through() {
        line(text, "", "key, value, headers and timestamp as they came in");
    } else {
        let names: Vec<_> = plan.output().iter().map(|field| field.name.as_str()).collect();
        line(text, "", &format!("each value a JSON object of {}", names.join(", ")));
        line(text, "", result_key(plan));
    }
    line(
        text,
        "Bad",
        &format!("records go to topic {}", topic(&plan.dead_letter)),
    );
    let window = plan
        .operators
        .iter()
        .any(|operator| matches!(operator.kind, OperatorKind::Window(_) | OperatorKind::StreamJoin(_)));
    match &plan.late_records {
        Some(late) => line(text, "Late", &format!("records go to topic {}", topic(late))),
        None if window => line(text, "Late", "records are dropped and counted"),
        None => {}
    }
}

fn result_key(plan: &Plan) -> &'static str {
    let of_its_own = |operator: &crate::Operator| match operator.kind {
        OperatorKind::Group(_) | OperatorKind::Window(_) => Some("each key the group's key"),
        OperatorKind::StreamJoin(_) => Some("each key that by which both streams are joined"),
        _ => None,
    };
    match plan.operators.iter().rev().find_map(of_its_own) {
        Some(key) => key,
        None => "each key that of the record it was made of",
    }
}

fn topic(topic: &Topic) -> String {
    if !topic.create {
        return format!("`{}`, which must exist", topic.name);
    }
    let partitions = match topic.partitions {
        Some(partitions) => count(usize::from(partitions), "partition"),
        None => "as many partitions as the source".to_owned(),
    };
    let replicas = topic
        .replication_factor
        .map(|replicas| format!(", {}", count(usize::from(replicas), "replica")));
    let retention = topic.retention.map(|retention| match retention {
        Topic::FOR_EVER => ", kept until read".to_owned(),
        retention => format!(", kept for {}", duration(retention)),
    });
    let (replicas, retention) = (replicas.unwrap_or_default(), retention.unwrap_or_default());
    format!(
        "`{}`, created if missing with {partitions}{replicas}{retention}",
        topic.name
    )
}

fn delivery(plan: &Plan, text: &mut String) {
    let interval = duration(plan.checkpoint_interval);
    line(
        text,
        "Delivery",
        &format!("exactly once; results, state and offsets are committed together every {interval}"),
    );
    let kept = count(usize::from(plan.checkpoint_retain), "checkpoint");
    line(text, "", &format!("{kept} kept for each partition"));
}
