//! Cuts texts into deltas.

/// The longest delta of its own accord, in characters.
const DELTA: usize = 12;

/// Words with the space before them, long ones cut.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let mut length = 0;
    for c in text.chars() {
        match chunks.last_mut() {
            Some(chunk) if c != ' ' && length < DELTA => {
                chunk.push(c);
                length += 1;
            }
            _ => {
                chunks.push(c.to_string());
                length = 1;
            }
        }
    }
    chunks
}

/// So many parts of about the same length, or one for each character.
pub(super) fn even(text: &str, count: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let count = count.clamp(1, characters.len().max(1));
    (0..count)
        .map(|n| {
            characters[n * characters.len() / count..(n + 1) * characters.len() / count]
                .iter()
                .collect()
        })
        .collect()
}

/// Padding that hides how long a delta is.
pub(super) fn obfuscation(delta: &str) -> String {
    const LETTERS: &str = "Zq3vT8kLw1XcB6nR";
    LETTERS[delta.len() % LETTERS.len()..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_make_up_the_text() {
        for text in
            ["", "a", "Hello there,  world", "Grüße aus 東京 und anderswo, Donaudampfschiff"]
        {
            assert_eq!(words(text).concat(), text);
            for count in [0, 1, 3, 1000] {
                assert_eq!(even(text, count).concat(), text);
            }
        }
        assert_eq!(words("It is so"), ["It", " is", " so"]);
        assert_eq!(even("abcd", 2), ["ab", "cd"]);
    }
}
