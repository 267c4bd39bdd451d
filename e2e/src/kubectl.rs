//! `kubectl` and `helm`, as a user calls them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::eventually::eventually;
use crate::programs::program;

/// The two programs, and the cluster that they talk to.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// Folder of the programs.
    programs: PathBuf,
    /// The kubeconfig that they use.
    pub kubeconfig: PathBuf,
}

impl Kubectl {
    /// Programs of the folder `programs`, for the cluster of `kubeconfig`.
    pub fn new(programs: &Path, kubeconfig: &Path) -> Self {
        Self {
            programs: programs.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
        }
    }

    /// Runs `kubectl` and gives what it prints; fails with what it says.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        succeeded(arguments, self.output("kubectl", arguments, None)?)
    }

    /// Runs `kubectl`; it must fail, and what it says is given.
    pub fn refused(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let output = self.output("kubectl", arguments, input)?;
        if output.status.success() {
            bail!("kubectl {} succeeded: {}", arguments.join(" "), text(&output.stdout));
        }
        Ok(text(&output.stderr))
    }

    /// Runs `helm` and gives what it prints; fails with what it says.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        succeeded(arguments, self.output("helm", arguments, None)?)
    }

    /// Runs `kubectl millrace`, which kubectl finds where `make build` has put it.
    pub fn plugin(&self, arguments: &[&str]) -> Result<String> {
        let plugin = program("kubectl-millrace")?;
        let path = plugin.parent().context("a program lies in a folder")?;
        let output = Command::new(self.programs.join("kubectl"))
            .arg("millrace")
            .args(arguments)
            .envs(self.environment())
            .env("PATH", path)
            .output()?;
        succeeded(arguments, output)
    }

    /// Applies a manifest whose objects name their namespaces.
    pub fn apply_all(&self, manifest: &str) -> Result<String> {
        let arguments = ["apply", "--filename", "-"];
        succeeded(&arguments, self.output("kubectl", &arguments, Some(manifest))?)
    }

    /// Applies a manifest to a namespace.
    pub fn apply(&self, namespace: &str, manifest: &str) -> Result<String> {
        let arguments = ["apply", "--namespace", namespace, "--filename", "-"];
        succeeded(&arguments, self.output("kubectl", &arguments, Some(manifest))?)
    }

    /// An object, or None where it does not exist.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Result<Option<Value>> {
        let arguments = [
            "get",
            kind,
            name,
            "--namespace",
            namespace,
            "--ignore-not-found",
            "--output",
            "json",
        ];
        let printed = self.run(&arguments)?;
        if printed.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&printed)?))
    }

    /// All objects of a kind, or of several separated by commas.
    pub fn list(&self, namespace: &str, kinds: &str) -> Result<Vec<Value>> {
        let printed = self.run(&["get", kinds, "--namespace", namespace, "--output", "json"])?;
        let list: Value = serde_json::from_str(&printed)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Changes an object by a merge patch.
    pub fn patch(&self, namespace: &str, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        let arguments = [
            "patch",
            kind,
            name,
            "--namespace",
            namespace,
            "--type",
            "merge",
            "--patch",
            &patch,
        ];
        self.run(&arguments).map(drop)
    }

    /// `kubectl wait` for a condition, at most two minutes.
    pub fn wait_for(&self, condition: &str, (namespace, kind, name): (&str, &str, &str)) -> Result<()> {
        let (condition, object) = (format!("--for=condition={condition}"), format!("{kind}/{name}"));
        let arguments = ["wait", &condition, &object, "--namespace", namespace, "--timeout=120s"];
        self.run(&arguments).map(drop)
    }

    /// Makes a namespace that enforces the Pod Security level `restricted`.
    pub fn restricted_namespace(&self, name: &str) -> Result<()> {
        let manifest = format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}","labels":{{"pod-security.kubernetes.io/enforce":"restricted"}}}}}}"#
        );
        self.apply_all(&manifest).map(drop)
    }

    /// Waits until `probe` gives a value for the object.
    pub fn until<T>(
        &self,
        what: &str,
        within: Duration,
        (namespace, kind, name): (&str, &str, &str),
        mut probe: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let mut last = None;
        let found = eventually(what, within, || {
            last = self.get(namespace, kind, name)?;
            Ok(last.as_ref().and_then(&mut probe))
        });
        found.with_context(|| match &last {
            Some(object) => format!("{kind} {name}: {:#}", object["status"]),
            None => format!("{kind} {name} does not exist"),
        })
    }

    /// Variables that make both programs talk to this cluster, and remember nothing of another that had its address.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let cache = self.kubeconfig.with_file_name("cache");
        vec![
            ("KUBECONFIG", self.kubeconfig.clone()),
            ("KUBECACHEDIR", cache.clone()),
            ("HELM_CACHE_HOME", cache.join("helm")),
            ("HELM_CONFIG_HOME", cache.join("helm")),
            ("HELM_DATA_HOME", cache.join("helm")),
        ]
    }

    fn output(&self, program: &str, arguments: &[&str], input: Option<&str>) -> Result<Output> {
        let mut child = Command::new(self.programs.join(program))
            .args(arguments)
            .envs(self.environment())
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    }
}

fn succeeded(arguments: &[&str], output: Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}: {}", arguments.join(" "), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A condition of an object: its status, reason and message.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    Some((
        found["status"].as_str()?,
        found["reason"].as_str()?,
        found["message"].as_str()?,
    ))
}
