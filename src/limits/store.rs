//! What is known of the limits, by all that was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alarm::{Alarm, Threshold};
use super::{Credits, Known, Limits, MAX_WINDOWS, Slot, Source, Told, Update};

/// What is known of the limits of the account that answers. Clones share it.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

/// Notes what is told in an answer, as long as it is the account of that answer whose limits are
/// kept.
#[derive(Clone)]
pub struct Reporter {
    store: Store,
    tenure: u64,
}

#[derive(Default)]
struct State {
    /// Whose limits these are.
    account: Option<String>,
    /// Counts the accounts, one after the other; 0 before any answer.
    tenure: u64,
    plan: Option<String>,
    windows: BTreeMap<(String, Slot), (Known, Alarm)>,
    credits: Option<Credits>,
    updated: Option<(i64, Source)>,
}

/// A threshold that a window has crossed.
#[derive(Debug, PartialEq)]
struct Warning {
    told: Told,
    threshold: Threshold,
}

impl Store {
    /// For an answer to a request of this account. If it is another one than before, nothing of
    /// what was known is of any use.
    pub fn reporter(&self, account: Option<&str>) -> Reporter {
        let mut state = self.state();
        if state.tenure == 0 || state.account.as_deref() != account {
            let tenure = state.tenure + 1;
            let account = account.map(str::to_owned);
            *state = State { account, tenure, ..State::default() };
        }
        Reporter { store: self.clone(), tenure: state.tenure }
    }

    /// What is known at this time.
    pub fn current(&self, now: i64) -> Limits {
        let state = self.state();
        let mut windows: Vec<Known> = state
            .windows
            .values()
            .map(|(known, _)| known)
            .filter(|known| !known.told.window.has_ended(now))
            .cloned()
            .collect();
        windows.sort_by_key(|known| !known.told.is_main());
        let (plan, credits) = (state.plan.clone(), state.credits.clone());
        Limits { plan, windows, credits, updated: state.updated }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter {
    /// Takes note of what was told, and warns in the log of what is nearly used up.
    pub fn note(&self, update: Update, source: Source, now: i64) {
        let warnings = {
            let mut state = self.store.state();
            if state.tenure == self.tenure { state.take(update, source, now) } else { Vec::new() }
        };
        for Warning { told, threshold } in warnings {
            let window = told.window;
            tracing::warn!(
                limit = told.id,
                window = told.slot.as_str(),
                used_percent = window.used_percent,
                window_minutes = window.minutes,
                resets_in_seconds = window.resets_at.map(|at| at - now),
                "{} % or more of a plan limit is used",
                threshold as u8
            );
        }
    }
}

impl State {
    fn take(&mut self, update: Update, source: Source, now: i64) -> Vec<Warning> {
        let Update { plan, windows, credits } = update;
        self.plan = plan.or(self.plan.take());
        self.credits = credits.or(self.credits.take());
        // Whoever was asked for everything has told of everything.
        let is_whole = source == Source::Usage;
        if is_whole || !windows.is_empty() {
            self.updated = Some((now, source));
        }
        let mut before = std::mem::take(&mut self.windows);
        let mut warnings = Vec::new();
        for mut told in windows {
            let key = (told.id.clone(), told.slot);
            let known = before.remove(&key);
            if let Some((known, _)) = &known {
                told.complete(&known.told, now);
            }
            let known = known.as_ref().map(|(known, alarm)| (&known.told.window, *alarm));
            let (alarm, crossed) = Alarm::next(known, &told.window, now);
            if let Some(threshold) = crossed {
                warnings.push(Warning { told: told.clone(), threshold });
            }
            self.windows.insert(key, (Known { told, updated_at: now }, alarm));
        }
        if !is_whole {
            let room = MAX_WINDOWS.saturating_sub(self.windows.len());
            self.windows.extend(before.into_iter().take(room));
        }
        warnings
    }
}

impl Told {
    /// Takes what this occasion does not tell from the one before, unless the window has begun anew
    /// since.
    fn complete(&mut self, before: &Self, now: i64) {
        if self.name.is_none() {
            self.name.clone_from(&before.name);
        }
        self.window.minutes = self.window.minutes.or(before.window.minutes);
        if !before.window.has_ended(now) {
            self.window.resets_at = self.window.resets_at.or(before.window.resets_at);
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("updated", &self.state().updated).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Window;

    const NOW: i64 = 1_800_000_000;

    fn window(id: &str, slot: Slot, used_percent: f64, resets_at: Option<i64>) -> Told {
        let window = Window { used_percent, minutes: None, resets_at };
        Told { id: id.to_owned(), name: None, slot, window }
    }

    fn telling(windows: &[Told]) -> Update {
        Update { windows: windows.to_vec(), ..Update::default() }
    }

    fn shown(store: &Store, now: i64) -> Vec<(String, Slot, f64)> {
        let windows = store.current(now).windows;
        windows
            .into_iter()
            .map(|known| (known.told.id, known.told.slot, known.told.window.used_percent))
            .collect()
    }

    #[test]
    fn what_is_not_told_again_stays() {
        let store = Store::default();
        assert_eq!(store.current(NOW), Limits::default());
        let reporter = store.reporter(Some("a"));
        let primary = window("codex", Slot::Primary, 10.0, Some(NOW + 100));
        let review = window("code_review", Slot::Primary, 1.0, None);
        let mut update = telling(&[review, primary]);
        update.plan = Some("plus".to_owned());
        update.windows[1].window.minutes = Some(300);
        reporter.note(update, Source::Usage, NOW);
        // As a stream may have it.
        let less = telling(&[window("codex", Slot::Primary, 12.0, None)]);
        reporter.note(less, Source::Event, NOW + 5);
        let limits = store.current(NOW + 8);
        assert_eq!(limits.plan.as_deref(), Some("plus"));
        assert_eq!(limits.updated, Some((NOW + 5, Source::Event)));
        assert_eq!((limits.age(NOW + 8), limits.age(NOW - 8)), (Some(3), Some(0)));
        let [first, second] = &limits.windows[..] else { panic!("{limits:?}") };
        let expected =
            Window { used_percent: 12.0, minutes: Some(300), resets_at: Some(NOW + 100) };
        assert_eq!((first.told.window, first.updated_at), (expected, NOW + 5));
        assert_eq!((second.told.id.as_str(), second.updated_at), ("code_review", NOW));
    }

    #[test]
    fn an_answer_without_limits_makes_nothing_newer() {
        let store = Store::default();
        let reporter = store.reporter(None);
        reporter.note(Update::default(), Source::Headers, NOW);
        assert_eq!(store.current(NOW).age(NOW), None);
        // But whoever is asked and tells of none has none.
        reporter.note(telling(&[window("codex", Slot::Primary, 1.0, None)]), Source::Headers, NOW);
        reporter.note(Update::default(), Source::Usage, NOW + 1);
        assert_eq!(shown(&store, NOW + 1), []);
        assert_eq!(store.current(NOW + 1).age(NOW + 1), Some(0));
    }

    #[test]
    fn a_window_that_has_begun_anew_is_not_shown() {
        let store = Store::default();
        let windows = [
            window("codex", Slot::Primary, 90.0, Some(NOW + 10)),
            window("codex", Slot::Secondary, 20.0, Some(NOW + 1000)),
        ];
        let reporter = store.reporter(None);
        reporter.note(telling(&windows), Source::Headers, NOW);
        assert_eq!(shown(&store, NOW + 9).len(), 2);
        assert_eq!(shown(&store, NOW + 10), [("codex".to_owned(), Slot::Secondary, 20.0)]);
        // What was known of the time of its end does not count for the next one.
        let next = telling(&[window("codex", Slot::Primary, 1.0, None)]);
        reporter.note(next, Source::Headers, NOW + 11);
        assert_eq!(shown(&store, NOW + 11)[0], ("codex".to_owned(), Slot::Primary, 1.0));
    }

    #[test]
    fn another_account_has_other_limits() {
        let store = Store::default();
        let first = store.reporter(Some("a"));
        let update = || telling(&[window("codex", Slot::Primary, 50.0, None)]);
        first.note(update(), Source::Headers, NOW);
        let again = store.reporter(Some("a"));
        assert_eq!(shown(&store, NOW).len(), 1);
        let second = store.reporter(Some("b"));
        assert_eq!(store.current(NOW), Limits::default());
        // An answer to the account before that goes on.
        first.note(update(), Source::Event, NOW);
        again.note(update(), Source::Event, NOW);
        assert_eq!(shown(&store, NOW), []);
        second.note(update(), Source::Event, NOW);
        assert_eq!(shown(&store, NOW).len(), 1);
        let key = store.reporter(None);
        assert_eq!(shown(&store, NOW), []);
        drop(key);
    }

    #[test]
    fn each_crossing_is_one_warning() {
        let mut state = State::default();
        let mut warned = |used: &[f64]| -> Vec<(Slot, u8)> {
            let slots = [Slot::Primary, Slot::Secondary];
            let windows: Vec<_> = slots
                .into_iter()
                .zip(used)
                .map(|(slot, used)| window("codex", slot, *used, Some(NOW + 10)))
                .collect();
            let warnings = state.take(telling(&windows), Source::Headers, NOW);
            warnings.into_iter().map(|w| (w.told.slot, w.threshold as u8)).collect()
        };
        assert_eq!(warned(&[50.0, 96.0]), [(Slot::Secondary, 95)]);
        assert_eq!(warned(&[80.0, 97.0]), [(Slot::Primary, 80)]);
        assert_eq!(warned(&[81.0]), []);
        assert_eq!(warned(&[95.0, 97.0]), [(Slot::Primary, 95)]);
        assert_eq!(warned(&[96.0, 98.0]), []);
    }

    #[test]
    fn there_is_an_end_of_windows() {
        let store = Store::default();
        let reporter = store.reporter(None);
        for n in 0..200 {
            let id = format!("limit_{n:03}");
            let update = telling(&[window(&id, Slot::Primary, 1.0, None)]);
            reporter.note(update, Source::Headers, NOW);
        }
        assert_eq!(store.current(NOW).windows.len(), MAX_WINDOWS);
        let ids: Vec<_> = shown(&store, NOW).into_iter().map(|(id, ..)| id).collect();
        assert!(ids.contains(&"limit_199".to_owned()));
    }
}
