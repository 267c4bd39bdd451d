//! `millrace explain`: of files, or of an object of a cluster.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use kube::ResourceExt;
use millrace_crds::manifest::Manifest;
use millrace_plan::Plan;

use crate::cluster::{self, Access, Named};
use crate::manifests;

/// Says in words what a manifest will do: what it reads, remembers and writes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// YAML file; `-` is standard input. Further files hold objects that its source refers to. Or, where there is no such
    /// file, the name of a pipeline in the cluster.
    #[arg(required_unless_present = "file", value_name = "FILE or NAME")]
    what: Vec<String>,
    /// YAML file, as with kubectl.
    #[arg(long, short, value_name = "FILE", conflicts_with = "what")]
    file: Vec<PathBuf>,
    /// Which object of the files to explain. Default: the first.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Prints the explanation.
pub fn explain(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = match stored(&arguments.what) {
        Some(name) => cluster::block_on(of_cluster(name, &arguments.access))
            .with_context(|| format!("`{name}` is no file, and as the name of a pipeline"))?,
        None => {
            let files = arguments
                .what
                .iter()
                .map(PathBuf::from)
                .chain(arguments.file.iter().cloned());
            manifests::plan(&files.collect::<Vec<_>>(), arguments.name.as_deref())?
        }
    };
    write!(std::io::stdout().lock(), "{}", millrace_plan::explain(&plan))?;
    Ok(ExitCode::SUCCESS)
}

/// The one argument, if it can only be meant as a name in a cluster.
fn stored(what: &[String]) -> Option<&str> {
    let [one] = what else { return None };
    let looks_like_a_file = [".yaml", ".yml", ".json"].iter().any(|end| one.ends_with(end));
    let is_a_name = one.parse::<Named>().is_ok();
    (is_a_name && one != "-" && !looks_like_a_file && !Path::new(one).exists()).then_some(one.as_str())
}

async fn of_cluster(name: &str, access: &Access) -> anyhow::Result<Plan> {
    let named = name.parse::<Named>().map_err(anyhow::Error::msg)?;
    let cluster = access.connect().await?;
    let found = cluster::find(&cluster, &named).await?;
    // Its source may refer to any of its neighbours; one that this version cannot read is none of them.
    let neighbours = cluster::list(&cluster.client, Some(&cluster.namespace)).await?;
    let others: Vec<Manifest> = neighbours.iter().filter_map(|other| other.manifest().ok()).collect();
    let manifest = found.manifest();
    let manifest =
        manifest.with_context(|| format!("{} is written for another version of Millrace", found.reference()))?;
    millrace_plan::validate(&manifest, &others).or_else(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
        bail!(
            "{} {} is not valid:\n{}",
            found.kind.name,
            found.object.name_any(),
            lines.join("\n")
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_can_be_no_file_is_looked_for_in_the_cluster() {
        let stored = |what: &str| super::stored(&[what.to_owned()]).is_some();
        assert!(stored("delayed-flights") && stored("streampipeline/delayed-flights"));
        for file in ["-", "pipeline.yaml", "/nowhere/pipeline", "./x", "Cargo.toml", "src"] {
            assert!(!stored(file), "{file}");
        }
        assert_eq!(super::stored(&["a".to_owned(), "b".to_owned()]), None);
    }
}
