//! Suggestions for misspelled words ("did you mean …?").

/// The known word that is most similar to this one, if any is similar enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || shares_beginning(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one word begins with the other, without `-` and `_`: `ready` and `ready-path`, `stop_signal` and
/// `stop-signal`, `extensions` and `ext`.
fn shares_beginning(word: &str, candidate: &str) -> bool {
    let bare = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let (word, candidate) = (bare(word), bare(candidate));
    word.len() >= 3 && candidate.len() >= 3 && (word.starts_with(&candidate) || candidate.starts_with(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_their_word() {
        let known = ["paths", "ext", "debounce", "stop-timeout", "ready-path"];
        assert_eq!(nearest("debonce", known), Some("debounce"));
        assert_eq!(nearest("pahts", known), Some("paths"));
        assert_eq!(nearest("extensions", known), Some("ext"));
        assert_eq!(nearest("stop_timeout", known), Some("stop-timeout"));
        assert_eq!(nearest("colour", known), None);
    }
}
