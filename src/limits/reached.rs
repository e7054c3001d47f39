//! What the headers of a refusal tell of the limit that is used up: the body of such a refusal may
//! say no more than that there is one.

use super::figures;
use super::{Credits, MAIN, Told, headers};

/// What is used up, as far as headers tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reached {
    /// Why nothing is left, in the backend's word.
    pub reason: Option<Reason>,
    /// The window that is used up: of two, the one that begins anew later.
    pub window: Option<Told>,
    /// What is left beyond the limits.
    pub credits: Option<Credits>,
}

/// The values of `x-codex-rate-limit-reached-type`, as the Codex CLI knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A limit of the plan.
    Limit,
    /// The credits of a workspace, told to its owner.
    OwnerCredits,
    /// The credits of a workspace, told to one of its members.
    MemberCredits,
    /// What a workspace allows itself, told to its owner.
    OwnerLimit,
    /// What a workspace allows its members.
    MemberLimit,
}

impl Reason {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "rate_limit_reached" => Self::Limit,
            "workspace_owner_credits_depleted" => Self::OwnerCredits,
            "workspace_member_credits_depleted" => Self::MemberCredits,
            "workspace_owner_usage_limit_reached" => Self::OwnerLimit,
            "workspace_member_usage_limit_reached" => Self::MemberLimit,
            _ => return None,
        })
    }

    /// Who can mend it, as a sentence; nothing where only time does.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Limit => None,
            Self::OwnerCredits => Some(
                "The workspace has no credits left; as its owner you can add some in ChatGPT's \
                 settings.",
            ),
            Self::MemberCredits => {
                Some("The workspace has no credits left; ask its owner to add some.")
            }
            Self::OwnerLimit => Some(
                "The workspace's own usage limit is reached; as its owner you can raise it in \
                 ChatGPT's settings.",
            ),
            Self::MemberLimit => {
                Some("The workspace's own usage limit is reached; ask its owner to raise it.")
            }
        }
    }
}

/// Reads what headers tell; their names must be in lower case.
pub fn read<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>, now: i64) -> Reached {
    let (mut reason, mut active) = (None, None);
    let headers: Vec<_> = headers.into_iter().collect();
    for &(header, text) in &headers {
        match header {
            "x-codex-rate-limit-reached-type" => reason = Reason::parse(text),
            "x-codex-active-limit" => active = figures::id(text),
            _ => {}
        }
    }
    let update = headers::read(headers, now);
    let window = active
        .as_deref()
        .and_then(|active| used_up(&update.windows, |id| is_of_family(id, active)))
        .or_else(|| used_up(&update.windows, |id| id == MAIN));
    Reached { reason, window: window.cloned(), credits: update.credits }
}

/// Limits go by their name, or by it after that of the main one: `bengalfox`, `codex_bengalfox`.
fn is_of_family(id: &str, active: &str) -> bool {
    id == active
        || id
            .strip_prefix(MAIN)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|id| id == active)
}

fn used_up(windows: &[Told], is_meant: impl Fn(&str) -> bool) -> Option<&Told> {
    windows
        .iter()
        .filter(|told| is_meant(&told.id) && told.window.used_percent >= 100.0)
        .max_by_key(|told| told.window.resets_at)
}

impl Told {
    /// What people call the limit: "5-hour limit", "weekly limit".
    pub fn title(&self) -> String {
        const HOUR: u64 = 60;
        const DAY: u64 = 24 * HOUR;
        let length = match self.window.minutes {
            Some(minutes) if minutes == 7 * DAY => "weekly ".to_owned(),
            Some(minutes) if minutes.is_multiple_of(DAY) => format!("{}-day ", minutes / DAY),
            Some(minutes) if minutes.is_multiple_of(HOUR) => format!("{}-hour ", minutes / HOUR),
            Some(minutes) => format!("{minutes}-minute "),
            None => String::new(),
        };
        match &self.name {
            Some(name) => format!("{length}limit of {name}"),
            None => format!("{length}limit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_777_922_695;

    #[test]
    fn the_window_that_is_used_up_is_found() {
        let primary = |used: &'static str| {
            [
                ("x-codex-primary-used-percent", used),
                ("x-codex-primary-window-minutes", "300"),
                ("x-codex-primary-reset-after-seconds", "500"),
            ]
        };
        let secondary = |used: &'static str| {
            [
                ("x-codex-secondary-used-percent", used),
                ("x-codex-secondary-window-minutes", "10080"),
                ("x-codex-secondary-reset-after-seconds", "9000"),
            ]
        };
        let family = [
            ("x-codex-fox-primary-used-percent", "100"),
            ("x-codex-fox-primary-window-minutes", "1440"),
            ("x-codex-fox-primary-reset-after-seconds", "70"),
            ("x-codex-fox-limit-name", "Fox"),
        ];
        for (used, active, expected) in [
            (("100", "5"), None, Some(("5-hour limit", 500))),
            (("40", "100"), None, Some(("weekly limit", 9000))),
            (("100", "100"), None, Some(("weekly limit", 9000))),
            (("40", "5"), None, None),
            // A family that has windows of its own, and one that has none.
            (("100", "5"), Some("fox"), Some(("1-day limit of Fox", 70))),
            (("100", "5"), Some("codex-fox"), Some(("1-day limit of Fox", 70))),
            (("100", "5"), Some("premium"), Some(("5-hour limit", 500))),
        ] {
            let headers = primary(used.0).into_iter().chain(secondary(used.1)).chain(family);
            let headers = headers.chain(active.map(|active| ("x-codex-active-limit", active)));
            let reached = read(headers, NOW);
            let found = reached.window.map(|told| (told.title(), told.window.resets_at.unwrap()));
            let expected = expected.map(|(title, after)| (title.to_owned(), NOW + after));
            assert_eq!(found, expected, "{used:?} {active:?}");
        }
    }

    #[test]
    fn the_reason_is_one_that_is_known() {
        for (word, expected) in [
            ("rate_limit_reached", Some(Reason::Limit)),
            ("workspace_owner_credits_depleted", Some(Reason::OwnerCredits)),
            ("Workspace_Member_Credits_Depleted ", Some(Reason::MemberCredits)),
            ("workspace_owner_usage_limit_reached", Some(Reason::OwnerLimit)),
            ("workspace_member_usage_limit_reached", Some(Reason::MemberLimit)),
            ("from_the_future", None),
            ("", None),
        ] {
            let reached = read([("x-codex-rate-limit-reached-type", word)], NOW);
            assert_eq!(reached, Reached { reason: expected, ..Reached::default() }, "{word}");
        }
    }
}
