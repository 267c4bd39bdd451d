//! 1,000 hostile records among 3,000 good ones, with a SIGKILL in the middle: each hostile one becomes one dead letter
//! that says where it is from and why, each good one gives its result, and memory stays within bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use millrace_e2e::broker::shared;
use millrace_e2e::client::{Message, Stored};
use millrace_e2e::compare::{origins, outcomes, same_multiset};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights;
use millrace_e2e::manifest::{Manifest, examples};
use millrace_e2e::oracle;
use millrace_e2e::programs::millrace;
use millrace_e2e::scenario::{PARTITIONS, Scenario};
use serde_json::Value;

const HOSTILE: usize = 1000;
/// What a runner of a debug build may take at most while records of 1 MB pass.
const MEMORY: u64 = 256 << 20;
/// Test header on hostile records: the reason that they must be refused for.
const REASON: &str = "expected-reason";

const GOOD: &str = r#"{"ts":1357035300000,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","dep_delay":99,"arr_delay":11,"air_time":227,"distance":1400}"#;

/// The good record with one piece of its text replaced.
fn but(from: &str, to: &str) -> Vec<u8> {
    assert!(GOOD.contains(from));
    GOOD.replace(from, to).into_bytes()
}

/// The good record, `wrong` put in for the carrier's two letters.
fn with_carrier_bytes(wrong: &[u8]) -> Vec<u8> {
    let (before, after) = GOOD.split_once("UA").unwrap();
    [before.as_bytes(), wrong, after.as_bytes()].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    let deep = format!(r#""distance":1400,"more":{}1{}"#, "[".repeat(depth), "]".repeat(depth));
    but(r#""distance":1400"#, &deep)
}

/// Values that must be refused, each with its reason.
fn hostile_values() -> Vec<(Option<Vec<u8>>, &'static str)> {
    let mut values: Vec<(Option<Vec<u8>>, &'static str)> = vec![(None, "null-value")];
    let undecodable: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"   ".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"true".to_vec(),
        b"17".to_vec(),
        b"\"text\"".to_vec(),
        b"[]".to_vec(),
        b"{\"ts\":".to_vec(),
        GOOD.as_bytes()[..GOOD.len() - 1].to_vec(),
        format!("{GOOD}{GOOD}").into_bytes(),
        format!("{GOOD} trailing").into_bytes(),
        format!("\u{feff}{GOOD}").into_bytes(),
        but("\"ts\"", "ts"),
        but("\"ts\"", "'ts'"),
        but(":1400", ":1400,"),
        but(":1400", ":01400"),
        but(":1400", ":NaN"),
        but(":1400", ":+1400"),
        but(":1400", ":0x578"),
        but("\"EWR\"", "\"E\u{1}R\""),
        but("\"EWR\"", "\"E\\xR\""),
        but("\"EWR\"", "\"\\ud800\""),
        but("\"EWR\"", "\"EWR"),
        but("\"dest\"", "\"origin\":\"JFK\",\"dest\""),
        with_carrier_bytes(b"\xff\xfe"),
        with_carrier_bytes(b"\xc3\x28"),
        with_carrier_bytes(b"\xed\xa0\x80"),
        b"\x00\x01\x02\x03".to_vec(),
        nested(10_000),
        nested(100_000),
        "{\"a\":".repeat(10_000).into_bytes(),
    ];
    values.extend(undecodable.into_iter().map(|value| (Some(value), "undecodable")));
    let mismatches: Vec<Vec<u8>> = vec![
        b"{}".to_vec(),
        but("\"ts\":1357035300000", "\"ts\":null"),
        but("\"ts\":1357035300000", "\"ts\":\"yesterday\""),
        but("\"ts\":1357035300000", "\"ts\":true"),
        but("\"ts\":1357035300000,", ""),
        but("\"carrier\":\"UA\"", "\"carrier\":null"),
        but("\"carrier\":\"UA\"", "\"carrier\":17"),
        but("\"carrier\":\"UA\"", "\"carrier\":{\"code\":\"UA\"}"),
        but("\"flight\":1545", "\"flight\":\"1545\""),
        but("\"flight\":1545", "\"flight\":1545.5"),
        but("\"flight\":1545", "\"flight\":1e300"),
        but("\"flight\":1545", "\"flight\":9223372036854775808"),
        but("\"flight\":1545,", ""),
        but("\"dep_delay\":99", "\"dep_delay\":[99]"),
        but("\"dep_delay\":99", "\"dep_delay\":\"late\""),
        but("\"distance\":1400", "\"distance\":false"),
        but("\"distance\":1400", "\"distance\":null"),
        but("\"distance\":1400", "\"far\":1400"),
    ];
    values.extend(mismatches.into_iter().map(|value| (Some(value), "schema-mismatch")));
    values
}

/// The `n`th hostile record.
fn hostile(n: usize, values: &[(Option<Vec<u8>>, &'static str)]) -> Message {
    let (key, value, reason) = match n % 50 {
        // A megabyte: too large to come back whole together with its headers.
        0 => (
            Some(b"UA".to_vec()),
            Some(but(
                "\"flight\":1545",
                &format!("\"flight\":\"{}\"", "x".repeat(1_000_000)),
            )),
            "schema-mismatch",
        ),
        1 => (Some(b"AA".to_vec()), Some(GOOD.as_bytes().to_vec()), "key-mismatch"),
        2 => (None, Some(GOOD.as_bytes().to_vec()), "key-mismatch"),
        3 => (
            Some(b"\xff\x00".to_vec()),
            Some(GOOD.as_bytes().to_vec()),
            "key-mismatch",
        ),
        4 => (Some(b"\"UA\"".to_vec()), Some(GOOD.as_bytes().to_vec()), "key-mismatch"),
        _ => {
            let (value, reason) = &values[n % values.len()];
            (Some(b"UA".to_vec()), value.clone(), *reason)
        }
    };
    let mut headers = vec![
        (REASON.to_owned(), reason.as_bytes().to_vec()),
        ("n".to_owned(), n.to_string().into_bytes()),
    ];
    if n % 50 == 5 {
        // Headers that pretend to be ours, and many of them.
        headers.push(("millrace.reason".to_owned(), b"forged".to_vec()));
        headers.push(("millrace.offset".to_owned(), b"-7".to_vec()));
        headers.extend((0..1000).map(|n| (format!("h{n}"), b"v".to_vec())));
    }
    Message {
        key,
        value,
        timestamp: 1_357_035_300_000,
        headers,
        partition: None,
    }
}

fn messages() -> Vec<Message> {
    let values = hostile_values();
    let good = flights::january().unwrap();
    let mut messages = Vec::new();
    for n in 0..HOSTILE {
        messages.extend(
            good[3 * n..3 * n + 3]
                .iter()
                .map(|line| flights::message(line).unwrap()),
        );
        messages.push(hostile(n, &values));
    }
    messages
}

#[test]
fn hostile_lines_of_a_file_are_told_apart_by_reason() {
    let values = hostile_values();
    let lines: Vec<_> = values
        .iter()
        .filter_map(|(value, reason)| Some((value.as_ref()?, *reason)))
        .collect();
    let lines: Vec<_> = lines.into_iter().filter(|(value, _)| !value.is_empty()).collect();
    let folder = tempfile::tempdir().unwrap();
    let [input, output, dead] = ["input.jsonl", "output.jsonl", "dead.jsonl"].map(|name| folder.path().join(name));
    let mut text = Vec::new();
    for (value, _) in &lines {
        text.extend_from_slice(value);
        text.extend_from_slice(format!("\n{GOOD}\n").as_bytes());
    }
    fs::write(&input, text).unwrap();
    let mut arguments: Vec<PathBuf> = vec!["run".into(), examples().join("01-filter-map/pipeline.yaml")];
    for (option, path) in [("--input", &input), ("--output", &output), ("--dead-letters", &dead)] {
        arguments.extend([option.into(), path.clone()]);
    }
    let run = millrace(arguments, Duration::from_secs(60)).unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    assert_eq!(
        fs::read_to_string(output).unwrap().lines().count(),
        lines.len(),
        "each good line gives its result"
    );
    let mut found: Vec<(u64, String)> = Vec::new();
    for line in fs::read_to_string(dead).unwrap().lines() {
        let letter: Value = serde_json::from_str(line).unwrap();
        found.push((
            letter["offset"].as_u64().unwrap() / 2,
            letter["reason"].as_str().unwrap().to_owned(),
        ));
    }
    found.sort();
    let expected: Vec<(u64, String)> = lines
        .iter()
        .zip(0..)
        .map(|((_, reason), at)| (at, (*reason).to_owned()))
        .collect();
    let differ: Vec<_> = expected.iter().filter(|one| !found.contains(one)).collect();
    let shown: Vec<_> = differ
        .iter()
        .map(|(at, _)| {
            String::from_utf8_lossy(lines[*at as usize].0)
                .chars()
                .take(200)
                .collect::<String>()
        })
        .collect();
    assert!(found == expected, "not refused for this reason: {differ:?}: {shown:#?}");
}

#[test]
fn hostile_records_are_dead_lettered_once_and_nothing_else_is_lost() {
    let client = shared().client();
    client.create_topic("flights-hostile", PARTITIONS).unwrap();
    let manifest = Manifest::example("01-filter-map/pipeline.yaml").unwrap();
    let scenario = Scenario::new(
        manifest,
        client.clone(),
        shared().bootstrap(),
        "flights-hostile",
        "hostile",
    )
    .unwrap();
    let messages = messages();
    let half = messages.len() / 2;

    let mut runner = scenario.runners().start("runner-0").unwrap();
    client
        .write("flights-hostile", messages[..half].iter().cloned())
        .unwrap();
    eventually("some is committed", Duration::from_secs(60), || {
        Ok((scenario.committed()? > 0).then_some(()))
    })
    .unwrap();
    let (mut first, mut killed) = (0, false);
    let mut written = half;
    for chunk in messages[half..].chunks(100) {
        client.write("flights-hostile", chunk.iter().cloned()).unwrap();
        written += chunk.len();
        if !killed && scenario.committed().unwrap() < written as i64 {
            first = runner.process.memory().unwrap().peak;
            runner.process.kill().unwrap();
            // It may have committed the rest between the look and the kill.
            killed = scenario.committed().unwrap() < written as i64;
            runner = scenario.runners().start("runner-0").unwrap();
        }
    }
    assert!(killed, "killed while records were not committed");
    scenario.wait_until_caught_up().unwrap();
    let second = runner.process.memory().unwrap().peak;
    assert!(
        runner.process.terminate(Duration::from_secs(30)).unwrap().success(),
        "{}",
        runner.process.log_tail()
    );

    let (bad, good): (Vec<Stored>, Vec<Stored>) = scenario
        .input()
        .unwrap()
        .into_iter()
        .partition(|record| record.header(REASON).is_some());
    assert_eq!((bad.len(), good.len()), (HOSTILE, 3 * HOSTILE));
    same_multiset(
        outcomes(&scenario.output().unwrap()),
        oracle::filter_map(&good).unwrap(),
    )
    .unwrap();
    check_dead_letters(&bad, &scenario.aside("dead").unwrap());
    scenario.check_no_transaction_hangs().unwrap();
    assert!(
        first < MEMORY && second < MEMORY,
        "peak memory {first} and {second} bytes"
    );
    let logs = scenario.runners().logs().unwrap();
    assert!(
        !logs.contains("N14228") && !logs.contains("xxxxxxxx"),
        "record contents stand in a log"
    );
}

fn check_dead_letters(bad: &[Stored], dead: &[Stored]) {
    let mut positions: Vec<(i32, i64)> = bad.iter().map(|record| (record.partition, record.offset)).collect();
    positions.sort_unstable();
    same_multiset(origins(dead), positions).unwrap();
    let by_number: HashMap<&str, &Stored> = bad.iter().map(|record| (record.header("n").unwrap(), record)).collect();
    for letter in dead {
        let record = by_number[letter.header("n").unwrap()];
        let reason = letter.header("millrace.reason");
        assert_eq!(
            reason,
            record.header(REASON),
            "{}: {:?}",
            record.header("n").unwrap(),
            letter.header("millrace.error")
        );
        assert_eq!(letter.header("millrace.topic"), Some("flights-hostile"));
        assert_eq!(letter.header("millrace.operator"), Some("source"));
        assert_eq!(letter.header("millrace.timestamp"), Some("1357035300000"));
        assert!(letter.header("millrace.error").is_some_and(|error| error.len() > 10));
        assert_eq!(letter.key, record.key);
        assert!(letter.headers.starts_with(&record.headers), "its own headers stay");
        match letter.header("millrace.cut") {
            None => assert_eq!(letter.value, record.value),
            Some(length) => {
                let (cut, whole) = (letter.value.as_deref().unwrap(), record.value.as_deref().unwrap());
                assert!(
                    whole.len() > 1_000_000 && length == whole.len().to_string(),
                    "only what is too large is cut"
                );
                assert!(cut.len() > 500_000 && whole.starts_with(cut));
            }
        }
    }
}
