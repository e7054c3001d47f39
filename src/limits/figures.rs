//! Which figures make sense. The backend changes without notice and may be somebody else's, so
//! nothing of what it tells is taken for granted.

use super::{Credits, Window};

/// No window lasts longer, in minutes, or begins anew later, in seconds.
const LONGEST_MINUTES: u64 = 400 * 24 * 60;
const LONGEST_SECONDS: i64 = 400 * 24 * 60 * 60;

/// Longer names are not kept.
const MAX_NAME: usize = 64;

/// The figures of a window as they were told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct LimitValues {
    pub(super) used_percent: Option<f64>,
    pub(super) minutes: Option<f64>,
    pub(super) resets_at: Option<f64>,
    pub(super) resets_in: Option<f64>,
}

impl LimitValues {
    /// The window that they are of, if they make sense.
    pub(super) fn window(&self, now: i64) -> Option<Window> {
        // Plans with one window tell a second one of no length.
        if self.minutes == Some(0.0) {
            return None;
        }
        let used = self.used_percent.filter(|used| used.is_finite() && *used >= 0.0)?;
        Some(Window {
            // What is spent at once may go beyond the limit.
            used_percent: used.min(100.0),
            minutes: self.minutes.and_then(whole).filter(|minutes| *minutes <= LONGEST_MINUTES),
            resets_at: self.resets_at(now),
        })
    }

    /// The time itself goes before the time until then, unless it makes no sense by this machine's
    /// clock.
    fn resets_at(&self, now: i64) -> Option<i64> {
        let seconds = |seconds: f64| i64::try_from(whole(seconds)?).ok();
        let is_ahead = |at: &i64| *at > now && *at - now <= LONGEST_SECONDS;
        let told = self.resets_at.and_then(seconds).filter(is_ahead);
        told.or_else(|| now.checked_add(seconds(self.resets_in?)?).filter(is_ahead))
    }
}

/// A number that counts something.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked first"
)]
fn whole(number: f64) -> Option<u64> {
    let number = number.ceil();
    (1.0..=9e15).contains(&number).then_some(number as u64)
}

/// A name that programs match on, such as a plan's.
pub(super) fn word(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    let is_word = !word.is_empty()
        && word.len() <= MAX_NAME
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    is_word.then_some(word)
}

/// What programs call a limit: `codex_other`. Headers write it with hyphens.
pub(super) fn id(text: &str) -> Option<String> {
    word(text).map(|word| word.replace('-', "_"))
}

/// What people call something: one line of text.
pub(super) fn name(text: &str) -> Option<String> {
    let name = text.trim();
    let is_name =
        !name.is_empty() && name.len() <= MAX_NAME && !name.contains(|c: char| c.is_control());
    is_name.then(|| name.to_owned())
}

/// Credits, if anything is told of them.
pub(super) fn credits(
    has_credits: Option<bool>,
    unlimited: Option<bool>,
    balance: Option<String>,
) -> Option<Credits> {
    if has_credits.is_none() && unlimited.is_none() {
        return None;
    }
    let is_number =
        |text: &String| text.len() <= MAX_NAME && text.parse::<f64>().is_ok_and(f64::is_finite);
    Some(Credits {
        has_credits: has_credits.unwrap_or(false),
        unlimited: unlimited.unwrap_or(false),
        balance: balance.map(|text| text.trim().to_owned()).filter(is_number),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn window(figures: LimitValues) -> Option<(f64, Option<u64>, Option<i64>)> {
        let window = figures.window(NOW)?;
        Some((window.used_percent, window.minutes, window.resets_at))
    }

    #[test]
    fn figures_that_make_no_sense_are_ignored() {
        let now = 1_800_000_000.0;
        for (used, minutes, at, after, expected) in [
            (Some(12.5), Some(300.0), Some(now + 60.0), None, Some((12.5, Some(300), Some(60)))),
            (Some(0.0), None, None, None, Some((0.0, None, None))),
            (Some(104.0), None, None, None, Some((100.0, None, None))),
            // No figure, or none that could be one.
            (None, Some(300.0), Some(now + 60.0), None, None),
            (Some(-1.0), Some(300.0), None, None, None),
            (Some(f64::NAN), Some(300.0), None, None, None),
            (Some(f64::INFINITY), Some(300.0), None, None, None),
            // A window of no length is none.
            (Some(0.0), Some(0.0), None, None, None),
            (Some(1.0), Some(-5.0), None, None, Some((1.0, None, None))),
            (Some(1.0), Some(1e300), None, None, Some((1.0, None, None))),
            (Some(1.0), Some(f64::NAN), None, None, Some((1.0, None, None))),
            // Times that have passed, or are too far away to be meant.
            (Some(1.0), None, Some(now - 1.0), None, Some((1.0, None, None))),
            (Some(1.0), None, Some(0.0), None, Some((1.0, None, None))),
            (Some(1.0), None, Some(now * 1000.0), None, Some((1.0, None, None))),
            (Some(1.0), None, Some(f64::NAN), Some(f64::NAN), Some((1.0, None, None))),
            // The time until then helps out.
            (Some(1.0), None, Some(now - 9.0), Some(60.0), Some((1.0, None, Some(60)))),
            (Some(1.0), None, None, Some(59.5), Some((1.0, None, Some(60)))),
            (Some(1.0), None, Some(now + 9.0), Some(60.0), Some((1.0, None, Some(9)))),
            (Some(1.0), None, None, Some(0.0), Some((1.0, None, None))),
            (Some(1.0), None, None, Some(-60.0), Some((1.0, None, None))),
            (Some(1.0), None, None, Some(1e30), Some((1.0, None, None))),
        ] {
            let figures =
                LimitValues { used_percent: used, minutes, resets_at: at, resets_in: after };
            let expected =
                expected.map(|(used, minutes, after)| (used, minutes, after.map(|s: i64| NOW + s)));
            assert_eq!(window(figures), expected, "{figures:?}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for (text, expected) in [
            ("codex", Some("codex")),
            (" Codex-Bengalfox ", Some("codex_bengalfox")),
            ("gpt-5.5", Some("gpt_5.5")),
            ("", None),
            ("two words", None),
            ("a\nb", None),
            ("\"", None),
        ] {
            assert_eq!(id(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(id(&"a".repeat(65)), None);
        assert_eq!(name(" Code review ").as_deref(), Some("Code review"));
        for text in ["", "  ", "a\nb", "\u{1b}[31m", &"ä".repeat(33)] {
            assert_eq!(name(text), None, "{text:?}");
        }
    }

    #[test]
    fn credits_are_those_that_are_told_of() {
        assert_eq!(credits(None, None, Some("5".to_owned())), None);
        for (balance, expected) in
            [("12.5", Some("12.5")), (" 0 ", Some("0")), ("", None), ("inf", None), ("<b>", None)]
        {
            let credits = credits(Some(true), None, Some(balance.to_owned())).unwrap();
            assert_eq!((credits.has_credits, credits.unlimited), (true, false));
            assert_eq!(credits.balance.as_deref(), expected);
        }
    }

    proptest! {
        #[test]
        fn a_window_makes_sense_whatever_is_told(
            used_percent: Option<f64>,
            minutes: Option<f64>,
            resets_at: Option<f64>,
            resets_in: Option<f64>,
            now in 0..4_000_000_000_i64,
        ) {
            let figures = LimitValues { used_percent, minutes, resets_at, resets_in };
            if let Some(window) = figures.window(now) {
                prop_assert!((0.0..=100.0).contains(&window.used_percent));
                prop_assert!(window.minutes.is_none_or(|m| (1..=LONGEST_MINUTES).contains(&m)));
                let after = window.resets_at.map(|at| at - now);
                prop_assert!(after.is_none_or(|after| (1..=LONGEST_SECONDS).contains(&after)));
            }
        }
    }
}
