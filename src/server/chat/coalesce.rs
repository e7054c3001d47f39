//! Write coalescing: whether chunks are sent at once, or together with those right after them.
//!
//! Over HTTP/1.1 the backend's events arrive one by one from the task that reads them, even if many
//! are already in the system's buffer, and one write per event would cost more than everything
//! else. So within a burst a write is deferred for polls of that task, as long as each brings more.
//! No timer is involved: if there is nothing more, the delay is microseconds. The first delta of an
//! answer is deferred only on a busy thread. Pure; times come from outside.

use std::time::Duration;

use tokio::time::Instant;

/// What arrives so soon after the last write may be part of a burst. Models produce a delta at most
/// every ten milliseconds.
const BURST: Duration = Duration::from_millis(5);

/// The longest delay of a write.
const MAX_DELAY: Duration = Duration::from_millis(5);

/// The first write is deferred only if the thread has other work. If the first poll takes less than
/// this, it has none, and the write is not deferred.
const IDLE_THREAD: Duration = Duration::from_micros(20);

/// So many polls in a row without progress mean that there is nothing more. It takes two: the
/// server polls the body twice in a row.
const MAX_EMPTY_POLLS: u8 = 2;

/// The writes of one answer.
#[derive(Debug, Default)]
pub(super) struct WriteCoalescer {
    wrote_at: Option<Instant>,
    /// Whether deferring helped the last write.
    is_burst: bool,
    /// Since when a write is deferred.
    since: Option<Instant>,
    /// How many polls in a row had no progress.
    idle: u8,
    /// Whether deferring has helped the next write.
    has_gained: bool,
}

impl WriteCoalescer {
    /// Whether to defer the write for another poll; `is_news`: whether this poll made progress.
    pub(super) fn should_defer(&mut self, is_news: bool, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        if is_news {
            self.has_gained |= since < now;
            self.idle = 0;
        } else {
            self.idle += 1;
        }
        let is_worth_it = match self.wrote_at {
            None => now == since || now - since >= IDLE_THREAD,
            Some(at) => self.is_burst || now - at < BURST,
        };
        is_worth_it && self.idle < MAX_EMPTY_POLLS && now - since < MAX_DELAY
    }

    /// Something goes out.
    pub(super) fn wrote(&mut self, now: Instant) {
        *self = Self { wrote_at: Some(now), is_burst: self.has_gained, ..Self::default() };
    }

    /// The time of the last write.
    pub(super) fn wrote_at(&self) -> Option<Instant> {
        self.wrote_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn, so many microseconds after the start: whether it brings news, and whether that is
    /// to wait.
    type Turn = (u64, bool, bool);

    fn check(name: &str, writes: &[&[Turn]]) {
        let start = Instant::now();
        let mut pace = WriteCoalescer::default();
        for turns in writes {
            let mut now = start;
            for &(at, is_news, waits) in *turns {
                now = start + Duration::from_micros(at);
                assert_eq!(pace.should_defer(is_news, now), waits, "{name}, after {at} µs");
            }
            pace.wrote(now);
        }
    }

    #[test]
    fn bursts_go_out_together_and_words_at_once() {
        check("a first chunk alone", &[&[(0, true, true), (1, false, false)]]);
        check("more of it at once, with nobody else", &[&[(0, true, true), (19, true, false)]]);
        check(
            "a burst from the beginning, among others",
            &[&[(0, true, true), (20, true, true), (40, false, true), (60, false, false)]],
        );
        let first: &[Turn] = &[(0, true, true), (1, false, false)];
        check("a word later", &[first, &[(10_000, true, false)], &[(20_000, true, false)]]);
        check(
            "words that come soon after each other may be a burst",
            &[first, &[(4_000, true, true), (4_001, false, true), (4_002, false, false)]],
        );
        let burst: &[Turn] = &[
            (1_000, true, true),
            (1_001, true, true),
            (1_002, false, true),
            (1_003, false, false),
        ];
        check(
            "a burst may go on after a while, once",
            &[
                first,
                burst,
                &[(9_000, true, true), (9_001, false, true), (9_002, false, false)],
                &[(18_000, true, false)],
            ],
        );
    }

    #[test]
    fn there_is_an_end_of_waiting() {
        check(
            "slow turns",
            &[&[(0, true, true), (2_000, true, true), (4_000, true, true), (5_000, true, false)]],
        );
    }
}
