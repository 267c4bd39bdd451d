//! The SQL that is read: the parser's generic dialect without what only queries need, and with a bound on work.

use std::any::TypeId;
use std::cell::Cell;

use datafusion_sql::sqlparser::ast::Expr;
use datafusion_sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion_sql::sqlparser::parser::{Parser, ParserError};

/// Prefixes (operands, opening parentheses, signs …) to look at. The parser tries several readings of the same text one
/// after the other, and does so again within each: forty unclosed `CAST(` would keep it busy for years.
const MAX_PREFIXES: usize = 20_000;

/// Counts the parser's work. One instance parses one text.
#[derive(Debug, Default)]
pub(super) struct Scalar {
    prefixes: Cell<usize>,
}

impl Dialect for Scalar {
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        matches!(ch, '"' | '`')
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    /// Takes no part in parsing; only counts. This error is the only one that the parser does not take for a reading
    /// that failed.
    fn parse_prefix(&self, _parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        self.prefixes.set(self.prefixes.get() + 1);
        (self.prefixes.get() > MAX_PREFIXES).then_some(Err(ParserError::RecursionLimitExceeded))
    }
}
