//! The plan's limits as the backend tells them: in headers, in an event, and at `/usage`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The simulated plan.
pub(super) const PLAN: &str = "plus";

const PRIMARY_RESET: u64 = 13_872;
const SECONDARY_RESET: u64 = 316_704;

/// Unix seconds.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// When the five-hour window begins anew: at which unix second, and in how many seconds.
pub(super) fn reset() -> (u64, u64) {
    (now() + PRIMARY_RESET, PRIMARY_RESET)
}

/// The `x-codex-*` headers; how much of the five hours is used, in percent.
pub(super) fn headers(used: u8) -> Vec<(&'static str, String)> {
    let now = now();
    vec![
        ("x-codex-plan-type", PLAN.to_owned()),
        ("x-codex-active-limit", "premium".to_owned()),
        ("x-codex-primary-used-percent", used.to_string()),
        ("x-codex-primary-window-minutes", "300".to_owned()),
        ("x-codex-primary-reset-after-seconds", PRIMARY_RESET.to_string()),
        ("x-codex-primary-reset-at", (now + PRIMARY_RESET).to_string()),
        ("x-codex-secondary-used-percent", "5".to_owned()),
        ("x-codex-secondary-window-minutes", "10080".to_owned()),
        ("x-codex-secondary-reset-after-seconds", SECONDARY_RESET.to_string()),
        ("x-codex-secondary-reset-at", (now + SECONDARY_RESET).to_string()),
        ("x-codex-primary-over-secondary-limit-percent", "0".to_owned()),
        ("x-codex-credits-has-credits", "False".to_owned()),
        ("x-codex-credits-unlimited", "False".to_owned()),
        ("x-codex-credits-balance", String::new()),
    ]
}

/// The `codex.rate_limits` event.
pub(super) fn event() -> Value {
    let now = now();
    json!({
        "type": "codex.rate_limits",
        "plan_type": PLAN,
        "rate_limits": {
            "allowed": true,
            "limit_reached": false,
            "primary": {
                "used_percent": 12,
                "window_minutes": 300,
                "reset_after_seconds": PRIMARY_RESET,
                "reset_at": now + PRIMARY_RESET,
            },
            "secondary": {
                "used_percent": 5,
                "window_minutes": 10_080,
                "reset_after_seconds": SECONDARY_RESET,
                "reset_at": now + SECONDARY_RESET,
            },
        },
        "credits": { "has_credits": false, "unlimited": false, "balance": null },
    })
}

/// The body of `/usage`.
pub(super) fn usage() -> Value {
    let now = now();
    json!({
        "plan_type": PLAN,
        "rate_limit": {
            "allowed": true,
            "limit_reached": false,
            "primary_window": {
                "used_percent": 12,
                "limit_window_seconds": 18_000,
                "reset_after_seconds": PRIMARY_RESET,
                "reset_at": now + PRIMARY_RESET,
            },
            "secondary_window": {
                "used_percent": 5,
                "limit_window_seconds": 604_800,
                "reset_after_seconds": SECONDARY_RESET,
                "reset_at": now + SECONDARY_RESET,
            },
        },
        "credits": {
            "has_credits": false,
            "unlimited": false,
            "balance": "0",
            "approx_local_messages": null,
            "approx_cloud_messages": null,
        },
        "additional_rate_limits": [],
        "code_review_rate_limit": null,
        "spend_control": null,
        "rate_limit_reached_type": null,
        "rate_limit_reset_credits": { "available_count": 0 },
        "promo": null,
    })
}
