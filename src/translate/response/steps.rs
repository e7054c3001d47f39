//! Counts the steps of work whose cost has to grow with its size only. Nothing outside of tests.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many more steps.
#[cfg(test)]
pub(super) fn note(steps: u64) {
    STEPS.set(STEPS.get() + steps);
}

/// So many more steps.
#[cfg(not(test))]
#[inline]
pub(super) fn note(_: u64) {}

/// How many steps the work takes.
#[cfg(test)]
pub(super) fn counted(work: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}
