//! Expressions and aggregates give what a real PostgreSQL gives, or what a documented difference says (`e2e/sql/*.slt`).
//!
//! `MILLRACE_BLESS=1` writes PostgreSQL's answers into the files, and Millrace's where the case is for it alone: read them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use millrace_e2e::sql::{Answer, Case, Expected, File, Millrace, Only, Postgres, same_answer};
use regex::Regex;

fn folder() -> PathBuf {
    Path::new(env!("MILLRACE_SOURCE")).join("e2e")
}

fn files() -> Vec<File> {
    let entries = fs::read_dir(folder().join("sql")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| File::read(path).unwrap()).collect()
}

fn documentation() -> String {
    fs::read_to_string(folder().join("../docs/expressions.md")).unwrap()
}

/// What is wrong with an answer.
fn complaint(case: &Case, answer: &Answer) -> Option<String> {
    match (&case.expected, answer) {
        (Expected::Error(pattern), Answer::Error(error)) => {
            let fits = Regex::new(pattern).unwrap().is_match(error);
            (!fits).then(|| format!("says `{error}`, not `{pattern}`"))
        }
        (Expected::Rows(rows), answer) => {
            let cells = |row: &String| row.splitn(case.types.len(), ' ').map(str::to_owned).collect();
            let expected = Answer::Rows(rows.iter().map(cells).collect());
            (!same_answer(&case.types, &expected, answer))
                .then(|| format!("gives {answer:?}\n      expected {expected:?}"))
        }
        (Expected::Error(pattern), answer) => Some(format!("gives {answer:?} in place of an error with `{pattern}`")),
    }
}

#[test]
fn postgresql_and_millrace_answer_as_the_files_say() {
    let postgres = Postgres::start().unwrap();
    let (mut complaints, mut agreed) = (Vec::new(), 0);
    for file in files() {
        let (expected, rows) = postgres.answer(&file).unwrap();
        let found = Millrace::new(&file, rows).unwrap().answer(&file).unwrap();
        if env::var_os("MILLRACE_BLESS").is_some() {
            let choose = |(case, (postgres, millrace)): (&Case, (&Answer, &Answer))| match case.only {
                Only::Millrace => millrace.clone(),
                _ => postgres.clone(),
            };
            let answers: Vec<Answer> = file.cases.iter().zip(expected.iter().zip(&found)).map(choose).collect();
            fs::write(&file.path, file.with(&answers)).unwrap();
        }
        let file = File::read(&file.path).unwrap();
        let name = file.path.file_name().unwrap().to_string_lossy().into_owned();
        for (case, (postgres, millrace)) in file.cases.iter().zip(expected.iter().zip(&found)) {
            let mut complain = |who: &str, what: Option<String>| {
                complaints.extend(what.map(|what| format!("{name}:{}: {}\n  {who} {what}", case.line, case.sql)));
            };
            match case.only {
                Only::Both => {
                    complain("PostgreSQL", complaint(case, postgres));
                    complain("Millrace", complaint(case, millrace));
                    agreed += 1;
                }
                Only::Postgres => complain("PostgreSQL", complaint(case, postgres)),
                Only::Millrace => {
                    complain("Millrace", complaint(case, millrace));
                    let stale = same_answer(&case.types, postgres, millrace).then(|| "does not differ".to_owned());
                    complain("PostgreSQL", stale);
                }
            }
        }
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    assert!(agreed >= 300, "{agreed} cases are answered alike");
}

#[test]
fn every_difference_from_postgresql_is_documented() {
    let documentation = documentation();
    for file in files() {
        for case in &file.cases {
            if let Some(words) = &case.differs {
                assert!(
                    documentation.contains(words.as_str()),
                    "{}:{}: {words}",
                    file.path.display(),
                    case.line
                );
            }
        }
    }
}

#[test]
fn every_documented_function_stands_in_a_case() {
    let documentation = documentation();
    let (_, functions) = documentation.split_once("## Functions").unwrap();
    let (functions, _) = functions.split_once("Positions in text").unwrap();
    let cases: String = files()
        .iter()
        .flat_map(|file| file.cases.iter().map(|case| format!("{}\n", case.sql)))
        .collect();
    let spans: Vec<&str> = functions.split('`').skip(1).step_by(2).collect();
    let names: Vec<&str> = spans.iter().flat_map(|span| span.split_whitespace()).collect();
    assert!(names.len() > 100, "{names:?}");
    let is_name = |name: &&&str| {
        name.chars()
            .all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter))
    };
    let missing: Vec<&&str> = names
        .iter()
        .filter(is_name)
        .filter(|name| !cases.contains(&format!("{name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
