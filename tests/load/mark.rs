//! Marks: every text on its way through the daemon says whose it is.

use std::fmt;

/// What is in all texts, asked and answered, and may be in no log.
pub(crate) const CANARY: &str = "entre nous";

/// One conversation of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Talk {
    pub(crate) client: u32,
    pub(crate) number: u32,
}

/// One request and its answer in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Turn {
    pub(crate) talk: Talk,
    pub(crate) turn: u32,
}

/// What stands in texts: `~client-talk.turn~` in what is asked, `~client-talk.turn/attempt~` in
/// what is answered. It looks the same in JSON, in headers and in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) turn: Turn,
    pub(crate) attempt: Option<usize>,
}

impl Turn {
    /// The mark of what is asked.
    pub(crate) fn asked(self) -> Mark {
        Mark { turn: self, attempt: None }
    }

    /// The mark of what is answered to the call with this number.
    pub(crate) fn answered(self, attempt: usize) -> Mark {
        Mark { turn: self, attempt: Some(attempt) }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Turn { talk: Talk { client, number }, turn } = self.turn;
        write!(f, "~{client}-{number}.{turn}")?;
        if let Some(attempt) = self.attempt {
            write!(f, "/{attempt}")?;
        }
        f.write_str("~")
    }
}

impl Mark {
    /// Reads what stands between the tildes.
    fn parse(text: &str) -> Option<Self> {
        let (turn, attempt) = match text.split_once('/') {
            Some((turn, attempt)) => (turn, Some(attempt.parse().ok()?)),
            None => (text, None),
        };
        let (talk, turn) = turn.split_once('.')?;
        let (client, number) = talk.split_once('-')?;
        let talk = Talk { client: client.parse().ok()?, number: number.parse().ok()? };
        Some(Self { turn: Turn { talk, turn: turn.parse().ok()? }, attempt })
    }
}

/// All marks in a text, or what is wrong with them.
pub(crate) fn marks(text: &str) -> Result<Vec<Mark>, String> {
    let parts: Vec<&str> = text.split('~').collect();
    if parts.len().is_multiple_of(2) {
        return Err(format!("a torn mark in {}", shortened(text)));
    }
    let read = |part: &&str| Mark::parse(part).ok_or_else(|| format!("no mark: ~{part}~"));
    parts.iter().skip(1).step_by(2).map(read).collect()
}

/// A text that fits on a line.
pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= 300 {
        return text.to_owned();
    }
    let start: String = text.chars().take(150).collect();
    let end: Vec<char> = text.chars().rev().take(150).collect();
    format!("{start} … {}", end.into_iter().rev().collect::<String>())
}

#[test]
fn marks_are_found_and_torn_ones_are_noticed() {
    let turn = Turn { talk: Talk { client: 3, number: 14 }, turn: 1 };
    let text = format!("a {}b{} c", turn.asked(), turn.answered(2));
    assert_eq!(text, "a ~3-14.1~b~3-14.1/2~ c");
    assert_eq!(marks(&text).unwrap(), [turn.asked(), turn.answered(2)]);
    assert_eq!(marks("nothing").unwrap(), []);
    for wrong in ["~3-14.1", "~3-14.1~ ~3-14", "~3-14~", "~x-1.1~", "~~", "~3-14.1/~"] {
        assert!(marks(wrong).is_err(), "{wrong}");
    }
}
