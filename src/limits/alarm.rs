//! When somebody should be warned that a window is nearly used up: once at each threshold, and
//! again after the window has begun anew.

use super::Window;

/// Answers come out of order, so a figure may go back by a little. By as much as this it goes back
/// only because the window has begun anew.
const FALL: f64 = 10.0;

/// How much must be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Threshold {
    High = 80,
    Higher = 95,
}

impl Threshold {
    fn of(used_percent: f64) -> Option<Self> {
        [Self::Higher, Self::High].into_iter().find(|threshold| used_percent >= threshold.percent())
    }

    fn percent(self) -> f64 {
        f64::from(self as u8)
    }
}

/// The highest threshold that a window was told to have crossed since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Alarm(Option<Threshold>);

impl Alarm {
    /// What comes of a new figure: the alarm from now on, and a warning if it is due. `before` is
    /// what was known of the window.
    pub(super) fn next(
        before: Option<(&Window, Self)>,
        window: &Window,
        now: i64,
    ) -> (Self, Option<Threshold>) {
        let told = before
            .filter(|(before, _)| {
                !before.has_ended(now) && window.used_percent > before.used_percent - FALL
            })
            .and_then(|(_, alarm)| alarm.0);
        let reached = Threshold::of(window.used_percent);
        (Self(told.max(reached)), reached.filter(|reached| Some(*reached) > told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 1000;

    /// Which warnings come of these figures, each with its time and the end of its window.
    fn warnings(figures: &[(f64, i64, i64)]) -> Vec<Option<u8>> {
        let mut before: Option<(Window, Alarm)> = None;
        figures
            .iter()
            .map(|&(used_percent, now, end)| {
                let window = Window { used_percent, minutes: None, resets_at: Some(end) };
                let known = before.as_ref().map(|(window, alarm)| (window, *alarm));
                let (alarm, warning) = Alarm::next(known, &window, now);
                before = Some((window, alarm));
                warning.map(|threshold| threshold as u8)
            })
            .collect()
    }

    #[test]
    fn each_threshold_is_told_once() {
        let used = [0.0, 79.9, 80.0, 80.0, 94.9, 95.0, 99.0, 100.0, 100.0];
        let figures: Vec<_> = used.iter().map(|used| (*used, 0, END)).collect();
        let expected = [None, None, Some(80), None, None, Some(95), None, None, None];
        assert_eq!(warnings(&figures), expected);
    }

    #[test]
    fn who_starts_late_or_leaps_is_told_of_the_highest_one_only() {
        assert_eq!(warnings(&[(97.0, 0, END), (98.0, 0, END)]), [Some(95), None]);
        assert_eq!(warnings(&[(10.0, 0, END), (96.0, 0, END)]), [None, Some(95)]);
    }

    #[test]
    fn answers_out_of_order_do_not_repeat_it() {
        let figures = [(81.0, 0, END), (79.0, 0, END), (81.0, 0, END), (95.0, 0, END)];
        assert_eq!(warnings(&figures), [Some(80), None, None, Some(95)]);
    }

    #[test]
    fn a_window_that_begins_anew_is_told_again() {
        // By its time, however much is used already.
        let figures = [(96.0, 0, END), (97.0, END - 1, END), (97.0, END, 2 * END)];
        assert_eq!(warnings(&figures), [Some(95), None, Some(95)]);
        // Before its time.
        let figures = [(96.0, 0, END), (3.0, 1, END), (80.0, 2, END), (95.0, 3, END)];
        assert_eq!(warnings(&figures), [Some(95), None, Some(80), Some(95)]);
    }
}
