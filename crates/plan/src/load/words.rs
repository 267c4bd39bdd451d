//! Structure in words.

use serde_json::Value;

/// A value and what it is, short enough for a message.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean `{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(text) if text.chars().count() <= 60 => format!("the string `{text}`"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What a field is that takes a whole number or a text, as quantities do. The schema has no type for it.
pub(super) const INT_OR_STRING: &str = "int-or-string";

/// A type of the schema, with its article.
pub(super) fn type_name(name: &str) -> &'static str {
    match name {
        "object" => "an object",
        "array" => "a list",
        "string" => "a string",
        "integer" => "a whole number",
        INT_OR_STRING => "a whole number or a string",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "something else",
    }
}

/// What a text that matches a pattern of the schemas is.
pub(super) fn pattern(pattern: &str) -> String {
    let words = match pattern {
        r"^[0-9]{1,10}(ms|s|m|h|d)$" => "a duration: write a whole number and ms, s, m, h or d, such as `30s`",
        r"^([0-9]{1,10}(ms|s|m|h|d)|none)$" => {
            "a duration or `none`: write a whole number and ms, s, m, h or d, such as `30s`"
        }
        r"^[A-Za-z_][A-Za-z0-9_]*$" => "a field name: letters, digits and _, no digit first",
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" => "a name: a-z 0-9 - and a letter or digit at both ends",
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" => "a name: a-z 0-9 - . and a letter or digit at both ends",
        r"^[a-zA-Z0-9._-]+$" => "a Kafka name: letters, digits and . _ -",
        r"^[^\s,:]+:[0-9]{1,5}$" => "`host:port`",
        r"^[-._a-zA-Z0-9]*[-_a-zA-Z0-9]$" => "a key of a Secret: letters, digits and - . _, no . at the end",
        r"^([0-9]{1,6}m|[0-9]{1,4}(\.[0-9]{1,3})?)$" => "an amount of CPU, such as `500m` or `1.5`",
        r"^[0-9]{1,12}(Ki|Mi|Gi|Ti|k|M|G|T)?$" => "an amount of memory, such as `512Mi` or `2Gi`",
        r"^[1-9][0-9]{0,11}(Ki|Mi|Gi|Ti|k|M|G|T)?$" => "a size, such as `10Gi`",
        other => return format!("of the form {other}"),
    };
    words.to_owned()
}

/// `` `a`, `b` and `c` ``
pub(super) fn listed(words: &[&str]) -> String {
    join(words, "and")
}

/// `` `a`, `b` or `c` ``
pub(super) fn either(words: &[&str]) -> String {
    join(words, "or")
}

fn join(words: &[&str], last: &str) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((end, [])) => end.clone(),
        Some((end, rest)) => format!("{} {last} {end}", rest.join(", ")),
        None => String::new(),
    }
}
