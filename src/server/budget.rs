//! The memory budget shared by all request bodies and all answers that are not streamed.
//!
//! Known sizes are reserved before anything is read, and requests queue for them. To grow a
//! reservation, only one holder may wait at a time: other holders that would have to wait fail at
//! once, which frees memory. So the waiting one makes progress, and holders never deadlock.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex as Turns, Notify};
use tokio::time::timeout;

/// The timeout for memory.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest default budget, and the default if the size of the machine's memory is not known.
const LARGEST_DEFAULT: usize = 1 << 30;

/// The budget. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    used: Mutex<usize>,
    /// Memory was released.
    freed: Notify,
    /// The queue of requests that wait before anything is read.
    beginning: Turns<()>,
    /// The holder that waits for more.
    growing: Turns<()>,
}

/// Why there is no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// Other requests use it.
    ForNow,
    /// More than the whole budget was requested.
    ForGood,
}

/// Memory that is reserved until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of this size; 0 is the default for this machine.
    pub(super) fn new(bytes: usize) -> Self {
        let total = if bytes == 0 { sensible(memory_of_the_machine()) } else { bytes };
        Self(Arc::new(Shared {
            total,
            used: Mutex::new(0),
            freed: Notify::new(),
            beginning: Turns::new(()),
            growing: Turns::new(()),
        }))
    }

    /// An empty reservation, which can grow.
    pub(super) fn nothing(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// Reserves so much before anything is read. More than the whole budget gets the whole budget.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        let bytes = bytes.min(self.0.total);
        let mut reservation = self.nothing();
        if bytes == 0 {
            return Ok(reservation);
        }
        let waiting = async {
            let _turn = self.0.beginning.lock().await;
            self.wait_for(bytes).await;
        };
        timeout(WAIT_TIMEOUT, waiting).await.map_err(|_| Exhausted::ForNow)?;
        reservation.bytes = bytes;
        Ok(reservation)
    }

    /// Reserves so much for a holder of `held` bytes. Fails at once if another holder is waiting.
    /// More than the rest of the budget gets the rest.
    pub(super) async fn reserve_beside(
        &self,
        bytes: usize,
        held: usize,
    ) -> Result<Reservation, Exhausted> {
        let mut reservation = self.nothing();
        let rest = self.0.total.saturating_sub(held);
        reservation.grow(bytes.min(rest), Alone::Allowed).await?;
        Ok(reservation)
    }

    /// Counts these bytes from now on, even over the limit: they were made from data that has
    /// waited already.
    pub(super) fn overdraw(&self, bytes: Vec<u8>) -> Bytes {
        let mut reservation = self.nothing();
        reservation.bytes = bytes.capacity();
        *self.used() += reservation.bytes;
        reservation.hold(bytes)
    }

    /// Takes so much once it is free.
    async fn wait_for(&self, bytes: usize) {
        loop {
            let mut freed = pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if self.take(bytes) {
                return;
            }
            freed.await;
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let mut used = self.used();
        let is_there = bytes <= self.0.total.saturating_sub(*used);
        if is_there {
            *used += bytes;
        }
        is_there
    }

    fn used(&self) -> MutexGuard<'_, usize> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// How much is reserved.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the whole budget is reserved: then waiting is useless.
    fn is_all(&self) -> bool {
        self.bytes >= self.budget.0.total
    }

    /// Grows the reservation to so much in all. With `alone`, the whole budget is enough for any
    /// size.
    pub(super) async fn grow(&mut self, bytes: usize, alone: Alone) -> Result<(), Exhausted> {
        let total = self.budget.0.total;
        if bytes > total && alone == Alone::Refused {
            return Err(Exhausted::ForGood);
        }
        let more = bytes.min(total).saturating_sub(self.bytes);
        if more == 0 || self.is_all() {
            return Ok(());
        }
        if !self.budget.take(more) {
            let shared = Arc::clone(&self.budget.0);
            let Ok(_turn) = shared.growing.try_lock() else { return Err(Exhausted::ForNow) };
            let waiting = self.budget.wait_for(more);
            timeout(WAIT_TIMEOUT, waiting).await.map_err(|_| Exhausted::ForNow)?;
        }
        self.bytes += more;
        Ok(())
    }

    /// Shrinks the reservation to so much.
    pub(super) fn shrink(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            self.give_back(less);
        }
    }

    /// The same as [`Reservation::hold`] for fewer bytes than were reserved.
    pub(super) fn hold_fitting(mut self, bytes: Vec<u8>) -> Bytes {
        self.shrink(bytes.capacity());
        if self.bytes == 0 { bytes.into() } else { self.hold(bytes) }
    }

    /// Bytes that hold the reservation until the last of their clones is dropped.
    pub(super) fn hold(self, bytes: Vec<u8>) -> Bytes {
        struct Held(Vec<u8>, #[expect(dead_code, reason = "held until it is dropped")] Reservation);

        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        Bytes::from_owner(Held(bytes, self))
    }

    fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            *self.budget.used() -= bytes;
            self.budget.0.freed.notify_waiters();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// What to do if more than the whole budget is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// Give it the whole budget, for itself alone: its size has another limit.
    Allowed,
    Refused,
}

/// A quarter of the memory, with an upper limit.
fn sensible(memory: Option<usize>) -> usize {
    memory.map_or(LARGEST_DEFAULT, |memory| (memory / 4).min(LARGEST_DEFAULT))
}

/// How much memory the daemon can have: that of the machine, or less where it is in a container.
#[cfg(target_os = "linux")]
fn memory_of_the_machine() -> Option<usize> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(mem_total);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    // Without a limit it is `max`.
    let limit = limit.and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(limit).min()
}

/// `MemTotal:       16314304 kB`
#[cfg(target_os = "linux")]
fn mem_total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// Other systems are assumed to be desktops with more than four times the largest budget.
#[cfg(not(target_os = "linux"))]
fn memory_of_the_machine() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::{Instant, sleep};

    use super::*;

    fn used(budget: &Budget) -> usize {
        *budget.used()
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_some_never_waits_for_itself() {
        let budget = Budget::new(100);
        let body = budget.reserve(30).await.unwrap();
        let beside = budget.reserve_beside(1000, 60).await.unwrap();
        assert_eq!((beside.bytes(), used(&budget)), (40, 70));
        // Others are told apart by whether somebody waits already.
        let other = budget.reserve(20).await.unwrap();
        let mut waiting = pin!(budget.reserve_beside(50, 20));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(budget.reserve_beside(50, 20).await.unwrap_err(), Exhausted::ForNow);
        drop((body, beside));
        assert_eq!(waiting.await.unwrap().bytes(), 50);
        drop(other);
        assert_eq!(budget.reserve_beside(5, 200).await.unwrap().bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_first_gets_memory_first_and_nobody_waits_for_ever() {
        let budget = Budget::new(100);
        let first = budget.reserve(60).await.unwrap();
        // The large one is not overtaken by a small one that there would be room for.
        let (mut large, mut small) = (pin!(budget.reserve(70)), pin!(budget.reserve(10)));
        assert!(large.as_mut().now_or_never().is_none());
        assert!(small.as_mut().now_or_never().is_none());
        drop(first);
        let large = large.await.unwrap();
        let small = small.await.unwrap();
        assert_eq!((large.bytes(), small.bytes(), used(&budget)), (70, 10, 80));
        let begin = Instant::now();
        assert_eq!(budget.reserve(30).await.unwrap_err(), Exhausted::ForNow);
        assert_eq!(begin.elapsed(), WAIT_TIMEOUT);
        drop((large, small));
        // One that is larger than all of it is alone.
        let all = budget.reserve(1000).await.unwrap();
        assert_eq!(all.bytes(), 100);
        drop(all);
        assert_eq!(used(&budget), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_hold_memory_never_wait_for_each_other() {
        let budget = Budget::new(100);
        let (mut one, mut two) =
            (budget.reserve(50).await.unwrap(), budget.reserve(50).await.unwrap());
        let begin = Instant::now();
        let (first, second) = tokio::join!(one.grow(60, Alone::Allowed), async {
            let refused = two.grow(60, Alone::Allowed).await;
            drop(two);
            refused
        });
        assert_eq!((first, second), (Ok(()), Err(Exhausted::ForNow)));
        assert_eq!((one.bytes(), begin.elapsed()), (60, Duration::ZERO));
        // One that waits before it has begun does not keep it from growing.
        let mut waiting = pin!(budget.reserve(90));
        assert!(waiting.as_mut().now_or_never().is_none());
        one.grow(100, Alone::Allowed).now_or_never().unwrap().unwrap();
        // There is no more to wait for; this is the most that may be needed.
        one.grow(150, Alone::Allowed).now_or_never().unwrap().unwrap();
        assert_eq!(one.grow(150, Alone::Refused).await, Err(Exhausted::ForGood));
        one.shrink(10);
        waiting.await.unwrap();
        assert_eq!(used(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_growing_one_waits_for_memory_only_so_long() {
        let budget = Budget::new(100);
        let mut one = budget.reserve(50).await.unwrap();
        let two = budget.reserve(50).await.unwrap();
        let begin = Instant::now();
        assert_eq!(one.grow(60, Alone::Allowed).await, Err(Exhausted::ForNow));
        assert_eq!(begin.elapsed(), WAIT_TIMEOUT);
        let (grown, ()) = tokio::join!(one.grow(60, Alone::Allowed), async {
            sleep(WAIT_TIMEOUT / 2).await;
            drop(two);
        });
        grown.unwrap();
        assert_eq!(used(&budget), 60);
    }

    #[tokio::test]
    async fn memory_is_held_for_the_life_of_the_bytes() {
        let budget = Budget::new(100);
        let reservation = budget.reserve(60).await.unwrap();
        let bytes = reservation.hold(vec![7; 60]);
        let other = bytes.slice(50..);
        drop(bytes);
        assert_eq!((&other[..], used(&budget)), (&[7; 10][..], 60));
        let made = budget.overdraw(Vec::with_capacity(70));
        assert_eq!(used(&budget), 130);
        assert!(budget.reserve(1).now_or_never().is_none());
        drop((other, made));
        assert_eq!(used(&budget), 0);
    }

    #[test]
    fn the_default_is_a_quarter_of_the_memory_and_no_more_than_a_gibibyte() {
        for (memory, expected) in [
            (None, 1 << 30),
            (Some(512 << 20), 128 << 20),
            (Some(4 << 30), 1 << 30),
            (Some(64 << 30), 1 << 30),
        ] {
            assert_eq!(sensible(memory), expected);
        }
        assert!(Budget::new(0).0.total > 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_the_machine_is_found_out() {
        let text = "MemTotal:       16314304 kB\nMemFree:         1024 kB\n";
        assert_eq!(mem_total(text), Some(16_314_304 << 10));
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
        assert!(memory_of_the_machine().is_some_and(|memory| memory > 1 << 20));
    }
}
