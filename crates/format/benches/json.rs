//! Nanoseconds per record for decoding and encoding, the best of several rounds. Run it on a release build:
//! `cargo bench -p millrace-format`.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use millrace_format::{Decoder, Encoder, Record};
use millrace_plan::{EventTime, Field, FieldType, Fields, InputKey, TimeOrigin, TimeUnit};

const RECORDS: usize = 10_000;
const BATCH: usize = 1_000;
const ROUNDS: usize = 100;

fn main() {
    let texts: Vec<String> = (0..RECORDS).map(event).collect();
    let keys: Vec<String> = (0..RECORDS).map(user).collect();
    let records: Vec<Record<'_>> = texts.iter().zip(&keys).map(record).collect();
    let mut report = format!(
        "{} bytes per record\n",
        texts.iter().map(String::len).sum::<usize>() / RECORDS
    );

    let all = Fields::new(fields(&["ts", "user", "type", "amount", "currency"]));
    let three = Fields::new(fields(&["ts", "user", "amount"]));
    let key = InputKey { fields: vec![1] };
    for (what, fields, key) in [
        ("decode 1 field", Fields::new(fields(&["ts"])), None),
        ("decode 3 fields", three.clone(), None),
        ("decode 3 fields, check the key", three, Some(&key)),
        ("decode 5 fields", all.clone(), None),
        ("decode 5 fields, check the key", all.clone(), Some(&key)),
    ] {
        line(&mut report, what, || decode(&fields, key, &records));
    }
    let shuffled: Vec<String> = (0..RECORDS).map(shuffled_event).collect();
    let shuffled: Vec<Record<'_>> = shuffled.iter().zip(&keys).map(record).collect();
    line(&mut report, "decode 5 fields, random order", || {
        decode(&all, None, &shuffled)
    });
    line(&mut report, "check UTF-8 only", || {
        records.iter().for_each(|record| {
            black_box(std::str::from_utf8(record.value.unwrap_or_default()).is_ok());
        })
    });

    for (what, names) in [
        ("encode 5 fields", &["ts", "user", "type", "amount", "currency"][..]),
        ("encode 3 fields", &["ts", "user", "amount"]),
    ] {
        let fields = Fields::new(fields(names));
        let columns = Decoder::json(&fields, None, by_field())
            .decode(&records, &mut Vec::new())
            .columns;
        let encoder = Encoder::json(&fields);
        let mut out = Vec::with_capacity(1 << 20);
        line(&mut report, what, || {
            let bound = encoder.bind(&columns);
            for row in 0..columns.num_rows() {
                if row % BATCH == 0 {
                    out.clear();
                }
                bound.write(row, &mut out);
            }
            black_box(&out);
        });
    }
    print(&report);
}

fn decode(fields: &Fields, key: Option<&InputKey>, records: &[Record<'_>]) {
    let mut decoder = Decoder::json(fields, key, by_field());
    let mut refused = Vec::new();
    for batch in records.chunks(BATCH) {
        black_box(decoder.decode(batch, &mut refused));
    }
    assert!(refused.is_empty(), "{refused:?}");
}

fn line(report: &mut String, what: &str, mut run: impl FnMut()) {
    let best = (0..ROUNDS).map(|_| timed(&mut run)).min().unwrap_or_default();
    let nanos = best.as_nanos() as f64 / RECORDS as f64;
    writeln!(report, "{what:<32} {nanos:>7.1} ns per record").expect("a string takes all writes");
}

fn timed(run: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
fn print(report: &str) {
    println!("{report}");
}

fn by_field() -> EventTime {
    let origin = TimeOrigin::Field {
        position: 0,
        unit: TimeUnit::Milliseconds,
    };
    EventTime {
        origin,
        ..EventTime::default()
    }
}

fn fields(names: &[&str]) -> Vec<Field> {
    let field = |name: &&str| {
        let field_type = match *name {
            "ts" => FieldType::Int64,
            "amount" => FieldType::Float64,
            _ => FieldType::String,
        };
        Field::computed(*name, field_type, false)
    };
    names.iter().map(field).collect()
}

fn record<'a>((text, key): (&'a String, &'a String)) -> Record<'a> {
    Record {
        key: Some(key.as_bytes()),
        value: Some(text.as_bytes()),
        ..Record::default()
    }
}

fn user(number: usize) -> String {
    format!("u{}", number * 7919 % 10_000)
}

fn members(number: usize) -> [String; 7] {
    let kind = ["view", "click", "purchase", "refund", "search"][number * 31 % 5];
    [
        format!("\"ts\":{}", 1_700_000_000_000 + number),
        format!("\"user\":\"{}\"", user(number)),
        format!("\"type\":\"{kind}\""),
        format!("\"amount\":{}.{:02}", number * 13 % 200, number * 17 % 100),
        format!("\"currency\":\"{}\"", ["EUR", "USD", "GBP"][number % 3]),
        format!("\"country\":\"{}\"", ["DE", "FR", "US"][number % 3]),
        format!("\"seq\":{number}"),
    ]
}

fn event(number: usize) -> String {
    format!("{{{}}}", members(number).join(","))
}

fn shuffled_event(number: usize) -> String {
    let mut members = members(number);
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for place in (1..members.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        members.swap(place, (state >> 33) as usize % (place + 1));
    }
    format!("{{{}}}", members.join(","))
}
