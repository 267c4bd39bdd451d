//! Every example gives what its folder says, computed beforehand by `examples/expected.py` without Millrace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millrace_e2e::compare::same_multiset;
use millrace_e2e::manifest::examples;
use millrace_e2e::programs::millrace;
use serde_json::Value;

/// The files of one run.
struct Run {
    output: Vec<String>,
    dead_letters: Vec<String>,
    late: Vec<String>,
}

/// Runs the first of `manifests` over the input of its folder; all paths below `examples/`.
fn run(manifests: &[&str]) -> Run {
    run_with(manifests, &[])
}

/// The same, with more options.
fn run_with(manifests: &[&str], options: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let input = examples().join(manifests[0]).parent().unwrap().join("input.jsonl");
    let [output, dead_letters, late] = ["output", "dead-letters", "late"].map(|name| folder.path().join(name));
    let mut arguments: Vec<PathBuf> = vec!["run".into()];
    arguments.extend(manifests.iter().map(|manifest| examples().join(manifest)));
    for (option, path) in [
        ("--input", &input),
        ("--output", &output),
        ("--dead-letters", &dead_letters),
        ("--late", &late),
    ] {
        arguments.extend([option.into(), path.clone()]);
    }
    arguments.extend(options.iter().map(PathBuf::from));
    let run = millrace(arguments, Duration::from_secs(60)).unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Run {
        output: lines(&output),
        dead_letters: lines(&dead_letters),
        late: lines(&late),
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn expected(path: &str) -> Vec<String> {
    lines(&examples().join(path))
}

#[test]
fn expected_files_are_what_the_script_computes() {
    let script = Command::new("python3")
        .arg(examples().join("expected.py"))
        .arg("--check")
        .output()
        .unwrap();
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
}

#[test]
fn every_folder_is_complete() {
    let mut folders = 0;
    for entry in fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("data") {
            folders += 1;
            for file in ["README.md", "input.jsonl", "expected.jsonl"] {
                assert!(path.join(file).exists(), "{} has no {file}", path.display());
            }
            let manifest = ["pipeline.yaml", "aggregation.yaml"]
                .iter()
                .any(|file| path.join(file).exists());
            assert!(manifest, "{} has no manifest", path.display());
        }
    }
    assert!(folders >= 5, "{folders}");
}

#[test]
fn filter_map() {
    let run = run(&["01-filter-map/pipeline.yaml"]);
    assert_eq!(run.output, expected("01-filter-map/expected.jsonl"));
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn tumbling_window_as_pipeline_and_in_short_form() {
    for manifest in [
        "02-tumbling-window/pipeline.yaml",
        "02-tumbling-window/aggregation.yaml",
    ] {
        let run = run(&[manifest]);
        same_multiset(run.output, expected("02-tumbling-window/expected.jsonl")).unwrap();
        assert_eq!(run.late, expected("02-tumbling-window/expected-late.jsonl"));
        assert_eq!(run.dead_letters.len(), 0);
    }
}

#[test]
fn join_with_tables() {
    let run = run(&["07-join-table/pipeline.yaml"]);
    assert_eq!(run.output, expected("07-join-table/expected.jsonl"));
}

#[test]
fn join_with_a_table_that_is_a_topic() {
    let rows = examples().join("16-table-topic/airlines.jsonl");
    let table = format!("airlines={}", rows.display());
    let run = run_with(&["16-table-topic/pipeline.yaml"], &["--table", &table]);
    assert_eq!(run.output, expected("16-table-topic/expected.jsonl"));
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn sessions() {
    let run = run(&["11-sessions/pipeline.yaml"]);
    same_multiset(run.output, expected("11-sessions/expected.jsonl")).unwrap();
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn windows_of_windows() {
    let run = run(&["12-windows-of-windows/pipeline.yaml"]);
    same_multiset(run.output, expected("12-windows-of-windows/expected.jsonl")).unwrap();
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn top_routes() {
    let run = run(&["14-top-routes/pipeline.yaml"]);
    same_multiset(run.output, expected("14-top-routes/expected.jsonl")).unwrap();
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn delays_and_weather() {
    let run = run(&["15-delays-and-weather/pipeline.yaml"]);
    same_multiset(run.output, expected("15-delays-and-weather/expected.jsonl")).unwrap();
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn group_by() {
    let run = run(&["03-group-by/pipeline.yaml"]);
    let expected = expected("03-group-by/expected.jsonl");
    assert_eq!(run.output.len(), expected.len());
    for (found, expected) in run.output.iter().zip(&expected) {
        let (mut found, mut expected): (Value, Value) = (
            serde_json::from_str(found).unwrap(),
            serde_json::from_str(expected).unwrap(),
        );
        // Sums of squares may be rounded in another order; everything else is exact.
        let (spread, wanted) = (found["spread"].take(), expected["spread"].take());
        assert_eq!(found, expected);
        match (spread.as_f64(), wanted.as_f64()) {
            (Some(spread), Some(wanted)) => {
                assert!((spread - wanted).abs() <= 1e-9 * wanted.max(1.0), "{found}: {wanted}")
            }
            _ => assert_eq!(spread, wanted, "{found}"),
        }
    }
}

#[test]
fn aggregates() {
    let run = run(&["09-aggregates/pipeline.yaml"]);
    same_multiset(run.output, expected("09-aggregates/expected.jsonl")).unwrap();
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn flat_map() {
    let run = run(&["04-flat-map/pipeline.yaml"]);
    assert_eq!(run.output, expected("04-flat-map/expected.jsonl"));
    assert_eq!(run.dead_letters.len(), 0);
}

#[test]
fn keyed_state() {
    let run = run(&["10-keyed-state/pipeline.yaml"]);
    assert_eq!(run.output, expected("10-keyed-state/expected.jsonl"));
    assert_eq!((run.dead_letters.len(), run.late.len()), (0, 0));
}

#[test]
fn dead_letters() {
    let run = run(&["05-dead-letters/pipeline.yaml"]);
    assert_eq!(run.output, expected("05-dead-letters/expected.jsonl"));
    let mut found: Vec<Value> = Vec::new();
    for line in &run.dead_letters {
        let mut letter: Value = serde_json::from_str(line).unwrap();
        let error = letter.as_object_mut().unwrap().remove("error").unwrap();
        assert!(
            error.as_str().is_some_and(|error| error.len() > 10),
            "an error that says something: {line}"
        );
        letter.as_object_mut().unwrap().remove("partition").unwrap();
        assert!(letter.as_object_mut().unwrap().remove("topic").is_some());
        found.push(letter);
    }
    found.sort_by_key(|letter| letter["offset"].as_i64());
    let expected: Vec<Value> = expected("05-dead-letters/expected-dead-letters.jsonl")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn window_over_the_output_of_another_pipeline() {
    let run = run(&[
        "06-pipeline-of-pipelines/aggregation.yaml",
        "01-filter-map/pipeline.yaml",
    ]);
    same_multiset(run.output, expected("06-pipeline-of-pipelines/expected.jsonl")).unwrap();
}

#[test]
fn windows_by_another_key_than_the_records() {
    for partitions in ["1", "4"] {
        let run = run_with(&["08-by-another-key/pipeline.yaml"], &["--partitions", partitions]);
        same_multiset(run.output, expected("08-by-another-key/expected.jsonl")).unwrap();
        assert_eq!(run.dead_letters.len(), 0);
    }
}

#[test]
fn departures_joined_with_their_landings() {
    let landings = examples().join("13-join-streams/landings.jsonl");
    let landings = format!("landings={}", landings.display());
    for partitions in ["1", "4"] {
        let options = ["--input", &landings, "--partitions", partitions];
        let run = run_with(&["13-join-streams/pipeline.yaml"], &options);
        same_multiset(run.output, expected("13-join-streams/expected.jsonl")).unwrap();
        assert_eq!(run.dead_letters.len(), 0);
    }
}
