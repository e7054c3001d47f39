//! What the headers of an answer or a refusal tell: `x-codex-primary-used-percent` and its like,
//! and the same for each further limit, whose id stands in place of `codex`.

use std::collections::BTreeMap;

use super::figures::{self, LimitValues};
use super::{MAX_WINDOWS, Slot, Told, Update};

/// What is told of one limit.
#[derive(Default)]
struct Limit {
    name: Option<String>,
    windows: [LimitValues; 2],
}

/// Reads what headers tell; their names must be in lower case.
pub fn read<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>, now: i64) -> Update {
    let mut update = Update::default();
    let mut limits = BTreeMap::<String, Limit>::new();
    let (mut has_credits, mut unlimited, mut balance) = (None, None, None);
    for (header, text) in headers {
        match header {
            "x-codex-plan-type" => update.plan = figures::word(text),
            "x-codex-credits-has-credits" => has_credits = flag(text),
            "x-codex-credits-unlimited" => unlimited = flag(text),
            "x-codex-credits-balance" => balance = Some(text.to_owned()),
            _ => {
                if let Some((id, field)) = split(header)
                    && (limits.contains_key(&id) || limits.len() < MAX_WINDOWS)
                {
                    limits.entry(id).or_default().note(field, text);
                }
            }
        }
    }
    update.credits = figures::credits(has_credits, unlimited, balance);
    for (id, limit) in limits {
        for (slot, figures) in Slot::ALL.into_iter().zip(limit.windows) {
            if let Some(window) = figures.window(now) {
                let name = limit.name.clone();
                update.windows.push(Told { id: id.clone(), name, slot, window });
            }
        }
    }
    update
}

/// What a header tells of a limit.
#[derive(Clone, Copy)]
enum Field {
    Name,
    UsedPercent(Slot),
    Minutes(Slot),
    ResetsIn(Slot),
    ResetsAt(Slot),
}

const FIELDS: [(&str, Field); 9] = [
    ("-limit-name", Field::Name),
    ("-primary-used-percent", Field::UsedPercent(Slot::Primary)),
    ("-primary-window-minutes", Field::Minutes(Slot::Primary)),
    ("-primary-reset-after-seconds", Field::ResetsIn(Slot::Primary)),
    ("-primary-reset-at", Field::ResetsAt(Slot::Primary)),
    ("-secondary-used-percent", Field::UsedPercent(Slot::Secondary)),
    ("-secondary-window-minutes", Field::Minutes(Slot::Secondary)),
    ("-secondary-reset-after-seconds", Field::ResetsIn(Slot::Secondary)),
    ("-secondary-reset-at", Field::ResetsAt(Slot::Secondary)),
];

/// The limit that a header is of, and what it tells of it.
fn split(header: &str) -> Option<(String, Field)> {
    let rest = header.strip_prefix("x-")?;
    FIELDS.iter().find_map(|(suffix, field)| {
        let id = figures::id(rest.strip_suffix(suffix)?)?;
        Some((id, *field))
    })
}

impl Limit {
    fn note(&mut self, field: Field, text: &str) {
        let number = text.trim().parse().ok();
        match field {
            Field::Name => self.name = figures::name(text),
            Field::UsedPercent(slot) => self.windows[slot as usize].used_percent = number,
            Field::Minutes(slot) => self.windows[slot as usize].minutes = number,
            Field::ResetsIn(slot) => self.windows[slot as usize].resets_in = number,
            Field::ResetsAt(slot) => self.windows[slot as usize].resets_at = number,
        }
    }
}

/// The backend writes flags as Python does.
fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Credits, Window};

    const NOW: i64 = 1_777_922_695;

    fn told(id: &str, slot: Slot, used_percent: f64, minutes: u64, resets_at: i64) -> Told {
        let window = Window { used_percent, minutes: Some(minutes), resets_at: Some(resets_at) };
        Told { id: id.to_owned(), name: None, slot, window }
    }

    #[test]
    fn a_plan_with_two_windows() {
        let update = read(
            [
                ("x-codex-active-limit", "premium"),
                ("x-codex-plan-type", "plus"),
                ("x-codex-primary-used-percent", "100"),
                ("x-codex-secondary-used-percent", "80"),
                ("x-codex-primary-window-minutes", "300"),
                ("x-codex-primary-over-secondary-limit-percent", "0"),
                ("x-codex-secondary-window-minutes", "10080"),
                ("x-codex-primary-reset-after-seconds", "13873"),
                ("x-codex-secondary-reset-after-seconds", "316705"),
                ("x-codex-primary-reset-at", "1777936568"),
                ("x-codex-secondary-reset-at", "1778239400"),
                ("x-codex-credits-has-credits", "False"),
                ("x-codex-credits-balance", "0"),
                ("x-codex-credits-unlimited", "False"),
            ],
            NOW,
        );
        let expected = Update {
            plan: Some("plus".to_owned()),
            windows: vec![
                told("codex", Slot::Primary, 100.0, 300, 1_777_936_568),
                told("codex", Slot::Secondary, 80.0, 10_080, 1_778_239_400),
            ],
            credits: Some(Credits {
                has_credits: false,
                unlimited: false,
                balance: Some("0".to_owned()),
            }),
        };
        assert_eq!(update, expected);
    }

    #[test]
    fn a_plan_with_one_window_and_credits() {
        let update = read(
            [
                ("x-codex-primary-used-percent", "7.5"),
                ("x-codex-primary-window-minutes", "10080"),
                ("x-codex-primary-reset-at", "1778239400"),
                ("x-codex-secondary-used-percent", "0"),
                ("x-codex-secondary-window-minutes", "0"),
                ("x-codex-secondary-reset-at", ""),
                ("x-codex-credits-has-credits", "True"),
                ("x-codex-credits-unlimited", "nonsense"),
                ("x-codex-credits-balance", ""),
            ],
            NOW,
        );
        assert_eq!(update.plan, None);
        let week = told("codex", Slot::Primary, 7.5, 10_080, 1_778_239_400);
        assert_eq!(update.windows, [week]);
        let credits = Credits { has_credits: true, unlimited: false, balance: None };
        assert_eq!(update.credits, Some(credits));
    }

    #[test]
    fn further_limits_have_names() {
        let update = read(
            [
                ("x-codex-bengalfox-primary-used-percent", "3"),
                ("x-codex-bengalfox-primary-window-minutes", "60"),
                ("x-codex-bengalfox-primary-reset-after-seconds", "10"),
                ("x-codex-bengalfox-limit-name", "Bengal fox"),
                ("x-codex-nameless-limit-name", "without a window"),
            ],
            NOW,
        );
        let expected = Told {
            name: Some("Bengal fox".to_owned()),
            ..told("codex_bengalfox", Slot::Primary, 3.0, 60, NOW + 10)
        };
        assert_eq!(update.windows, [expected]);
    }

    #[test]
    fn nothing_comes_of_nonsense() {
        for headers in [
            &[][..],
            &[("x-codex-primary-used-percent", "much")],
            &[("x-codex-primary-used-percent", "-3")],
            &[("x-codex-primary-used-percent", "nan")],
            &[("x-codex-primary-window-minutes", "300")],
            &[("x--primary-used-percent", "3")],
            &[("x-<id>-primary-used-percent", "3")],
            &[("codex-primary-used-percent", "3")],
            &[("x-codex-plan-type", "<script>")],
            &[("x-codex-credits-balance", "5")],
            &[("x-ratelimit-limit-requests", "5000"), ("x-request-id", "1")],
        ] {
            assert_eq!(read(headers.iter().copied(), NOW), Update::default(), "{headers:?}");
        }
    }

    #[test]
    fn there_is_an_end_of_limits() {
        let names: Vec<String> =
            (0..1000).map(|n| format!("x-codex-{n}-primary-used-percent")).collect();
        let update = read(names.iter().map(|name| (name.as_str(), "1")), NOW);
        assert_eq!(update.windows.len(), MAX_WINDOWS);
    }
}
