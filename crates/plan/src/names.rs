//! Names that are checked once and then trusted.

use std::fmt;

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:expr, $what:expr, $edges:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks `raw`; the error says what a valid name is.
            pub fn parse(raw: &str) -> Result<Self, String> {
                let allowed: fn(char) -> bool = $allowed;
                if raw.is_empty() || raw.len() > $max || !raw.chars().all(allowed) {
                    return Err(format!("`{raw}` is not a valid {}: 1 to {} characters of {}", $what.0, $max, $what.1));
                }
                if matches!(raw, "." | "..") || $edges && (raw.starts_with('-') || raw.ends_with('-')) {
                    return Err(format!("`{raw}` is not a valid {}", $what.0));
                }
                Ok(Self(raw.to_owned()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn kafka_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Whether `text` is a DNS-1123 subdomain, as names of Kubernetes objects must be.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let part = |part: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        end(part.chars().next()) && end(part.chars().last()) && part.chars().all(dns_label)
    };
    text.len() <= 253 && text.split('.').all(part)
}

fn dns_label(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

checked_name!(
    /// Name of a Kafka topic (at most 249 characters, Kafka's own rule).
    TopicName, 249, kafka_name, ("topic name", "a-z A-Z 0-9 . _ -"), false
);
checked_name!(
    /// Name of a consumer group.
    GroupId, 200, kafka_name, ("consumer group", "a-z A-Z 0-9 . _ -"), false
);
checked_name!(
    /// Owner of state: part of paths, group and transactional ids, hence no separators.
    StateId, 200, kafka_name, ("state id", "a-z A-Z 0-9 . _ -"), false
);
checked_name!(
    /// Name of an operator, unique in its pipeline.
    OperatorName, 63, dns_label, ("operator name", "a-z 0-9 -"), true
);
