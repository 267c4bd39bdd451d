//! The bytes of a plan's tables, read where they are: files, and ConfigMaps as files. What the bytes mean is the engine's
//! affair.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use millrace_engine::Tables;
use millrace_plan::{Plan, Table, TableOrigin};

/// Reads all tables. A path that is not absolute begins at `beside`, the directory of the manifest; ConfigMaps are
/// directories in `config_maps`.
pub fn read(plan: &Plan, beside: Option<&Path>, config_maps: Option<&Path>) -> anyhow::Result<Tables> {
    plan.tables()
        .map(|(position, table)| {
            let path = path(&table.origin, beside, config_maps);
            let bytes = path.and_then(|path| bytes(&path));
            Ok((position, bytes.with_context(|| format!("table {}", table.name))?))
        })
        .collect()
}

fn path(origin: &TableOrigin, beside: Option<&Path>, config_maps: Option<&Path>) -> anyhow::Result<PathBuf> {
    match origin {
        TableOrigin::File(path) => Ok(beside.map_or_else(|| PathBuf::from(path), |beside| beside.join(path))),
        TableOrigin::ConfigMap { name, key } => match config_maps {
            Some(directory) => Ok(directory.join(name).join(key)),
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
