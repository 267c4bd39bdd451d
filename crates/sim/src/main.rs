//! `make sim`: plays seeds and prints those whose committed effects differ; one seed alone is told step by step.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use millrace_sim::{Case, Sabotage};

const USAGE: &str = "usage: millrace-sim SEED | FROM..TO";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seeds] = arguments.as_slice() else { bail!(USAGE) };
    let (from, to) = match seeds.split_once("..") {
        Some((from, to)) => (number(from)?, number(to)?),
        None => return tell(number(seeds)?),
    };
    let mut out = stdout().lock();
    let mut failures = 0;
    for seed in from..to {
        if let Err(failure) = millrace_sim::run(seed, Sabotage::None) {
            writeln!(out, "{failure}\n")?;
            failures += 1;
        }
    }
    writeln!(out, "{} seeds, {failures} failures", to.saturating_sub(from))?;
    Ok(ExitCode::from(u8::from(failures > 0)))
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("`{text}` is not a seed. {USAGE}"))
}

/// One seed, step by step.
fn tell(seed: u64) -> Result<ExitCode> {
    let mut out = stdout().lock();
    let case = Case::new(seed);
    writeln!(out, "{}", case.manifest())?;
    let mut told = Ok(());
    let mut tell = |line: &str| {
        if told.is_ok() {
            told = writeln!(out, "{line}");
        }
    };
    let played = case.play(Sabotage::None, Some(&mut tell));
    told?;
    match played {
        Ok(played) => {
            writeln!(out, "seed {seed}: no difference. {played:?}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(out, "seed {seed}: {}", failure.why)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
