//! Label selectors, as Kubernetes writes them: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. No client, no clock.

use std::collections::BTreeMap;

/// Requirements that all have to hold; none: everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    /// Also true of what has no such label.
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads one; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens { rest: text };
        let mut requirements = Vec::new();
        if tokens.next().is_none() {
            return Ok(Self::default());
        }
        tokens.rest = text;
        loop {
            requirements.push(requirement(&mut tokens)?);
            match tokens.next() {
                None => return Ok(Self(requirements)),
                Some(Token::Sign(",")) => {}
                Some(other) => return Err(format!("found {other}, expected `,` or the end")),
            }
        }
    }

    /// Whether all requirements hold of these labels.
    pub(super) fn matches(&self, labels: &BTreeMap<&'static str, String>) -> bool {
        self.0
            .iter()
            .all(|requirement| requirement.test.holds(labels.get(requirement.key.as_str())))
    }
}

impl Test {
    fn holds(&self, label: Option<&String>) -> bool {
        let number = || label.and_then(|label| label.parse::<i64>().ok());
        match self {
            Self::Exists => label.is_some(),
            Self::Missing => label.is_none(),
            Self::In(values) => label.is_some_and(|label| values.contains(label)),
            Self::NotIn(values) => label.is_none_or(|label| !values.contains(label)),
            Self::Above(limit) => number().is_some_and(|number| number > *limit),
            Self::Below(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let (missing, key) = match tokens.next() {
        Some(Token::Sign("!")) => (true, tokens.next()),
        first => (false, first),
    };
    let key = match key {
        Some(Token::Word(word)) => checked_key(word)?,
        Some(other) => return Err(format!("found {other}, expected a label")),
        None => return Err("a label is missing at the end".to_owned()),
    };
    let test = match missing {
        true => Test::Missing,
        false => test(tokens)?,
    };
    Ok(Requirement { key, test })
}

fn test(tokens: &mut Tokens<'_>) -> Result<Test, String> {
    match tokens.peek() {
        None | Some(Token::Sign(",")) => return Ok(Test::Exists),
        _ => {}
    }
    match tokens.next() {
        Some(Token::Sign("=" | "==")) => Ok(Test::In(vec![value(tokens)?])),
        Some(Token::Sign("!=")) => Ok(Test::NotIn(vec![value(tokens)?])),
        Some(Token::Sign(">")) => number(tokens).map(Test::Above),
        Some(Token::Sign("<")) => number(tokens).map(Test::Below),
        Some(Token::Word("in")) => values(tokens).map(Test::In),
        Some(Token::Word("notin")) => values(tokens).map(Test::NotIn),
        Some(other) => Err(format!("found {other}, expected one of = == != in notin < >")),
        None => Ok(Test::Exists),
    }
}

/// A value; the empty one is written as nothing at all.
fn value(tokens: &mut Tokens<'_>) -> Result<String, String> {
    match tokens.peek() {
        Some(Token::Word(word)) => {
            tokens.next();
            checked_value(word)
        }
        None | Some(Token::Sign("," | ")")) => Ok(String::new()),
        Some(other) => Err(format!("found {other}, expected a value")),
    }
}

fn values(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    match tokens.next() {
        Some(Token::Sign("(")) => {}
        _ => return Err("expected `(` and values".to_owned()),
    }
    let mut values = Vec::new();
    loop {
        values.push(value(tokens)?);
        match tokens.next() {
            Some(Token::Sign(",")) => {}
            Some(Token::Sign(")")) => return Ok(values),
            Some(other) => return Err(format!("found {other}, expected `,` or `)`")),
            None => return Err("`)` is missing at the end".to_owned()),
        }
    }
}

fn number(tokens: &mut Tokens<'_>) -> Result<i64, String> {
    let value = value(tokens)?;
    value.parse().map_err(|_| format!("`{value}` is not a whole number"))
}

/// A name, with or without a DNS name and a slash before it.
fn checked_key(word: &str) -> Result<String, String> {
    let (prefix, name) = word
        .split_once('/')
        .map_or((None, word), |(prefix, name)| (Some(prefix), name));
    let domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let prefix_fits = prefix.is_none_or(|it| (1..=253).contains(&it.len()) && it.chars().all(domain) && ends_fit(it));
    match prefix_fits && !name.is_empty() && is_name(name) {
        true => Ok(word.to_owned()),
        false => Err(format!("`{word}` is not a label")),
    }
}

fn checked_value(word: &str) -> Result<String, String> {
    match is_name(word) {
        true => Ok(word.to_owned()),
        false => Err(format!("`{word}` is not the value of a label")),
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && ends_fit(text)
}

fn ends_fit(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(fits) && text.ends_with(fits)
}

#[derive(Clone, Copy)]
enum Token<'a> {
    Sign(&'a str),
    Word(&'a str),
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Sign(text) | Self::Word(text)) = self;
        write!(f, "`{text}`")
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let text = self.rest.trim_start();
        let sign = ["==", "!=", "=", "!", ",", "(", ")", "<", ">"]
            .into_iter()
            .find(|sign| text.starts_with(sign));
        let end = text
            .find(|c: char| c.is_whitespace() || "=!,()<>".contains(c))
            .unwrap_or(text.len());
        let (token, rest) = text.split_at(sign.map_or(end, str::len));
        self.rest = rest;
        match (sign, token) {
            (Some(sign), _) => Some(Token::Sign(sign)),
            (None, "") => None,
            (None, word) => Some(Token::Word(word)),
        }
    }

    fn peek(&self) -> Option<Token<'a>> {
        Tokens { rest: self.rest }.next()
    }
}

#[cfg(test)]
mod tests;
