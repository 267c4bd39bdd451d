//! Kafka's jars: fetched once from Maven Central, kept outside of the checkout.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The version that `e2e/kafka/pom.xml` names.
pub const KAFKA_VERSION: &str = "4.1.1";

/// Folder for what is fetched or built once: `MILLRACE_CACHE`, else `~/.cache/millrace`.
pub fn cache() -> Result<PathBuf> {
    if let Some(set) = env::var_os("MILLRACE_CACHE") {
        return Ok(set.into());
    }
    Ok(PathBuf::from(env::var_os("HOME").context("neither MILLRACE_CACHE nor HOME is set")?).join(".cache/millrace"))
}

/// Class path with the Kafka broker, its tools and Kafka Streams; fetched with Maven if not there yet.
pub fn kafka_class_path() -> Result<String> {
    let home = cache()?.join("kafka").join(KAFKA_VERSION);
    let lib = home.join("lib");
    if !lib.join(format!("kafka_2.13-{KAFKA_VERSION}.jar")).exists() {
        fetch(
            &Path::new(env!("MILLRACE_SOURCE")).join("e2e/kafka/pom.xml"),
            &home,
            &lib,
        )?;
    }
    Ok(format!("{}/*", lib.display()))
}

/// Fetches what a POM names into a folder of its own and renames it to `lib`: two test programs may do this at once, and a
/// broken download leaves nothing that looks whole.
pub(crate) fn fetch(pom: &Path, home: &Path, lib: &Path) -> Result<()> {
    fs::create_dir_all(home)?;
    let fresh = tempfile::tempdir_in(home)?;
    let status = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fresh.path().display()))
        .status()
        .context("cannot start mvn: the tests fetch their libraries with Maven (Debian package `maven`)")?;
    ensure!(status.success(), "mvn could not fetch what {} names", pom.display());
    let fresh = fresh.keep();
    if fs::rename(&fresh, lib).is_err() {
        ensure!(lib.exists(), "cannot rename {} to {}", fresh.display(), lib.display());
        fs::remove_dir_all(fresh)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_that_of_the_pom() {
        let pom = fs::read_to_string(Path::new(env!("MILLRACE_SOURCE")).join("e2e/kafka/pom.xml")).unwrap();
        assert!(pom.contains(&format!("<kafka.version>{KAFKA_VERSION}</kafka.version>")));
    }
}
