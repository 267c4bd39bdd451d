//! Texts of other systems, before they get into a status, an event or a log: short, and without control characters.

/// Longest text of another system that is passed on, in characters.
const MOST: usize = 512;

/// `text` on one line, without control characters, cut where it is too long.
pub fn clean(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !is_invisible(c);
    let plain: String = text
        .chars()
        .map(|c| if is_plain(c) { c } else { ' ' })
        .take(MOST * 8)
        .collect();
    let mut cleaned = String::new();
    for word in plain.split_whitespace() {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        cleaned.push_str(word);
    }
    match cleaned.char_indices().nth(MOST) {
        None => cleaned,
        Some((end, _)) => format!("{}...", cleaned[..end].trim_end()),
    }
}

/// Characters that change how others are shown, such as the direction of text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_line_short_and_plain() {
        assert_eq!(
            clean("  failed:\r\n\tno\u{1b}[31m answer\u{202e}x "),
            "failed: no [31m answer x"
        );
        assert_eq!(clean(&"\u{e9}".repeat(512)), "\u{e9}".repeat(512));
        let cut = clean(&"\u{e9}".repeat(1_000_000));
        assert_eq!(cut.chars().count(), 515);
        assert!(cut.ends_with("\u{e9}..."));
    }
}
