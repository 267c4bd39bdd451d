//! The parts of a case's query.

use anyhow::{Context, Result, bail};

/// `SELECT [key,] value FROM table [WHERE condition] [GROUP BY key] ORDER BY …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape<'a> {
    /// The group key, if there are groups.
    pub(super) key: Option<&'a str>,
    /// The expression or the aggregate.
    pub(super) value: &'a str,
    pub(super) table: &'a str,
    pub(super) condition: Option<&'a str>,
}

/// An aggregate: `function([DISTINCT] argument) [FILTER (WHERE condition)]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aggregate<'a> {
    pub(super) function: &'a str,
    pub(super) distinct: bool,
    /// None for `*`.
    pub(super) argument: Option<&'a str>,
    pub(super) condition: Option<&'a str>,
}

impl<'a> Shape<'a> {
    pub(super) fn of(sql: &'a str) -> Result<Self> {
        let rest = sql.strip_prefix("SELECT ").context("a query begins with SELECT")?;
        // Functions have FROM inside as well; the table's is the last.
        let (list, rest) = rest.rsplit_once(" FROM ").context("no FROM")?;
        let (rest, _order) = rest.rsplit_once(" ORDER BY ").context("no ORDER BY")?;
        let (rest, key) = match rest.rsplit_once(" GROUP BY ") {
            Some((rest, key)) => (rest, Some(key)),
            None => (rest, None),
        };
        let (table, condition) = match rest.split_once(" WHERE ") {
            Some((table, condition)) => (table, Some(condition)),
            None => (rest, None),
        };
        let value = match key {
            None => list,
            Some(key) => list
                .strip_prefix(key)
                .and_then(|rest| rest.strip_prefix(", "))
                .with_context(|| format!("the list does not begin with the key {key}"))?,
        };
        Ok(Self {
            key,
            value,
            table,
            condition,
        })
    }

    /// The query with another expression.
    pub(super) fn with_value(&self, value: &str) -> String {
        let condition = self
            .condition
            .map(|condition| format!(" WHERE {condition}"))
            .unwrap_or_default();
        let table = self.table;
        match self.key {
            None => format!("SELECT {value} FROM {table}{condition} ORDER BY id"),
            Some(key) => format!("SELECT {key}, {value} FROM {table}{condition} GROUP BY {key} ORDER BY {key}"),
        }
    }
}

impl<'a> Aggregate<'a> {
    pub(super) fn of(value: &'a str) -> Result<Self> {
        let (call, condition) = match value.split_once(" FILTER (WHERE ") {
            Some((call, condition)) => (call, Some(condition.strip_suffix(')').context("FILTER is not closed")?)),
            None => (value, None),
        };
        let Some((function, argument)) = call.strip_suffix(')').and_then(|call| call.split_once('(')) else {
            bail!("`{value}` is no aggregate");
        };
        let (distinct, argument) = match argument.strip_prefix("DISTINCT ") {
            Some(argument) => (true, argument),
            None => (false, argument),
        };
        Ok(Self {
            function,
            distinct,
            argument: (argument != "*").then_some(argument),
            condition,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_from_is_the_tables() {
        let shape = Shape::of("SELECT EXTRACT(hour FROM t) FROM x WHERE id = 1 ORDER BY id").unwrap();
        let value = "EXTRACT(hour FROM t)";
        assert_eq!(
            (shape.value, shape.table, shape.condition),
            (value, "x", Some("id = 1"))
        );
        assert_eq!(shape.with_value("1"), "SELECT 1 FROM x WHERE id = 1 ORDER BY id");
    }

    #[test]
    fn groups_have_a_key_and_an_aggregate() {
        let shape = Shape::of("SELECT k, sum(DISTINCT i) FILTER (WHERE b) FROM x GROUP BY k ORDER BY k").unwrap();
        assert_eq!(shape.key, Some("k"));
        let aggregate = Aggregate::of(shape.value).unwrap();
        assert_eq!((aggregate.function, aggregate.distinct), ("sum", true));
        assert_eq!((aggregate.argument, aggregate.condition), (Some("i"), Some("b")));
    }
}
