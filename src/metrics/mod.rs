//! Metrics of the daemon: counts, times, model names and error codes, but no content. They are kept
//! in memory and updated once per request, when it ends.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the data that the metrics are made of |
//! | `request.rs` | requests to any endpoint |
//! | `labels.rs` | label values chosen by others, limited in number |
//! | `activity.rs` | the last requests, and the tokens of the last hours |
//! | `prometheus.rs` | counters and histograms in the text format of Prometheus |
//!
//! `server/metrics.rs` serves them.

pub(crate) mod activity;
mod labels;
pub(crate) mod prometheus;
mod request;

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::activity::Activity;
use self::labels::BoundedLabels;
use self::prometheus::{Exporter, Gauges};
pub(crate) use self::request::RequestMetrics;
use crate::chat::usage::Usage;

/// The metrics of one daemon. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

struct Inner {
    started: SystemTime,
    in_flight: AtomicUsize,
    models: BoundedLabels,
    codes: BoundedLabels,
    prometheus: Exporter,
    activity: Mutex<Activity>,
}

/// A finished model request.
#[derive(Debug, Clone)]
pub(crate) struct RequestOutcome {
    pub(crate) request_id: String,
    pub(crate) at: SystemTime,
    /// The model as the client called it; empty if the request could not be read.
    pub(crate) asked: String,
    /// The model's own name, if there is such a model.
    pub(crate) slug: Option<String>,
    pub(crate) stream: bool,
    /// The status that was sent, or would have been sent.
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    /// What programs match on.
    pub(crate) error: Option<String>,
    /// A short description, without the backend's message.
    pub(crate) reason: Option<String>,
    pub(crate) first_token: Option<Duration>,
    pub(crate) total: Duration,
    pub(crate) usage: Usage,
    pub(crate) continuity: Continuity,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Failed,
    /// The client has left.
    Cancelled,
}

/// Whether a turn of the conversation was remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Continuity {
    Hit,
    Miss,
    /// None was looked for.
    Off,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Continuity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Off => "off",
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            started: SystemTime::now(),
            in_flight: AtomicUsize::new(0),
            models: BoundedLabels::default(),
            codes: BoundedLabels::default(),
            prometheus: Exporter::new(),
            activity: Mutex::default(),
        }))
    }

    /// A request to a model begins. For each there is one [`Metrics::ended`].
    pub(crate) fn begun(&self) {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, ended: &RequestOutcome) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.prometheus.ended(ended, &self.model(ended));
        self.activity().push(ended);
    }

    /// A call to the backend has failed, with this code, and is retried or not.
    pub(crate) fn call_failed(&self, code: &str, is_sent_again: bool) {
        self.0.prometheus.call_failed(&self.0.codes.bounded(code), is_sent_again);
    }

    /// The model's name as a label: only existing models are used, since clients may send any name.
    fn model<'e>(&self, ended: &'e RequestOutcome) -> Cow<'e, str> {
        match &ended.slug {
            Some(slug) => self.0.models.bounded(slug),
            None if ended.asked.is_empty() => Cow::Borrowed(""),
            None => Cow::Borrowed(labels::OTHER),
        }
    }

    /// How many requests to models are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// The last requests, and the tokens of the last hours.
    pub(crate) fn activity(&self) -> MutexGuard<'_, Activity> {
        self.0.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// When the daemon started, in unix seconds.
    pub(crate) fn started(&self) -> f64 {
        unix(self.0.started)
    }

    /// Everything in the text format of Prometheus, together with these gauges.
    pub(crate) fn text(&self, gauges: &Gauges) -> ::prometheus::Result<String> {
        self.0.prometheus.text(gauges)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

/// A time in unix seconds.
pub(crate) fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
