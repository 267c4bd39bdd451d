//! One file of cases: read, and written anew with the answers of a run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::sql::Answer;

/// Whom a case is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Both.
    Both,
    /// PostgreSQL; a case for Millrace with another answer follows.
    Postgres,
    /// Millrace.
    Millrace,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Lines of cells.
    Rows(Vec<String>),
    /// A regular expression that the message matches.
    Error(String),
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Line of the file, from 1.
    pub line: usize,
    /// Types of the columns; of an error none.
    pub types: String,
    /// The query.
    pub sql: String,
    /// The same expression as PostgreSQL spells it.
    pub in_postgres: Option<String>,
    /// Why the engines differ on purpose.
    pub differs: Option<String>,
    /// Whom it is for.
    pub only: Only,
    /// What must come out.
    pub expected: Expected,
}

/// What stands in a file, in order.
#[derive(Clone, Debug)]
enum Item {
    /// Comments, blank lines and directives, as they are.
    Text(String),
    Statement(String),
    Case(usize),
}

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// All cases.
    pub cases: Vec<Case>,
    items: Vec<Item>,
}

impl File {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(path, &text).with_context(|| path.display().to_string())
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            cases: Vec::new(),
            items: Vec::new(),
        };
        let mut lines = text.lines().enumerate().peekable();
        let (mut in_postgres, mut differs, mut only) = (None, None, Only::Both);
        while let Some((at, line)) = lines.next() {
            if line.is_empty() || line.starts_with('#') || line.starts_with("onlyif") {
                in_postgres = line
                    .strip_prefix("# in PostgreSQL: ")
                    .map(str::to_owned)
                    .or(in_postgres);
                differs = line.strip_prefix("# differs: ").map(str::to_owned).or(differs);
                only = match line.strip_prefix("onlyif ") {
                    Some("postgresql") => Only::Postgres,
                    Some("millrace") => Only::Millrace,
                    Some(other) => bail!("line {}: no engine is called {other}", at + 1),
                    None => only,
                };
                file.items.push(Item::Text(line.to_owned()));
                continue;
            }
            let until = |lines: &mut std::iter::Peekable<_>, end: fn(&str) -> bool| {
                let mut taken: Vec<&str> = Vec::new();
                while let Some((_, line)) = lines.next_if(|(_, line): &(usize, &str)| !end(line)) {
                    taken.push(line);
                }
                taken
            };
            if line == "statement ok" {
                let statement = until(&mut lines, str::is_empty).join("\n");
                file.items.push(Item::Statement(statement));
                continue;
            }
            let head = line.strip_prefix("query ");
            let head = head.with_context(|| format!("line {}: neither statement nor query: {line}", at + 1))?;
            let sql = until(&mut lines, |line| line.is_empty() || line == "----").join(" ");
            let (types, expected) = match head.strip_prefix("error ") {
                Some(pattern) => (String::new(), Expected::Error(pattern.to_owned())),
                None => {
                    lines.next_if(|(_, line)| *line == "----");
                    let rows = until(&mut lines, str::is_empty);
                    let rows = rows.into_iter().map(str::to_owned).collect();
                    (head.to_owned(), Expected::Rows(rows))
                }
            };
            ensure!(
                (only == Only::Both) == differs.is_none(),
                "line {}: `onlyif` and `# differs:` go together",
                at + 1
            );
            file.items.push(Item::Case(file.cases.len()));
            file.cases.push(Case {
                line: at + 1,
                types,
                sql,
                in_postgres: in_postgres.take(),
                // The reason stands above the case for PostgreSQL and goes for the one that follows.
                differs: if only == Only::Postgres {
                    differs.clone()
                } else {
                    differs.take()
                },
                only: std::mem::replace(&mut only, Only::Both),
                expected,
            });
        }
        Ok(file)
    }

    /// Statements that fill the tables, in order.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter_map(|item| match item {
            Item::Statement(statement) => Some(statement.as_str()),
            _ => None,
        })
    }

    /// The same file with these answers in the place of those that it has. Errors keep their patterns.
    pub fn with(&self, answers: &[Answer]) -> String {
        let mut text = String::new();
        let mut put = |line: &str| writeln!(text, "{line}").expect("a string takes everything");
        for item in &self.items {
            match item {
                Item::Text(line) => put(line),
                Item::Statement(statement) => {
                    put("statement ok");
                    put(statement);
                }
                Item::Case(at) => {
                    let case = &self.cases[*at];
                    match (&case.expected, &answers[*at]) {
                        (Expected::Error(pattern), _) => {
                            put(&format!("query error {pattern}"));
                            put(&case.sql);
                        }
                        (Expected::Rows(_), answer) => {
                            put(&format!("query {}", case.types));
                            put(&case.sql);
                            put("----");
                            match answer {
                                Answer::Rows(rows) => rows.iter().for_each(|row| put(&row.join(" "))),
                                Answer::Error(error) => put(&format!("error: {error}")),
                            }
                        }
                    }
                }
            }
        }
        text
    }
}

impl Case {
    /// The query as PostgreSQL is asked.
    pub fn sql_of_postgres(&self) -> Result<String> {
        let shape = super::shape::Shape::of(&self.sql)?;
        let expression = self.in_postgres.as_deref().unwrap_or(shape.value);
        let expression = match self.types.ends_with('M') {
            true => format!(r#"to_char(({expression})::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.MS')"#),
            false => expression.to_owned(),
        };
        Ok(shape.with_value(&expression))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# head

statement ok
CREATE TABLE t (id BIGINT)

# differs: division
onlyif postgresql
query error division
SELECT 1 / 0 FROM t ORDER BY id

onlyif millrace
query I
SELECT 1 / 0 FROM t ORDER BY id
----
NULL

# in PostgreSQL: coalesce(id, 1)
query I
SELECT nvl(id, 1) FROM t ORDER BY id
----
1
2
";

    #[test]
    fn directives_belong_to_the_case_below_them() {
        let file = File::parse(Path::new("x"), TEXT).unwrap();
        let [postgres, millrace, both] = &file.cases[..] else {
            panic!("three cases")
        };
        assert_eq!(
            (postgres.only, postgres.differs.as_deref()),
            (Only::Postgres, Some("division"))
        );
        assert_eq!(
            (millrace.only, millrace.differs.as_deref()),
            (Only::Millrace, Some("division"))
        );
        assert_eq!((both.only, both.differs.as_deref()), (Only::Both, None));
        assert_eq!(both.expected, Expected::Rows(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(
            both.sql_of_postgres().unwrap(),
            "SELECT coalesce(id, 1) FROM t ORDER BY id"
        );
        assert_eq!(file.statements().count(), 1);
    }

    #[test]
    fn a_file_is_written_as_it_was_read() {
        let file = File::parse(Path::new("x"), TEXT).unwrap();
        let answers: Vec<Answer> = file
            .cases
            .iter()
            .map(|case| match &case.expected {
                Expected::Rows(rows) => Answer::Rows(rows.iter().map(|row| vec![row.clone()]).collect()),
                Expected::Error(pattern) => Answer::Error(pattern.clone()),
            })
            .collect();
        assert_eq!(file.with(&answers), TEXT);
    }
}
