//! What was asked, and what the backend said to it: what answers are compared with.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::mark::{Talk, Turn};

/// What the backend is to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whatever is drawn.
    Chance,
    /// One delta now and then, until it is told to come to an end.
    Slow,
    /// So many bytes of text, as fast as they are taken.
    Flood(usize),
    /// A short answer at once.
    Prompt,
}

/// What the backend said to one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// What it was made to do.
    pub(crate) fate: &'static str,
    /// The text.
    pub(crate) text: String,
    /// Names and arguments of the tool calls.
    pub(crate) calls: Vec<(String, String)>,
    /// How it ends; nothing if it does not.
    pub(crate) finish: Option<&'static str>,
}

/// All that is under way.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    turns: Mutex<HashMap<Turn, (Mode, Vec<Attempt>)>>,
    sessions: Mutex<HashMap<String, Talk>>,
    wrong: Mutex<Vec<String>>,
}

impl Ledger {
    /// A client is about to ask.
    pub(crate) fn ask(&self, turn: Turn, mode: Mode) {
        self.turns.lock().unwrap().insert(turn, (mode, Vec::new()));
    }

    /// A call has come. Gives its number among those of its turn, and what is to be done; nothing
    /// if nobody is waiting for the answer any more.
    pub(crate) fn call(&self, turn: Turn) -> Option<(Mode, usize)> {
        let mut turns = self.turns.lock().unwrap();
        let (mode, attempts) = turns.get_mut(&turn)?;
        attempts.push(Attempt::default());
        Some((*mode, attempts.len() - 1))
    }

    /// What is said to a call. It is written down before it is said.
    pub(crate) fn say(&self, turn: Turn, attempt: usize, change: impl FnOnce(&mut Attempt)) {
        if let Some((_, attempts)) = self.turns.lock().unwrap().get_mut(&turn) {
            change(&mut attempts[attempt]);
        }
    }

    /// The client has its answer, or has left: what was said to it.
    pub(crate) fn close(&self, turn: Turn) -> Vec<Attempt> {
        self.turns.lock().unwrap().remove(&turn).map(|(_, attempts)| attempts).unwrap_or_default()
    }

    /// A call of a conversation came with this session: one session is one conversation's.
    pub(crate) fn session(&self, session: &str, talk: Talk) {
        let mut sessions = self.sessions.lock().unwrap();
        let known = *sessions.entry(session.to_owned()).or_insert(talk);
        if known != talk {
            drop(sessions);
            self.wrong(format!("MIXED: {talk:?} has the session of {known:?}"));
        }
    }

    /// The conversation has ended.
    pub(crate) fn forget(&self, talk: Talk) {
        self.sessions.lock().unwrap().retain(|_, known| *known != talk);
    }

    /// Something is not as it has to be.
    pub(crate) fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// What was not as it has to be.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }
}
