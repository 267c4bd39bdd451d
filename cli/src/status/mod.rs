//! `millrace status`: all pipelines of a cluster, or everything about one.

mod detail;
mod overview;
mod samples;
mod text;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::{self, Access, Cluster, Named};
use crate::output::Format;
use crate::say;

/// Time between two looks with `--watch`.
const PERIOD: Duration = Duration::from_secs(2);

/// Shows lag, rates and checkpoints of the pipelines in a cluster; with NAME also of each partition.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One pipeline, by name or as `streampipeline/NAME` or `windowaggregation/NAME`. Default: all of the namespace.
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces")]
    name: Option<Named>,
    /// Pipelines of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How to print.
    #[arg(long, short, value_enum, default_value = "table")]
    output: Format,
    /// Looks again every two seconds, until Ctrl-C.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    access: Access,
}

/// Prints once, or again and again.
pub fn status(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    cluster::block_on(async {
        let cluster = arguments.access.connect().await?;
        loop {
            let text = look(&cluster, arguments).await?;
            let mut out = std::io::stdout().lock();
            let clear = arguments.watch && arguments.output == Format::Table && out.is_terminal();
            let home_and_clear = if clear { "\x1b[H\x1b[2J" } else { "" };
            write!(out, "{home_and_clear}{text}")?;
            out.flush()?;
            drop(out);
            if !arguments.watch {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(PERIOD).await;
        }
    })
}

async fn look(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<String> {
    let Some(named) = &arguments.name else {
        let namespace = (!arguments.all_namespaces).then_some(cluster.namespace.as_str());
        let found = cluster::list(&cluster.client, namespace).await?;
        if found.is_empty() && arguments.output == Format::Table {
            let place = namespace.map_or("any namespace".to_owned(), |name| format!("namespace `{name}`"));
            say(format_args!("there are no pipelines in {place}"));
            return Ok(String::new());
        }
        return match arguments.output {
            Format::Table => Ok(overview::table(&found, namespace.is_none(), Timestamp::now()).to_string()),
            format => format.print(&overview::objects(&found)),
        };
    };
    let found = cluster::find(cluster, named).await?;
    let detail = detail::gather(&cluster.client, &found).await?;
    match arguments.output {
        Format::Table => Ok(text::render(&detail, Timestamp::now())),
        format => format.print(&detail),
    }
}
