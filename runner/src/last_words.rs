//! Why a runner ended, in one sentence, where the controller and `kubectl describe pod` find it.

use std::path::Path;

/// Longest text: Kubernetes keeps 4096 bytes, a person reads less.
const LONGEST: usize = 1024;

/// Writes an error as the process's last words. Errors never hold contents of records.
pub fn leave(path: &Path, error: &anyhow::Error) {
    if let Err(why) = std::fs::write(path, sentence(&format!("{error:#}"))) {
        tracing::warn!(path = %path.display(), %why, "cannot write the last words");
    }
}

/// One line of bounded length.
fn sentence(text: &str) -> String {
    let mut line = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    if line.len() > LONGEST {
        line.truncate(line.floor_char_boundary(LONGEST));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_one_line_of_bounded_length() {
        assert_eq!(
            sentence("plan.yaml: one\n  plan.yaml: two\n"),
            "plan.yaml: one; plan.yaml: two"
        );
        let long = sentence(&"é".repeat(2000));
        assert!(
            long.len() <= LONGEST + '…'.len_utf8() && long.ends_with("é…"),
            "{}",
            long.len()
        );
    }
}
