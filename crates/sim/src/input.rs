//! A random input: records out of order, late, doubled and bad, and stretches in which only the clock moves.

use millrace_engine::{Effects, Emit, Record};
use serde_json::{Map, Value, json};

use crate::manifest::Shape;
use crate::random::Random;

/// Where event time and the clock begin.
const START: i64 = 1_000_000;
const KEYS: usize = 4;

/// One thing that happens to a partition.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A record comes in.
    Record(Stored),
    /// The clock has come to this.
    Clock(i64),
}

/// A record that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Stored {
    /// What a step over `records` asked for.
    pub(crate) fn of(emit: &Emit, effects: &Effects, records: &[Record<'_>]) -> Self {
        let of_input = |at: u32| &records[at as usize];
        Self {
            timestamp: emit.timestamp,
            key: effects.resolve(emit.key, |at| of_input(at).key).map(<[u8]>::to_vec),
            value: effects.resolve(emit.value, |at| of_input(at).value).map(<[u8]>::to_vec),
        }
    }

    pub(crate) fn record(&self, offset: i64) -> Record<'_> {
        Record {
            offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
        }
    }
}

/// How an input behaves.
struct Weather {
    /// Milliseconds between records, at most.
    pace: i64,
    /// Milliseconds by which a record may be older than the newest.
    jitter: i64,
    /// In percent of the records.
    late: usize,
    doubled: usize,
    bad: usize,
    idle: usize,
}

pub(crate) fn make(random: &mut Random, shape: &Shape) -> Vec<Event> {
    let weather = Weather {
        pace: [0, 3, 20, 200][random.below(4)],
        jitter: [0, 4, 60][random.below(3)],
        late: [0, 5, 30][random.below(3)],
        doubled: [0, 10][random.below(2)],
        bad: [0, 0, 10][random.below(3)],
        idle: [0, 5][random.below(2)],
    };
    let mut events: Vec<Event> = Vec::new();
    let (mut now, mut clock) = (START, START);
    for _ in 0..random.between(5, 80) {
        now += random.between(0, weather.pace);
        clock += random.between(0, 10);
        if random.chance(weather.idle) {
            clock += random.between(1, 3000);
            events.push(Event::Clock(clock));
            if random.chance(50) {
                now += random.between(1, 3000);
            }
        }
        if random.chance(weather.doubled) && !events.is_empty() {
            let earlier = events[random.below(events.len())].clone();
            if matches!(earlier, Event::Record(_)) {
                events.push(earlier);
                continue;
            }
        }
        let mut time = now - random.between(0, weather.jitter);
        if random.chance(weather.late) {
            time -= random.between(1, 2000);
        }
        let record = record(random, shape, time);
        events.push(Event::Record(if random.chance(weather.bad) {
            spoilt(random, record)
        } else {
            record
        }));
    }
    events
}

/// An input of a stream that a join reads.
pub(crate) fn of_stream(random: &mut Random) -> Vec<Event> {
    let shape = Shape {
        fields: vec![
            ("k", "string", true),
            ("n", "int64", true),
            ("a", "int64", true),
            ("ts", "int64", false),
        ],
        key: Vec::new(),
        timed_by_field: true,
    };
    make(random, &shape)
}

/// Both inputs as one, in which each keeps its order.
pub(crate) fn merged(random: &mut Random, one: Vec<Event>, other: Vec<Event>) -> Vec<Event> {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    let mut events = Vec::new();
    loop {
        let next = match (one.peek().is_some(), other.peek().is_some()) {
            (true, true) if random.chance(50) => one.next(),
            (_, true) => other.next(),
            _ => one.next(),
        };
        match next {
            Some(event) => events.push(event),
            None => return events,
        }
    }
}

fn record(random: &mut Random, shape: &Shape, time: i64) -> Stored {
    let mut value = Map::new();
    for (name, kind, nullable) in &shape.fields {
        let cell = match *name {
            "ts" if !random.chance(2) => json!(time),
            _ if *nullable && random.chance(12) => {
                if random.chance(50) {
                    value.insert((*name).to_owned(), Value::Null);
                }
                continue;
            }
            "k" => json!(format!("k{}", random.below(KEYS))),
            "n" => json!(random.below(3)),
            _ => cell(random, kind),
        };
        value.insert((*name).to_owned(), cell);
    }
    if random.chance(10) {
        value.insert("undeclared".to_owned(), json!([{"x": 1}]));
    }
    Stored {
        timestamp: time,
        key: key(&shape.key, &value),
        value: Some(Value::Object(value).to_string().into_bytes()),
    }
}

fn cell(random: &mut Random, kind: &str) -> Value {
    match kind {
        "int64" => match random.below(30) {
            0 => json!(i64::MAX),
            1 => json!(i64::MIN),
            _ => json!(random.between(-5, 9)),
        },
        "float64" => json!([0.0, -1.5, 0.1, 2.5, 1e300, 7.0][random.below(6)]),
        "decimal" => json!(format!("{}.{:02}", random.between(-3, 20), random.below(100))),
        "boolean" => json!(random.chance(50)),
        "timestamp" => json!(START + random.between(0, 2000)),
        "array" => json!((0..random.below(4)).map(|_| random.between(-2, 5)).collect::<Vec<_>>()),
        "objects" => {
            let item = |random: &mut Random| json!({"x": random.between(0, 5), "y": random.pick(&["a", "bb"])});
            Value::Array((0..random.below(4)).map(|_| item(random)).collect())
        }
        _ => json!(random.pick(&["", "a", "bb", "xax", "über"])),
    }
}

/// What Kafka's key must be: one text bare, anything else as JSON.
fn key(fields: &[&str], value: &Map<String, Value>) -> Option<Vec<u8>> {
    let cell = |name: &str| value.get(name).cloned().unwrap_or(Value::Null);
    let text = match fields {
        [] => return None,
        [one] => match cell(one) {
            Value::String(text) => text,
            other => other.to_string(),
        },
        several => {
            let members: Map<String, Value> = several.iter().map(|name| ((*name).to_owned(), cell(name))).collect();
            Value::Object(members).to_string()
        }
    };
    Some(text.into_bytes())
}

/// A record that something is wrong with.
fn spoilt(random: &mut Random, record: Stored) -> Stored {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    match random.below(7) {
        0 => Stored { value: None, ..record },
        1 => Stored {
            value: text("{\"k\":"),
            ..record
        },
        2 => Stored {
            value: text("[1]"),
            ..record
        },
        3 => Stored {
            value: text("{\"k\":1,\"k\":2}"),
            ..record
        },
        4 => Stored {
            value: text("{\"k\":{},\"a\":\"x\",\"ts\":\"yesterday\"}"),
            ..record
        },
        5 => Stored { key: None, ..record },
        _ => Stored {
            key: text("another"),
            ..record
        },
    }
}
