//! SQL cases in the format of sqllogictest, answered by PostgreSQL and by `millrace run`.
//!
//! A case is `SELECT expression FROM table [WHERE condition] ORDER BY id`, or with groups
//! `SELECT key, aggregate FROM table [WHERE condition] GROUP BY key ORDER BY key`. Besides the format's own directives
//! (`statement ok`, `query`, `query error`, `onlyif`) two comments above a case mean something:
//!
//! | comment | meaning |
//! |---|---|
//! | `# in PostgreSQL: expression` | the same, as PostgreSQL spells it |
//! | `# differs: words` | Millrace answers otherwise on purpose; the words stand in `docs/expressions.md` |
//!
//! Types: `I` whole number, `R` double, `D` decimal, `T` text, `B` boolean, `M` instant.

mod file;

mod millrace;

mod postgres;

mod shape;

pub use file::{Case, Expected, File, Only};
pub use millrace::Millrace;
pub use postgres::Postgres;

/// What an engine says to a case: rows of cells, or why it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Cells as text, `NULL` and `(empty)` where there is none.
    Rows(Vec<Vec<String>>),
    /// The message.
    Error(String),
}

/// Whether two cells of a type are the same value. Doubles may differ in their last two digits: mathematical functions are
/// not the same code everywhere.
pub fn same_cell(kind: char, left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    match (kind, left.parse::<f64>(), right.parse::<f64>()) {
        ('R', Ok(left), Ok(right)) => (left - right).abs() <= 1e-14 * left.abs().max(right.abs()),
        ('D', Ok(_), Ok(_)) => without_zeros(left) == without_zeros(right),
        _ => false,
    }
}

/// A decimal without zeros at its end.
fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

/// Whether two answers are the same, by the types of the columns.
pub fn same_answer(types: &str, left: &Answer, right: &Answer) -> bool {
    let (Answer::Rows(left), Answer::Rows(right)) = (left, right) else {
        return matches!((left, right), (Answer::Error(_), Answer::Error(_)));
    };
    let same_row = |(left, right): (&Vec<String>, &Vec<String>)| {
        let mut cells = types.chars().zip(left.iter().zip(right));
        left.len() == right.len() && cells.all(|(kind, (left, right))| same_cell(kind, left, right))
    };
    left.len() == right.len() && left.iter().zip(right).all(same_row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_the_same_up_to_their_last_digits_and_decimals_up_to_zeros() {
        assert!(same_cell('R', "0.30000000000000004", "0.3"));
        assert!(!same_cell('R', "0.3000001", "0.3"));
        assert!(!same_cell('T', "0.30", "0.3"));
        assert!(same_cell('D', "0.30", "0.3"));
        assert!(same_cell('D', "2.000", "2"));
        assert!(!same_cell('D', "20", "2"));
        assert!(!same_cell('I', "NULL", "0"));
    }
}
