//! What was probably meant. Wording only: nothing is ever accepted because it is close to something known.

/// The candidate that `word` is most likely a slip of: other case, other separators, or few letters away.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other = fold(candidate);
        let distance = strsim::damerau_levenshtein(&folded, &other);
        let allowed = (folded.chars().count().max(other.chars().count()) / 3).min(3);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `; did you mean `x`?`, or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates)
        .map(|candidate| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

/// `unknown field `amuont`; did you mean `amount`?`
pub(crate) fn unknown<'a>(what: &str, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    format!("unknown {what} `{word}`{}", hint(word, candidates))
}

fn fold(word: &str) -> String {
    word.chars()
        .take(256)
        .filter(|c| !matches!(c, '_' | '-' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let fields = ["amount", "dep_delay", "carrier", "id"];
        let meant = |word| closest(word, fields);
        assert_eq!(meant("amuont"), Some("amount"));
        assert_eq!(meant("Amount"), Some("amount"));
        assert_eq!(meant("depDelay"), Some("dep_delay"));
        assert_eq!(meant("dep-delay"), Some("dep_delay"));
        assert_eq!(meant("carier"), Some("carrier"));
        assert_eq!(meant("price"), None);
        assert_eq!(meant("x"), None);
        assert_eq!(meant(""), None);
    }

    #[test]
    fn nearest_of_several_wins() {
        assert_eq!(closest("max_x", ["min_x", "max_xy", "maxx"]), Some("maxx"));
    }
}
