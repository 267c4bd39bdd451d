//! Manifests from files: read, parsed, and checked against each other.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use millrace_crds::manifest::Manifest;
use millrace_plan::{Plan, Problem};

/// One object and the file that it stands in.
pub struct Found {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The object.
    pub manifest: Manifest,
}

/// A problem and the file that it stands in.
pub struct FileProblem {
    /// The file, as it was named.
    pub path: PathBuf,
    /// The object's kind and name, where the file got that far.
    pub object: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

/// Reads a file, or standard input for `-`.
pub fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).context("cannot read standard input");
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The objects of all files. Files that cannot be read at all end it; everything else is a problem.
pub fn load(paths: &[PathBuf]) -> anyhow::Result<(Vec<Found>, Vec<FileProblem>)> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match millrace_plan::load(&read(path)?) {
            Ok(manifests) => found.extend(manifests.into_iter().map(|manifest| Found {
                path: path.clone(),
                manifest,
            })),
            Err(wrong) => problems.extend(wrong.into_iter().map(|problem| FileProblem {
                path: path.clone(),
                object: None,
                problem,
            })),
        }
    }
    Ok((found, problems))
}

/// Checks one object against all.
pub fn check(object: &Found, all: &[Manifest]) -> Result<Plan, Vec<FileProblem>> {
    let name = format!("{} {}", object.manifest.kind(), object.manifest.name());
    let file = |problem| FileProblem {
        path: object.path.clone(),
        object: Some(name.clone()),
        problem,
    };
    millrace_plan::validate(&object.manifest, all).map_err(|wrong| wrong.into_iter().map(file).collect())
}

/// The plan of the one object that a command is about: the first of its first file, or the one called `name`.
pub fn plan(paths: &[PathBuf], name: Option<&str>) -> anyhow::Result<Plan> {
    located(paths, name).map(|(plan, _)| plan)
}

/// The same, with the file that the object stands in.
pub fn located(paths: &[PathBuf], name: Option<&str>) -> anyhow::Result<(Plan, PathBuf)> {
    let (found, problems) = load(paths)?;
    fail_on(&problems)?;
    let object = match name {
        None => found
            .first()
            .with_context(|| format!("{} holds no object", paths[0].display()))?,
        Some(name) => found
            .iter()
            .find(|object| object.manifest.name() == name)
            .with_context(|| {
                let names: Vec<&str> = found.iter().map(|object| object.manifest.name()).collect();
                format!("no object is called `{name}`; there are: {}", names.join(", "))
            })?,
    };
    let all: Vec<Manifest> = found.iter().map(|object| object.manifest.clone()).collect();
    let plan = check(object, &all).or_else(|problems| fail_on(&problems).and_then(|()| bail!("not valid")))?;
    Ok((plan, object.path.clone()))
}

fn fail_on(problems: &[FileProblem]) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    bail!(
        "{}:\n{}",
        millrace_plan::count(problems.len(), "problem"),
        lines.join("\n")
    )
}
