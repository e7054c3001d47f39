//! A cap on the tokens of a text that comes in pieces.

mod table;

use tiktoken_rs::CoreBPE;

use super::steps;

/// A text longer than this without any word boundary is counted in parts, so that no text costs
/// more than linear time. The count may then be off by a token per part.
const MAX_TAIL: usize = 512;

/// How much text is counted at a time, so that no piece of any length makes the tokenizer's search
/// for words a long one.
const MAX_PART: usize = 4 << 10;

/// Whether tokens can be counted without [`get_ready_to_count`].
pub fn is_ready_to_count() -> bool {
    table::is_made()
}

/// Makes what tokens are counted with, which takes a tenth of a second the first time. Without
/// this the first answer that reaches a limit waits for it, and all others with it.
pub fn get_ready_to_count() {
    table::tokenizer();
}

/// Lets so many tokens of a text pass.
#[derive(Debug)]
pub(super) struct Cap {
    max: usize,
    passed: Passed,
}

#[derive(Debug)]
enum Passed {
    /// Fewer bytes than tokens are allowed: no token is shorter than a byte, so that there is
    /// nothing to count yet and the tokenizer need not be loaded.
    Uncounted(String),
    Counted(Counter),
}

/// How much of a piece may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// All of it.
    All,
    /// So many bytes, and nothing after them.
    Only(usize),
}

impl Cap {
    pub(super) fn new(max: usize) -> Self {
        Self { max, passed: Passed::Uncounted(String::new()) }
    }

    /// How much of the next piece may pass.
    pub(super) fn push(&mut self, text: &str) -> Allowed {
        if let Passed::Uncounted(passed) = &mut self.passed {
            if passed.len() + text.len() <= self.max {
                passed.push_str(text);
                return Allowed::All;
            }
            let mut counter = Counter::new();
            let passed = std::mem::take(passed);
            counter.append(&passed);
            self.passed = Passed::Counted(counter);
        }
        match &mut self.passed {
            Passed::Counted(counter) => counter.push(text, self.max),
            Passed::Uncounted(_) => Allowed::All,
        }
    }

    /// How many bytes are made into tokens if the next piece is so long.
    pub(super) fn bytes_to_count(&self, more: usize) -> usize {
        match &self.passed {
            // All of it at once, when it is first counted.
            Passed::Uncounted(passed) if passed.len() + more <= self.max => 0,
            Passed::Uncounted(passed) => passed.len() + more,
            Passed::Counted(counter) => counter.tail.len() + more,
        }
    }

    /// How many tokens have passed, once the cap is reached.
    pub(super) fn max(&self) -> usize {
        self.max
    }
}

/// Counts a growing text. What lies before the last word boundary is counted once; only the tail
/// behind it is counted again as it grows.
struct Counter {
    tokenizer: &'static CoreBPE,
    settled: usize,
    tail: String,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").field("settled", &self.settled).finish_non_exhaustive()
    }
}

impl Counter {
    fn new() -> Self {
        Self { tokenizer: table::tokenizer(), settled: 0, tail: String::new() }
    }

    fn push(&mut self, text: &str, max: usize) -> Allowed {
        let mut passed = 0;
        for part in parts(text) {
            match self.push_part(part, max) {
                Allowed::All => passed += part.len(),
                Allowed::Only(bytes) => return Allowed::Only(passed + bytes),
            }
        }
        Allowed::All
    }

    fn push_part(&mut self, part: &str, max: usize) -> Allowed {
        let before = self.tail.len();
        self.tail.push_str(part);
        steps::note(self.tail.len() as u64);
        let tokens = self.tokenizer.encode_ordinary(&self.tail);
        if self.settled + tokens.len() <= max {
            self.settle();
            return Allowed::All;
        }
        let rest = max.saturating_sub(self.settled).min(tokens.len());
        // What was made of bytes can be made into bytes.
        let end = self.tokenizer.decode_bytes(&tokens[..rest]).map_or(before, |bytes| bytes.len());
        // A token may end within a character, and before what has passed already.
        let end = (before..=end.max(before))
            .rev()
            .find(|&end| self.tail.is_char_boundary(end))
            .unwrap_or(before);
        Allowed::Only(end - before)
    }

    fn append(&mut self, text: &str) {
        for part in parts(text) {
            self.tail.push_str(part);
            self.settle();
        }
    }

    /// Counts what no later text can change: no token spans the place between a letter or digit
    /// and a space behind it.
    fn settle(&mut self) {
        let boundary = self
            .tail
            .rmatch_indices(' ')
            .map(|(at, _)| at)
            .find(|&at| self.tail[..at].chars().next_back().is_some_and(char::is_alphanumeric));
        let end = match boundary {
            Some(at) => at,
            None if self.tail.len() > MAX_TAIL => self.tail.len(),
            None => return,
        };
        steps::note(end as u64);
        self.settled += self.tokenizer.count_ordinary(&self.tail[..end]);
        self.tail.drain(..end);
    }
}

/// The text in pieces of no more than [`MAX_PART`] bytes.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let most = MAX_PART.min(text.len());
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        let (part, rest) = text.split_at(end);
        text = rest;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tiktoken_rs::o200k_base_singleton;

    use super::*;

    fn run(max: usize, pieces: &[&str]) -> (String, bool) {
        let mut cap = Cap::new(max);
        let mut out = String::new();
        for piece in pieces {
            match cap.push(piece) {
                Allowed::All => out.push_str(piece),
                Allowed::Only(len) => return (out + &piece[..len], true),
            }
        }
        (out, false)
    }

    #[test]
    fn text_is_cut_at_the_token_that_exceeds_the_cap() {
        let words = ["One", " two", " three", " four", " five"];
        assert_eq!(run(3, &words), ("One two three".into(), true));
        assert_eq!(run(5, &words), ("One two three four five".into(), false));
        assert_eq!(run(2, &["One two three"]), ("One two".into(), true));
        assert!(run(1, &["🌍🌍🌍🌍"]).1);
    }

    #[test]
    fn long_pieces_are_counted_in_parts() {
        let words = " word".repeat(3 * MAX_PART);
        assert_eq!(run(3 * MAX_PART, &[&words]), (words.clone(), false));
        let (out, is_cut) = run(2 * MAX_PART, &[&words]);
        assert!(is_cut && out == " word".repeat(2 * MAX_PART), "{}", out.len());
        for odd in ["\u{20ac}", " ", "\n \u{3000}", "^", "\u{b95}", "a"] {
            let (out, _) = run(MAX_PART, &[&odd.repeat(40 * MAX_PART)]);
            assert!(!out.is_empty() && odd.repeat(40 * MAX_PART).starts_with(&out));
        }
    }

    #[test]
    fn twice_as_much_text_takes_twice_the_steps() {
        let steps = |piece: &str, pieces: usize| {
            steps::counted(|| {
                let mut counter = Counter::new();
                for _ in 0..pieces {
                    assert_eq!(counter.push(piece, usize::MAX), Allowed::All);
                }
            })
        };
        for piece in
            ["word ", "wordword", "\u{20ac}\u{20ac}", &"no end ".repeat(30), &"x".repeat(900)]
        {
            // The tail grows up to its end again and again: as often, or twice as often.
            let pieces = 10 * (MAX_TAIL / piece.len() + 1);
            let (once, twice) = (steps(piece, pieces), steps(piece, 2 * pieces));
            assert!(twice <= once * 21 / 10, "{}: {once}, {twice}", piece.len());
            // It is counted anew with each piece.
            let most = pieces as u64 * (2 * piece.len() as u64 + 3 * MAX_TAIL as u64);
            assert!(once <= most, "{}: {once} above {most}", piece.len());
        }
    }

    #[test]
    fn short_texts_do_not_load_the_tokenizer() {
        let mut cap = Cap::new(10);
        assert_eq!(cap.push("0123456789"), Allowed::All);
        assert!(matches!(cap.passed, Passed::Uncounted(_)));
    }

    proptest! {
        #[test]
        fn a_text_in_pieces_has_as_many_tokens_as_the_whole(
            pieces in prop::collection::vec("[a-z0-9 é\n'.,]{0,12}", 0..20),
        ) {
            let mut counter = Counter::new();
            for piece in &pieces {
                counter.append(piece);
            }
            let total = counter.settled + counter.tokenizer.count_ordinary(&counter.tail);
            prop_assert_eq!(total, counter.tokenizer.count_ordinary(&pieces.concat()));
        }

        #[test]
        fn what_passes_is_never_above_the_cap_and_always_a_prefix(
            text in "\\PC{0,60}", max in 1..12_usize,
        ) {
            let (out, cut) = run(max, &[&text]);
            prop_assert!(text.starts_with(&out));
            prop_assert_eq!(cut, o200k_base_singleton().count_ordinary(&text) > max);
        }
    }
}
