//! How the limits are shown to programs: by `GET /v1/usage` and `codex-proxy status --json`.

use serde::Serialize;

use super::{Known, Limits};

/// What is known of the limits, as JSON.
#[derive(Debug, Serialize)]
pub struct LimitsReport {
    object: &'static str,
    plan: Option<String>,
    updated_at: Option<i64>,
    age_seconds: Option<i64>,
    source: Option<&'static str>,
    limits: Vec<Limit>,
    credits: Option<Credits>,
}

#[derive(Debug, Serialize)]
struct Limit {
    id: String,
    name: Option<String>,
    window: &'static str,
    used_percent: f64,
    window_minutes: Option<u64>,
    resets_at: Option<i64>,
    resets_in_seconds: Option<i64>,
    updated_at: i64,
}

#[derive(Debug, Serialize)]
struct Credits {
    has_credits: bool,
    unlimited: bool,
    balance: Option<String>,
}

impl LimitsReport {
    /// The report of what is known at this time.
    pub fn new(limits: Limits, now: i64) -> Self {
        let age_seconds = limits.age(now);
        let (updated_at, source) = limits.updated.unzip();
        let credits = limits.credits.map(|credits| Credits {
            has_credits: credits.has_credits,
            unlimited: credits.unlimited,
            balance: credits.balance,
        });
        Self {
            object: "usage",
            plan: limits.plan,
            updated_at,
            age_seconds,
            source: source.map(super::Source::as_str),
            limits: limits.windows.into_iter().map(|known| Limit::new(known, now)).collect(),
            credits,
        }
    }
}

impl Limit {
    fn new(known: Known, now: i64) -> Self {
        let Known { told, updated_at } = known;
        Self {
            id: told.id,
            name: told.name,
            window: told.slot.as_str(),
            used_percent: told.window.used_percent,
            window_minutes: told.window.minutes,
            resets_at: told.window.resets_at,
            resets_in_seconds: told.window.resets_at.map(|at| at.saturating_sub(now)),
            updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::{Source, headers};

    const NOW: i64 = 1_795_363_485;

    #[test]
    fn what_is_known_and_how_old_it_is() {
        let update = headers::read(
            [
                ("x-codex-plan-type", "plus"),
                ("x-codex-primary-used-percent", "42"),
                ("x-codex-primary-window-minutes", "300"),
                ("x-codex-primary-reset-at", "1795370000"),
                ("x-codex-credits-has-credits", "True"),
                ("x-codex-credits-balance", "12.5"),
            ],
            NOW,
        );
        let store = crate::limits::Store::default();
        store.reporter(None).note(update, Source::Headers, NOW);
        let report = LimitsReport::new(store.current(NOW + 10), NOW + 10);
        let expected = json!({"object": "usage", "plan": "plus", "updated_at": NOW,
            "age_seconds": 10, "source": "headers",
            "limits": [{"id": "codex", "name": null, "window": "primary", "used_percent": 42.0,
                "window_minutes": 300, "resets_at": 1_795_370_000, "resets_in_seconds": 6505,
                "updated_at": NOW}],
            "credits": {"has_credits": true, "unlimited": false, "balance": "12.5"}});
        assert_eq!(serde_json::to_value(report).unwrap(), expected);
    }

    #[test]
    fn nothing_is_known_before_anything_was_told() {
        let report = LimitsReport::new(Limits::default(), NOW);
        let expected = json!({"object": "usage", "plan": null, "updated_at": null,
            "age_seconds": null, "source": null, "limits": [], "credits": null});
        assert_eq!(serde_json::to_value(report).unwrap(), expected);
    }
}
