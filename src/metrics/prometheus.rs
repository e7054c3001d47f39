//! Counters and histograms, in the text format of Prometheus.
//!
//! Names and units follow its conventions: base units, `_total` for what only grows, and labels
//! with a limited number of values.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use super::RequestOutcome;
use super::labels::OTHER;
use crate::credentials::Renewals;
use crate::limits::Limits;

/// Buckets in seconds until the first part of an answer: from a quick model to one that thinks for
/// minutes.
const FIRST_CHUNK: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// Buckets in seconds of a request: from those without a call to the longest answers.
const DURATION: &[f64] =
    &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// Counters and histograms.
pub(crate) struct Exporter {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    first_chunks: HistogramVec,
    tokens: IntCounterVec,
    continuity: IntCounterVec,
    upstream_errors: IntCounterVec,
    upstream_retries: IntCounter,
}

/// Values that are read on a scrape.
pub(crate) struct Gauges {
    pub(crate) started: f64,
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
    pub(crate) renewals: Renewals,
    pub(crate) limits: Limits,
}

impl Exporter {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let counters = |name, help, labels| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histograms = |name, help, buckets: &[f64], labels| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(&registry, HistogramVec::new(options, labels))
        };
        Self {
            requests: counters(
                "codex_proxy_requests_total",
                "Finished requests by the status sent to the client, or that would have been \
                 sent; 499 if the client disconnected. The endpoint is other if none matched.",
                &["endpoint", "model", "status"],
            ),
            durations: histograms(
                "codex_proxy_request_duration_seconds",
                "The time until the answer to a request is sent completely.",
                DURATION,
                &["endpoint"],
            ),
            first_chunks: histograms(
                "codex_proxy_first_chunk_seconds",
                "The time until the first piece of a streamed answer.",
                FIRST_CHUNK,
                &["model"],
            ),
            tokens: counters(
                "codex_proxy_tokens_total",
                "Tokens used. Cached tokens are part of the input, reasoning tokens part of the \
                 output.",
                &["model", "kind"],
            ),
            continuity: counters(
                "codex_proxy_continuity_requests_total",
                "Requests by whether a turn of the conversation was remembered (hit), was not \
                 (miss), or was not looked up (off).",
                &["result"],
            ),
            upstream_errors: counters(
                "codex_proxy_upstream_errors_total",
                "Failed calls to the backend, by the backend's code or the kind of failure.",
                &["code"],
            ),
            upstream_retries: registered(
                &registry,
                IntCounter::new(
                    "codex_proxy_upstream_retries_total",
                    "Retried calls to the backend.",
                ),
            ),
            registry,
        }
    }

    /// A request to any endpoint has ended.
    pub(crate) fn request(&self, endpoint: &str, model: &str, status: u16, duration: Duration) {
        self.count(endpoint, model, status);
        self.durations.with_label_values(&[endpoint]).observe(duration.as_secs_f64());
    }

    /// A request was rejected before it reached an endpoint, which takes no time.
    pub(crate) fn refused(&self, status: u16) {
        self.count(OTHER, "", status);
    }

    fn count(&self, endpoint: &str, model: &str, status: u16) {
        self.requests.with_label_values(&[endpoint, model, &status.to_string()]).inc();
    }

    /// A request to a model has ended.
    pub(crate) fn ended(&self, ended: &RequestOutcome, model: &str) {
        if let Some(first_chunk) = ended.first_token.filter(|_| ended.stream) {
            self.first_chunks.with_label_values(&[model]).observe(first_chunk.as_secs_f64());
        }
        let usage = &ended.usage;
        for (kind, count) in [
            ("input", usage.prompt_tokens),
            ("cached", usage.prompt_tokens_details.cached_tokens),
            ("output", usage.completion_tokens),
            ("reasoning", usage.completion_tokens_details.reasoning_tokens),
        ] {
            if count > 0 {
                self.tokens.with_label_values(&[model, kind]).inc_by(count);
            }
        }
        self.continuity.with_label_values(&[ended.continuity.as_str()]).inc();
    }

    /// A call to the backend has failed.
    pub(crate) fn call_failed(&self, code: &str, is_sent_again: bool) {
        self.upstream_errors.with_label_values(&[code]).inc();
        if is_sent_again {
            self.upstream_retries.inc();
        }
    }

    /// All figures as text.
    pub(crate) fn text(&self, levels: &Gauges) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(levels.registry().gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}

impl Gauges {
    fn registry(&self) -> Registry {
        let registry = Registry::new();
        let level = |name, help, level: usize| {
            registered(&registry, IntGauge::new(name, help))
                .set(i64::try_from(level).unwrap_or(i64::MAX));
        };
        level(
            "codex_proxy_requests_in_flight",
            "Model requests in progress, including queued ones.",
            self.in_flight,
        );
        level("codex_proxy_requests_queued", "Requests in the queue.", self.waiting);
        registered(
            &registry,
            Gauge::new("codex_proxy_start_time_seconds", "When the daemon started, in unix time."),
        )
        .set(self.started);
        let info = Opts::new("codex_proxy_build_info", "The running version; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        registered(&registry, IntGauge::with_opts(info)).set(1);
        self.renewals(&registry);
        self.limits(&registry);
        registry
    }

    fn renewals(&self, registry: &Registry) {
        let renewals = registered(
            registry,
            IntCounterVec::new(
                Opts::new(
                    "codex_proxy_login_renewals_total",
                    "Attempts to renew the login, by outcome.",
                ),
                &["result"],
            ),
        );
        let Renewals { renewed, refused, failed } = self.renewals;
        for (result, count) in [("renewed", renewed), ("refused", refused), ("failed", failed)] {
            renewals.with_label_values(&[result]).inc_by(count);
        }
    }

    fn limits(&self, registry: &Registry) {
        const LABELS: &[&str] = &["limit", "window"];
        let used = Opts::new(
            "codex_proxy_limit_used_ratio",
            "The used share of a plan limit, from 0 to 1, as last reported by the backend.",
        );
        let resets = Opts::new(
            "codex_proxy_limit_reset_time_seconds",
            "When the window of a plan limit resets, in unix time.",
        );
        let used = registered(registry, GaugeVec::new(used, LABELS));
        let resets = registered(registry, IntGaugeVec::new(resets, LABELS));
        for known in &self.limits.windows {
            let labels = [known.told.id.as_str(), known.told.slot.as_str()];
            used.with_label_values(&labels).set(known.told.window.used_percent / 100.0);
            if let Some(at) = known.told.window.resets_at {
                resets.with_label_values(&labels).set(at);
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "names and labels are constants; a test makes them all")]
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect("a valid name");
    registry.register(Box::new(collector.clone())).expect("a name of its own");
    collector
}
