//! What documents tell: the `codex.rate_limits` event of a stream, and the answer of `/usage`.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::Value;

use super::figures::{self, LimitValues};
use super::{Credits, MAIN, MAX_WINDOWS, ReportedWindow, Slot, Update};

/// The `type` of the event.
const EVENT: &str = "codex.rate_limits";

/// The event is far smaller. What is larger is something else, or not worth the memory.
const MAX_EVENT: usize = 16 << 10;

/// Whether the data of an event may be that of the event that tells of limits. This is asked of
/// every event, so it is only one look at it.
pub fn may_be_event(data: &str) -> bool {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(EVENT));
    data.len() <= MAX_EVENT && FINDER.find(data.as_bytes()).is_some()
}

/// What the data of an event tells; nothing if it is another one.
pub fn event(data: &str, now: i64) -> Option<Update> {
    if !may_be_event(data) {
        return None;
    }
    let event: Value = serde_json::from_str(data).ok()?;
    if event["type"] != EVENT {
        return None;
    }
    let mut windows = Windows { told: Vec::new(), now };
    let id = [&event["metered_limit_name"], &event["limit_name"]].into_iter().find_map(id);
    windows.add(id.as_deref().unwrap_or(MAIN), None, &event["rate_limits"]);
    windows.add("code_review", None, &event["code_review_rate_limits"]);
    Some(Update {
        plan: word(&event["plan_type"]),
        windows: windows.told,
        credits: credits(&event["credits"]),
    })
}

/// What the usage document tells; nothing if it is not one.
pub fn usage(body: &[u8], now: i64) -> Option<Update> {
    let usage: Value = serde_json::from_slice(body).ok()?;
    usage.as_object()?;
    let mut windows = Windows { told: Vec::new(), now };
    windows.add(MAIN, None, &usage["rate_limit"]);
    for more in usage["additional_rate_limits"].as_array().into_iter().flatten() {
        let name = more["limit_name"].as_str();
        if let Some(id) = id(&more["metered_feature"]).or_else(|| figures::id(name?)) {
            windows.add(&id, name, &more["rate_limit"]);
        }
    }
    windows.add("code_review", None, &usage["code_review_rate_limit"]);
    Some(Update {
        plan: word(&usage["plan_type"]),
        windows: windows.told,
        credits: credits(&usage["credits"]),
    })
}

struct Windows {
    told: Vec<ReportedWindow>,
    now: i64,
}

impl Windows {
    /// Adds the windows of one limit. The two documents differ in the names of the same figures.
    fn add(&mut self, id: &str, name: Option<&str>, limit: &Value) {
        for slot in Slot::ALL {
            let window = match &limit[slot.as_str()] {
                Value::Null => &limit[format!("{}_window", slot.as_str())],
                window => window,
            };
            let minutes = number(&window["window_minutes"])
                .or_else(|| number(&window["limit_window_seconds"]).map(|seconds| seconds / 60.0));
            let figures = LimitValues {
                used_percent: number(&window["used_percent"]),
                minutes,
                resets_at: number(&window["reset_at"]),
                resets_in: number(&window["reset_after_seconds"]),
            };
            if self.told.len() < MAX_WINDOWS
                && let Some(window) = figures.window(self.now)
            {
                // A name that says no more than the id does is none.
                let name = name.filter(|name| *name != id).and_then(figures::name);
                self.told.push(ReportedWindow { id: id.to_owned(), name, slot, window });
            }
        }
    }
}

fn credits(credits: &Value) -> Option<Credits> {
    let balance = match &credits["balance"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    figures::credits(credits["has_credits"].as_bool(), credits["unlimited"].as_bool(), balance)
}

fn word(value: &Value) -> Option<String> {
    figures::word(value.as_str()?)
}

fn id(value: &Value) -> Option<String> {
    figures::id(value.as_str()?)
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::Window;

    const NOW: i64 = 1_779_340_000;

    fn told(
        id: &str,
        slot: Slot,
        used_percent: f64,
        minutes: u64,
        resets_at: i64,
    ) -> ReportedWindow {
        let window = Window { used_percent, minutes: Some(minutes), resets_at: Some(resets_at) };
        ReportedWindow { id: id.to_owned(), name: None, slot, window }
    }

    #[test]
    fn an_event_tells_the_plan_its_windows_and_its_credits() {
        let data = json!({"type": "codex.rate_limits", "plan_type": "plus",
            "rate_limits": {"allowed": true, "limit_reached": false,
                "primary": {"used_percent": 42, "window_minutes": 300, "reset_after_seconds": 9000,
                    "reset_at": 1_779_348_000},
                "secondary": {"used_percent": 5, "window_minutes": 10080,
                    "reset_at": 1_779_839_000}},
            "code_review_rate_limits": null,
            "credits": {"has_credits": true, "unlimited": false, "balance": 12.5}});
        let expected = Update {
            plan: Some("plus".to_owned()),
            windows: vec![
                told("codex", Slot::Primary, 42.0, 300, 1_779_348_000),
                told("codex", Slot::Secondary, 5.0, 10_080, 1_779_839_000),
            ],
            credits: Some(Credits {
                has_credits: true,
                unlimited: false,
                balance: Some("12.5".to_owned()),
            }),
        };
        assert_eq!(event(&data.to_string(), NOW), Some(expected));
    }

    #[test]
    fn an_event_may_be_of_another_limit_or_tell_little() {
        let primary = json!({"primary": {"used_percent": "7"}});
        for (more, id) in [
            (json!({}), "codex"),
            (json!({"metered_limit_name": "codex-other", "limit_name": "x"}), "codex_other"),
            (json!({"metered_limit_name": null, "limit_name": "other"}), "other"),
            (json!({"limit_name": "two words"}), "codex"),
        ] {
            let mut data = json!({"type": "codex.rate_limits", "rate_limits": primary});
            data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let update = event(&data.to_string(), NOW).unwrap();
            let window = Window { used_percent: 7.0, minutes: None, resets_at: None };
            let told =
                ReportedWindow { id: id.to_owned(), name: None, slot: Slot::Primary, window };
            assert_eq!(update.windows, [told]);
            assert_eq!((update.plan, update.credits), (None, None));
        }
        for rate_limits in [json!({}), json!(null), json!([]), json!({"primary": 3}), json!("x")] {
            let data = json!({"type": "codex.rate_limits", "rate_limits": rate_limits});
            assert_eq!(event(&data.to_string(), NOW), Some(Update::default()));
        }
    }

    #[test]
    fn other_events_tell_nothing() {
        let text = json!({"type": "response.output_text.delta", "delta": "codex.rate_limits"});
        let padding = "x".repeat(MAX_EVENT);
        let large = json!({"type": "codex.rate_limits", "padding": padding,
            "rate_limits": {"primary": {"used_percent": 7}}});
        let deep = format!(
            r#"{{"type":"codex.rate_limits","rate_limits":{}1{}}}"#,
            "[".repeat(1000),
            "]".repeat(1000)
        );
        for data in [
            "",
            "[DONE]",
            "codex.rate_limits",
            r#"["codex.rate_limits"]"#,
            r#"{"type":"codex.rate_limits""#,
            r#"{"type":"codex.rate_limits.more"}"#,
            &text.to_string(),
            &large.to_string(),
            &deep,
        ] {
            assert_eq!(event(data, NOW), None, "{}", &data[..data.len().min(80)]);
        }
    }

    #[test]
    fn the_usage_document_tells_of_further_limits() {
        let body = json!({"plan_type": "pro",
            "rate_limit": {"allowed": true, "limit_reached": false,
                "primary_window": {"used_percent": 27, "limit_window_seconds": 18000,
                    "reset_after_seconds": 13140, "reset_at": 1_779_353_140},
                "secondary_window": {"used_percent": 4, "limit_window_seconds": 604_800,
                    "reset_after_seconds": 566_340, "reset_at": 1_779_906_340}},
            "credits": {"has_credits": false, "unlimited": false, "balance": "0",
                "approx_local_messages": null},
            "additional_rate_limits": [
                {"limit_name": "codex_other", "metered_feature": "codex_other",
                    "rate_limit": {"primary_window": {"used_percent": 70,
                        "limit_window_seconds": 18000, "reset_at": 1_779_353_140,
                        "reset_after_seconds": null}, "secondary_window": null}},
                {"limit_name": "Spark", "metered_feature": "codex-bengalfox",
                    "rate_limit": {"secondary_window": {"used_percent": 1,
                        "limit_window_seconds": 3600, "reset_after_seconds": 60}}},
                {"limit_name": "two words", "rate_limit": {"primary_window": {"used_percent": 1}}},
                7],
            "code_review_rate_limit": {"primary_window": {"used_percent": 9,
                "limit_window_seconds": 604_800, "reset_at": 1_779_906_340}}});
        let update = usage(body.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(update.plan.as_deref(), Some("pro"));
        let spark = ReportedWindow {
            name: Some("Spark".to_owned()),
            ..told("codex_bengalfox", Slot::Secondary, 1.0, 60, NOW + 60)
        };
        assert_eq!(
            update.windows,
            [
                told("codex", Slot::Primary, 27.0, 300, 1_779_353_140),
                told("codex", Slot::Secondary, 4.0, 10_080, 1_779_906_340),
                told("codex_other", Slot::Primary, 70.0, 300, 1_779_353_140),
                spark,
                told("code_review", Slot::Primary, 9.0, 10_080, 1_779_906_340),
            ]
        );
        assert_eq!(update.credits.unwrap().balance.as_deref(), Some("0"));
    }

    #[test]
    fn a_usage_document_may_tell_nothing_and_other_documents_are_none() {
        for body in ["{}", r#"{"rate_limit": null, "credits": null, "additional_rate_limits": 3}"#]
        {
            assert_eq!(usage(body.as_bytes(), NOW), Some(Update::default()));
        }
        for body in ["", "[]", "null", "<html>", "{"] {
            assert_eq!(usage(body.as_bytes(), NOW), None, "{body}");
        }
    }

    #[test]
    fn there_is_an_end_of_limits() {
        let one = |n| {
            json!({"metered_feature": format!("f{n}"),
            "rate_limit": {"primary_window": {"used_percent": 1}}})
        };
        let body = json!({"additional_rate_limits": (0..1000).map(one).collect::<Vec<_>>()});
        let update = usage(body.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(update.windows.len(), MAX_WINDOWS);
    }
}
