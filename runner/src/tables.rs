//! The bytes of a plan's tables, read where they are: files, and ConfigMaps as files. What the bytes mean is the engine's
//! affair. Topics are read by the worker.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use millrace_engine::Tables;
use millrace_plan::{Plan, Table, TableOrigin};

/// Reads all tables. A path that is not absolute begins at `beside`, the directory of the manifest; ConfigMaps are
/// directories in `config_maps`.
pub fn read(plan: &Plan, beside: Option<&Path>, config_maps: Option<&Path>) -> anyhow::Result<Tables> {
    let mut tables = Tables::new();
    for (position, table) in plan.tables() {
        let of_table = || format!("table {}", table.name);
        if let Some(path) = path(&table.origin, beside, config_maps).with_context(of_table)? {
            tables.insert(position, bytes(&path).with_context(of_table)?);
        }
    }
    Ok(tables)
}

/// None: the table is no file.
fn path(origin: &TableOrigin, beside: Option<&Path>, config_maps: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    match origin {
        TableOrigin::Topic(_) => Ok(None),
        TableOrigin::File(path) => Ok(Some(
            beside.map_or_else(|| PathBuf::from(path), |beside| beside.join(path)),
        )),
        TableOrigin::ConfigMap { name, key } => match config_maps {
            Some(directory) => Ok(Some(directory.join(name).join(key))),
            None => bail!(
                "ConfigMap `{name}`, key `{key}`: name the directory that holds it as the file {name}/{key} with \
                 --config-maps-dir"
            ),
        },
    }
}

/// At most one byte more than a table may have: then it is refused for its size.
fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    file.take(Table::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn plan() -> Plan {
        let join = |name: &str, origin: &str| {
            format!(
                "{{name: {name}, join: {{table: {{name: {name}, {origin}, schema: {{fields: [{{name: k, type: string}}]}}, \
                 key: [k]}}, match: [{{field: k}}]}}}}"
            )
        };
        let text = format!(
            "apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: tables}}
spec:
  source: {{kafka: {{bootstrapServers: ['b:9092'], topics: [in]}}}}
  schema: {{fields: [{{name: k, type: string}}]}}
  operators:
    - {}
    - {{name: some, filter: {{where: k > 'a'}}}}
    - {}
  sinks: [{{name: out, kafka: {{topic: out}}}}]
",
            join("near", "file: {path: sub/near.csv}"),
            join("mapped", "configMap: {name: maps.1, key: far.jsonl}"),
        );
        let manifests = millrace_plan::load(&text).expect("the manifest loads");
        millrace_plan::validate(&manifests[0], &[]).expect("the manifest is valid")
    }

    #[test]
    fn files_are_found_beside_the_manifest_and_config_maps_in_their_directory() {
        let folder = tempfile::tempdir().expect("there is room");
        let (beside, maps) = (folder.path().join("manifests"), folder.path().join("maps"));
        fs::create_dir_all(beside.join("sub")).expect("it can be made");
        fs::create_dir_all(maps.join("maps.1")).expect("it can be made");
        fs::write(beside.join("sub/near.csv"), "k\n").expect("it can be written");
        let missing = read(&plan(), Some(&beside), Some(&maps)).expect_err("a key is missing");
        let path = maps.join("maps.1/far.jsonl");
        let wanted = format!("table mapped: cannot read {}", path.display());
        assert!(format!("{missing:#}").starts_with(&wanted), "{missing:#}");
        fs::write(&path, "{}").expect("it can be written");
        let tables = read(&plan(), Some(&beside), Some(&maps)).expect("both are there");
        let wanted = Tables::from([(0, b"k\n".to_vec()), (2, b"{}".to_vec())]);
        assert_eq!(tables, wanted);
        let unnamed = read(&plan(), Some(&beside), None).expect_err("nobody said where ConfigMaps are");
        assert!(format!("{unnamed:#}").contains("--config-maps-dir"), "{unnamed:#}");
    }

    #[test]
    fn of_a_table_that_is_too_large_no_more_is_read_than_shows_it() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("large");
        let file = File::create(&path).expect("it can be made");
        file.set_len(Table::MAX_BYTES as u64 * 2).expect("holes cost nothing");
        assert_eq!(bytes(&path).expect("it can be read").len(), Table::MAX_BYTES + 1);
    }
}
