//! What is left of the plan, as the backend tells it on every occasion.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the model: windows and credits |
//! | `figures.rs` | which figures make sense |
//! | `headers.rs` | what the headers of an answer tell |
//! | `document.rs` | what the event of a stream and the usage document tell |
//! | `store.rs` | what is known, by all that was told |
//! | `alarm.rs` | when somebody should be warned |
//! | `reached.rs` | what the headers of a refusal tell of the limit that is used up |
//! | `report.rs` | how it is shown to programs |
//!
//! All of it is pure but for the lock of the store and its warnings in the log: times come from
//! outside, as unix seconds.

mod alarm;
pub mod document;
mod figures;
pub mod headers;
pub mod reached;
mod report;
mod store;

pub use report::LimitsReport;
pub use store::{Reporter, Store};

/// The limit that every plan has.
const MAIN: &str = "codex";

/// How many windows are kept. Nobody has as many.
const MAX_WINDOWS: usize = 64;

/// A limit has two windows, either of which may be the longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The first one.
    Primary,
    /// The other one.
    Secondary,
}

impl Slot {
    const ALL: [Self; 2] = [Self::Primary, Self::Secondary];

    /// The backend's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

/// How much of a limit is used within a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// From 0 to 100.
    pub used_percent: f64,
    /// How long it lasts.
    pub minutes: Option<u64>,
    /// When it begins anew, in unix seconds.
    pub resets_at: Option<i64>,
}

impl Window {
    /// Whether it has begun anew since it was told of, so that its figure means nothing any more.
    fn has_ended(&self, now: i64) -> bool {
        self.resets_at.is_some_and(|at| at <= now)
    }
}

/// What can be used beyond the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credits {
    /// Whether there are any.
    pub has_credits: bool,
    /// Whether there is no end of them.
    pub unlimited: bool,
    /// How many are left: a number, as the backend writes it.
    pub balance: Option<String>,
}

/// On what occasion the backend has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the headers of an answer or a refusal.
    Headers,
    /// In an event of a stream.
    Event,
    /// When it was asked.
    Usage,
}

impl Source {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Event => "event",
            Self::Usage => "usage",
        }
    }
}

/// A window of a limit, as it was told of.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedWindow {
    /// What the limit is called by programs, such as `codex`.
    pub id: String,
    /// What it is called by people.
    pub name: Option<String>,
    /// Which of its windows this is.
    pub slot: Slot,
    /// The figures.
    pub window: Window,
}

/// What the backend tells on one occasion. What it says nothing of stays as it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// The plan's name.
    pub plan: Option<String>,
    /// Its limits.
    pub windows: Vec<ReportedWindow>,
    /// Its credits.
    pub credits: Option<Credits>,
}

/// A window of a limit, as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// What was told last.
    pub told: ReportedWindow,
    /// When that was, in unix seconds.
    pub updated_at: i64,
}

/// All that is known at some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// The plan's name.
    pub plan: Option<String>,
    /// The windows that have not begun anew since they were told of: those of the plan itself
    /// first.
    pub windows: Vec<Known>,
    /// The plan's credits.
    pub credits: Option<Credits>,
    /// When and how something was told of the windows last.
    pub updated: Option<(i64, Source)>,
}

impl Limits {
    /// For how many seconds nothing was told of the windows; nothing if it never was.
    pub fn age(&self, now: i64) -> Option<i64> {
        // A clock that was put back makes nothing older.
        self.updated.map(|(at, _)| now.saturating_sub(at).max(0))
    }
}

impl ReportedWindow {
    /// Whether this is the limit that every plan has.
    pub fn is_main(&self) -> bool {
        self.id == MAIN
    }
}
