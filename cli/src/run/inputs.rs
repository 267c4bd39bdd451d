//! Which lines go to which topic: those of the source, and those of each stream that a join reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use millrace_plan::Plan;

use super::keys::Keys;
use super::lines::Lines;

/// Lines of one topic.
pub struct Input {
    /// The topic that they go to.
    pub topic: String,
    /// Where they come from.
    pub lines: Lines,
    /// Makes their record keys.
    pub keys: Keys,
}

/// Opens all: the source first, then the streams in the order of the plan.
pub fn open(plan: &Plan, arguments: &[OsString]) -> anyhow::Result<Vec<Input>> {
    let streams: Vec<&str> = plan
        .joined_streams()
        .map(|(_, streams)| streams.other.name.as_str())
        .collect();
    let (source, of_streams) = sort(&streams, arguments)?;
    let mut inputs = vec![Input {
        topic: plan.source.topics[0].to_string(),
        lines: Lines::open(&source)?,
        keys: Keys::new(plan),
    }];
    for ((_, streams), path) in plan.joined_streams().zip(of_streams) {
        inputs.push(Input {
            topic: streams.other.topics[0].to_string(),
            lines: Lines::open(&path)?,
            keys: Keys::none(),
        });
    }
    Ok(inputs)
}

/// The path of the source's records, and for each stream that of its own.
fn sort(streams: &[&str], arguments: &[OsString]) -> anyhow::Result<(PathBuf, Vec<PathBuf>)> {
    let mut source = None;
    let mut named: Vec<Option<PathBuf>> = vec![None; streams.len()];
    for argument in arguments {
        let text = argument.to_string_lossy();
        let of_stream = text.split_once('=').and_then(|(name, path)| {
            let at = streams.iter().position(|stream| *stream == name)?;
            Some((at, path))
        });
        let (place, path) = match of_stream {
            Some((at, path)) => (&mut named[at], Path::new(path)),
            // A path may hold the sign too.
            None => (&mut source, Path::new(argument)),
        };
        if let Some(before) = place.replace(path.to_owned()) {
            bail!(
                "--input {} and {} are for the same records",
                before.display(),
                path.display()
            );
        }
    }
    let missing = |(stream, path): (&&str, Option<PathBuf>)| {
        path.with_context(|| format!("stream `{stream}` has no records: name a file with --input {stream}=PATH"))
    };
    let named: Vec<PathBuf> = streams.iter().zip(named).map(missing).collect::<Result<_, _>>()?;
    let source = source.unwrap_or_else(|| PathBuf::from("-"));
    let from_stdin = [&source]
        .into_iter()
        .chain(&named)
        .filter(|path| path.as_os_str() == "-");
    ensure!(from_stdin.count() <= 1, "only one --input can be standard input");
    Ok((source, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(streams: &[&str], arguments: &[&str]) -> Result<Vec<String>, String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let (source, named) = sort(streams, &arguments).map_err(|error| error.to_string())?;
        let all = [source].into_iter().chain(named);
        Ok(all.map(|path| path.into_os_string().into_string().unwrap()).collect())
    }

    #[test]
    fn a_name_of_a_stream_says_whose_records_they_are() {
        let ok = |paths: &[&str]| Ok(paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(sorted(&[], &["-"]), ok(&["-"]));
        assert_eq!(sorted(&[], &["a=b"]), ok(&["a=b"]), "no stream has that name");
        assert_eq!(sorted(&["a", "b"], &["b=2", "x", "a=c=1"]), ok(&["x", "c=1", "2"]));
        assert_eq!(sorted(&["a"], &["a=1"]), ok(&["-", "1"]));
    }

    #[test]
    fn what_is_missing_or_there_twice_is_an_error() {
        for (streams, arguments, expected) in [
            (
                &["a"][..],
                &["x"][..],
                "stream `a` has no records: name a file with --input a=PATH",
            ),
            (&["a"], &["a=1", "a=2"], "--input 1 and 2 are for the same records"),
            (&[], &["x", "y"], "--input x and y are for the same records"),
            (&["a"], &["-", "a=-"], "only one --input can be standard input"),
        ] {
            assert_eq!(sorted(streams, arguments), Err(expected.to_owned()));
        }
    }
}
