//! Events: what comes of a text in pieces is searched as the whole that it is.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::secrets::{Found, Secrets};
use super::{text, value};
use crate::capture::exchange::Event;

/// A piece of a text. What names the text is the same in all of its pieces.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    delta: Cow<'a, str>,
    #[serde(borrow)]
    item_id: Option<Cow<'a, str>>,
    output_index: Option<u64>,
    content_index: Option<u64>,
    summary_index: Option<u64>,
}

/// A text that came in pieces.
#[derive(Default)]
struct Joined {
    text: String,
    /// The event of each piece, and where the piece ends in the text.
    pieces: Vec<(usize, usize)>,
}

/// The events of an answer without what may not be written.
pub(in crate::capture) fn events(events: &[Event], secrets: &Secrets) -> Vec<Event> {
    let mut changed = changed_pieces(events, secrets);
    let redacted = |(index, event): (usize, &Event)| {
        let data = changed
            .remove(&index)
            .and_then(|delta| with_delta(&event.data, delta, secrets))
            .unwrap_or_else(|| text(&event.data, secrets));
        Event { at_ms: event.at_ms, data }
    };
    events.iter().enumerate().map(redacted).collect()
}

/// What is left of those pieces that hold a part of a secret, by their events.
fn changed_pieces(events: &[Event], secrets: &Secrets) -> HashMap<usize, String> {
    let mut texts = HashMap::<_, Joined>::new();
    for (index, event) in events.iter().enumerate() {
        let Some(piece) = piece(&event.data) else { continue };
        let Piece { kind, delta, item_id, output_index, content_index, summary_index } = piece;
        let name = (kind, item_id, output_index, content_index, summary_index);
        let joined = texts.entry(name).or_default();
        joined.text.push_str(&delta);
        joined.pieces.push((index, joined.text.len()));
    }
    texts.values().flat_map(|joined| joined.changed(&secrets.find(&joined.text))).collect()
}

fn piece(data: &str) -> Option<Piece<'_>> {
    // Most events that are none are not read.
    data.contains("\"delta\"").then(|| serde_json::from_str(data).ok())?
}

impl Joined {
    fn changed(&self, found: &[Found]) -> Vec<(usize, String)> {
        let mut changed = Vec::new();
        let (mut start, mut next) = (0, 0);
        for &(event, end) in &self.pieces {
            // Those that ended before this piece are of no more interest.
            while found.get(next).is_some_and(|found| found.range.end <= start) {
                next += 1;
            }
            let here = found[next..].iter().take_while(|found| found.range.start < end);
            let (mut left, mut at) = (String::new(), start);
            let mut is_changed = false;
            for found in here {
                is_changed = true;
                left.push_str(&self.text[at..found.range.start.max(at)]);
                // The mark is in the piece in which the secret begins.
                if found.range.start >= start {
                    left.push_str(&found.mark());
                }
                at = found.range.end.min(end);
            }
            if is_changed {
                left.push_str(&self.text[at..end]);
                changed.push((event, left));
            }
            start = end;
        }
        changed
    }
}

/// The event with another `delta`, and redacted otherwise.
fn with_delta(data: &str, delta: String, secrets: &Secrets) -> Option<String> {
    let mut event: Value = serde_json::from_str(data).ok()?;
    value(&mut event, secrets);
    *event.get_mut("delta")? = Value::String(delta);
    Some(event.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        Secrets::default()
            .with(Some("account-1234"), "account id")
            .with(Some("one@example.com"), "e-mail address")
    }

    /// Deltas of a text, each in an event of its own.
    fn deltas(kind: &str, index: u64, pieces: &[&str]) -> Vec<Event> {
        let event = |delta: &&str| Event {
            at_ms: 7,
            data: json!({"type": kind, "output_index": index, "delta": delta}).to_string(),
        };
        pieces.iter().map(event).collect()
    }

    fn pieces(events: &[Event]) -> Vec<String> {
        let delta = |event: &Event| piece(&event.data).unwrap().delta.into_owned();
        events.iter().map(delta).collect()
    }

    #[test]
    fn a_secret_in_pieces_is_left_out_of_all_of_them() {
        let mark = "[redacted: e-mail address]";
        for (given, expected) in [
            (vec!["one@exam", "ple.com"], vec![mark.to_owned(), String::new()]),
            (
                vec!["a one@ex", "amp", "le.com b"],
                vec![format!("a {mark}"), String::new(), " b".into()],
            ),
            (vec!["one@exam", "ple.org"], vec!["one@exam".into(), "ple.org".into()]),
            (
                vec!["one@example.com one", "@example.com", "."],
                vec![format!("{mark} {mark}"), String::new(), ".".into()],
            ),
            (
                vec!["{\"to\":\"one\\u00", "40example.com\"}"],
                vec![format!("{{\"to\":\"{mark}"), "\"}".into()],
            ),
            (
                vec!["Bearer abcdefgh", "ijklmnopqrst", " ä"],
                vec!["Bearer [redacted: key]".into(), String::new(), " ä".into()],
            ),
        ] {
            let events = events(&deltas("response.output_text.delta", 0, &given), &secrets());
            assert_eq!(pieces(&events), expected, "{given:?}");
        }
    }

    #[test]
    fn pieces_of_different_texts_are_not_joined() {
        let mut given = deltas("response.output_text.delta", 0, &["one@exam"]);
        given.extend(deltas("response.output_text.delta", 1, &["one@exa", "mple.com"]));
        given.extend(deltas("response.output_text.delta", 0, &["ple of"]));
        given.push(Event { at_ms: 8, data: "{ \"delta\" : {\"a\": 1} }".to_owned() });
        let redacted = events(&given, &secrets());
        assert_eq!(redacted[0], given[0]);
        assert!(redacted[1].data.contains("[redacted: e-mail address]"), "{:?}", redacted[1]);
        assert_eq!(piece(&redacted[2].data).unwrap().delta, "");
        assert_eq!(redacted[3..], given[3..]);
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_no_secret_is_left(
            words in prop::collection::vec(prop::sample::select(vec![
                "account-1234", "one%40example.com", "ä", " ", "one@", "\\u0040",
            ]), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let whole = words.concat();
            let boundaries: Vec<usize> =
                whole.char_indices().map(|(at, _)| at).chain([whole.len()]).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&boundaries)).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let cut: Vec<&str> = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
            let redacted = events(&deltas("response.output_text.delta", 0, &cut), &secrets());
            // Marks may stand side by side, but no secret is left.
            let left = pieces(&redacted).concat();
            prop_assert_eq!(secrets().find(&left), [], "{}", left);
        }
    }
}
