//! A real PostgreSQL of its own: a fresh cluster in a temporary folder, reached by a socket in it.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::process::Process;
use crate::sql::{Answer, File};

/// Whom the server belongs to where the test runs as root, whom PostgreSQL refuses: nobody.
const NOBODY: u32 = 65534;
const USER: &str = "millrace";

/// A running server.
pub struct Postgres {
    folder: TempDir,
    _process: Process,
}

impl Postgres {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let is_root = folder.path().metadata()?.uid() == 0;
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let command = |program: &str| -> Result<Command> {
            let mut command = Command::new(server_program(program)?);
            command.current_dir(folder.path());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            Ok(command)
        };
        let data = folder.path().join("data");
        let mut initdb = command("initdb")?;
        initdb
            .args([
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-U",
                USER,
                "-D",
            ])
            .arg(&data);
        let made = initdb.output().context("cannot start initdb")?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut server = command("postgres")?;
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        server.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "timezone=UTC"]);
        let mut process = Process::start_with_scratch("postgres", server, &folder.path().join("log"), folder.path())?;
        eventually("PostgreSQL answers", Duration::from_secs(60), || {
            ensure!(process.is_running()?, "PostgreSQL has ended: {}", process.log_tail());
            let ready = psql(folder.path())
                .args(["-c", "SELECT 1"])
                .output()
                .context("cannot start psql")?;
            Ok(ready.status.success().then_some(()))
        })?;
        Ok(Self {
            folder,
            _process: process,
        })
    }

    /// Runs a file's statements and answers its cases, and says what stands in its tables: a JSON object a row.
    pub fn answer(&self, file: &File) -> Result<(Vec<Answer>, Vec<String>)> {
        let mut script = String::from("\\set VERBOSITY terse\nDROP SCHEMA public CASCADE; CREATE SCHEMA public;\n");
        for statement in file.statements() {
            writeln!(script, "{};", statement.trim_end_matches(';'))?;
        }
        for case in &file.cases {
            let sql = case.sql_of_postgres().with_context(|| format!("line {}", case.line))?;
            writeln!(script, "\\echo {CASE}{sql};\n\\echo {ERROR} :ERROR :LAST_ERROR_MESSAGE")?;
        }
        // Instants as their milliseconds: without an offset no other reader would know what they are.
        writeln!(script, "\\echo {CASE}{ROWS};")?;
        let path = self.folder.path().join("script.sql");
        fs::write(&path, script)?;
        let run = psql(self.folder.path()).arg("-f").arg(&path).output()?;
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        let mut parts = said.split(CASE).skip(1);
        let mut answers = Vec::new();
        for case in &file.cases {
            let part = parts.next().with_context(|| {
                let errors = String::from_utf8_lossy(&run.stderr).into_owned();
                format!("no answer to line {}: {errors}", case.line)
            })?;
            let (rows, error) = part.split_once(ERROR).context("no end of an answer")?;
            answers.push(match error.trim().strip_prefix("true") {
                Some(message) => Answer::Error(message.trim().to_owned()),
                None => Answer::Rows(rows.lines().map(|row| cells(row, &case.types)).collect()),
            });
        }
        let rows = parts.next().context("no rows")?.lines().map(str::to_owned).collect();
        Ok((answers, rows))
    }
}

const CASE: &str = "@@case\n";
const ERROR: &str = "@@error";
/// Columns that begin with `t` are instants.
const ROWS: &str = "SELECT (to_jsonb(one) || (\
    SELECT coalesce(jsonb_object_agg(key, (extract(epoch FROM value::timestamp) * 1000)::bigint), '{}') \
    FROM jsonb_each_text(to_jsonb(one)) WHERE key LIKE 't%'))::text FROM t AS one ORDER BY id";

fn cells(row: &str, types: &str) -> Vec<String> {
    let cell = |(cell, kind): (&str, char)| match (cell, kind) {
        ("", _) => "(empty)".to_owned(),
        ("t", 'B') => "true".to_owned(),
        ("f", 'B') => "false".to_owned(),
        (text, _) => text.to_owned(),
    };
    row.split('\x1f').zip(types.chars()).map(cell).collect()
}

fn psql(folder: &Path) -> Command {
    let mut psql = Command::new("psql");
    psql.args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-P",
        "null=NULL",
        "-F",
        "\x1f",
        "-U",
        USER,
        "-d",
        "postgres",
        "-h",
    ])
    .arg(folder);
    psql
}

/// Debian keeps the server's programs out of the `PATH`, a folder a version.
fn server_program(name: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for version in fs::read_dir("/usr/lib/postgresql").into_iter().flatten() {
        let path = version?.path().join("bin").join(name);
        found.extend(path.exists().then_some(path));
    }
    found.sort();
    found
        .pop()
        .with_context(|| format!("there is no {name}: run `.ci/tools`, or install the Debian package `postgresql`"))
}
