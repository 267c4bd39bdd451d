//! Manifests with what is said about them: `broken/*.yaml` with the problems beside them, `good/*.yaml` with the plan in
//! words. `MILLRACE_BLESS=1 cargo test -p millrace-plan --test cases` writes the expected files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use millrace_plan::{Plan, Problem, explain, load, validate};

#[test]
fn broken_manifests_have_exactly_the_expected_problems() {
    let checked = check_all("broken", "problems", |text| match checked(text) {
        Err(problems) => Ok(problems.iter().map(|problem| format!("{problem}\n")).collect()),
        Ok(_) => Err("has no problems".to_owned()),
    });
    assert!(checked >= 40, "only {checked} broken manifests");
}

#[test]
fn good_manifests_become_the_expected_plans() {
    let checked = check_all("good", "plan", |text| match checked(text) {
        Ok(plans) => Ok(plans.iter().map(explain).collect::<Vec<_>>().join("\n")),
        Err(problems) => Err(format!("has problems: {problems:?}")),
    });
    assert!(checked >= 10, "only {checked} good manifests");
}

/// Loads and validates a file as the CLI does: every object may refer to every other.
fn checked(text: &str) -> Result<Vec<Plan>, Vec<Problem>> {
    let manifests = load(text)?;
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for manifest in &manifests {
        match validate(manifest, &manifests) {
            Ok(plan) => plans.push(plan),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(plans) } else { Err(problems) }
}

/// Compares what `say` says about every manifest of a folder with the file beside it. Returns how many there are.
fn check_all(folder: &str, extension: &str, say: impl Fn(&str) -> Result<String, String>) -> usize {
    let folder = Path::new(env!("MILLRACE_SOURCE"))
        .join("crates/plan/tests")
        .join(folder);
    let bless = std::env::var_os("MILLRACE_BLESS").is_some();
    let mut failures = Vec::new();
    let manifests = files(&folder, "yaml");
    for manifest in &manifests {
        let name = manifest
            .file_name()
            .expect("it is a file")
            .to_string_lossy()
            .into_owned();
        let beside = manifest.with_extension(extension);
        match say(&fs::read_to_string(manifest).expect("a manifest is text")) {
            Err(message) => failures.push(format!("{name} {message}")),
            Ok(said) if bless => fs::write(&beside, said).expect("the folder can be written"),
            Ok(said) => match fs::read_to_string(&beside) {
                Err(_) => failures.push(format!("{name} has no .{extension} file beside it")),
                Ok(expected) if expected != said => {
                    failures.push(format!("{name}\n--- expected\n{expected}--- found\n{said}"));
                }
                Ok(_) => {}
            },
        }
    }
    for left_over in files(&folder, extension)
        .iter()
        .filter(|file| !manifests.contains(&file.with_extension("yaml")))
    {
        failures.push(format!("{} belongs to no manifest", left_over.display()));
    }
    assert!(
        failures.is_empty(),
        "{}\nMILLRACE_BLESS=1 writes the expected files anew",
        failures.join("\n")
    );
    manifests.len()
}

fn files(folder: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path());
    entries
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect()
}
