//! How many renewals there were, by how they ended.

use std::sync::atomic::{AtomicU64, Ordering};

use super::issuer;

/// The number of renewal attempts since the start, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewals {
    /// It gave them.
    pub renewed: u64,
    /// Rejected: the login has expired, or another program was first.
    pub refused: u64,
    /// Failed: the service was unreachable, or had an error.
    pub failed: u64,
}

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    renewed: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    pub(super) fn count<T>(&self, answer: &Result<T, issuer::Error>) {
        let counter = match answer {
            Ok(_) => &self.renewed,
            Err(error) if error.ended().is_some() => &self.refused,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> Renewals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Renewals {
            renewed: read(&self.renewed),
            refused: read(&self.refused),
            failed: read(&self.failed),
        }
    }
}
