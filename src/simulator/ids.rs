//! Identifiers: unlike for each thing, the same for each run.

use sha2::{Digest, Sha256};

/// A short digest of a text.
pub(super) fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text);
    let number = bytes.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:016x}")
}

/// Hands out ids within one answer.
#[derive(Debug)]
pub(super) struct Ids {
    exchange: u64,
    next: u32,
}

impl Ids {
    pub(super) fn new(exchange: u64) -> Self {
        Self { exchange, next: 0 }
    }

    /// `msg_…`, `call_…` and the like.
    pub(super) fn next(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}_{:016x}{:08x}", self.exchange, self.next)
    }

    /// A UUID-shaped name for the exchange.
    pub(super) fn uuid(&self) -> String {
        let n = self.exchange & 0xffff_ffff_ffff;
        format!("00000000-0000-4000-8000-{n:012x}")
    }
}
