//! The memory of turns, in this process only: limited in bytes and age, never on disk.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::turn::{Key, Turn, TurnStore};

/// What the cache itself needs for an entry, in bytes.
const OVERHEAD: usize = 160;

/// The part of the bound that the keys of missed turns may take up. A client that changes an early
/// message each time misses every turn with every request, and must not push out real ones.
const MISSED_SHARE: u64 = 16;

/// Turns that may be sent back. Clones share them.
#[derive(Debug, Clone)]
pub struct TurnMemory {
    turns: Cache<Key, Arc<Turn>>,
    /// Turns that were not found, or could not be used. They were sent as the client has them, and
    /// that must not change: the backend's prompt cache has them in this form.
    missed: Cache<Key, ()>,
    max_bytes: u64,
}

impl TurnMemory {
    /// A memory of at most so many bytes, each turn for at most so long.
    pub fn new(max_bytes: u64, ttl: Duration) -> Self {
        let for_missed = max_bytes / MISSED_SHARE;
        let turns = Cache::builder()
            .max_capacity(max_bytes - for_missed)
            .weigher(|_, turn: &Arc<Turn>| weight(turn.size()))
            .time_to_live(ttl)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let missed = Cache::builder()
            .max_capacity(for_missed)
            .weigher(|_, ()| weight(0))
            .time_to_live(ttl)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { turns, missed, max_bytes: max_bytes - for_missed }
    }

    /// Remembers a turn, unless it was missed before.
    pub fn remember(&self, key: Key, turn: Turn) {
        // The cache would insert it, evict it, and free it later.
        if turn.size() as u64 > self.max_bytes || self.missed.contains_key(&key) {
            return;
        }
        self.turns.entry(key).or_insert_with(|| Arc::new(turn));
        // Evicts at once what is over the limit.
        self.turns.run_pending_tasks();
    }

    /// Forgets turns for good: the backend rejects them.
    pub fn forget(&self, keys: &[Key]) {
        for key in keys {
            self.turns.invalidate(key);
            self.miss(*key);
        }
    }

    /// How many bytes are taken up.
    pub fn bytes(&self) -> u64 {
        self.turns.run_pending_tasks();
        self.missed.run_pending_tasks();
        self.turns.weighted_size() + self.missed.weighted_size()
    }

    fn miss(&self, key: Key) {
        self.missed.insert(key, ());
        self.missed.run_pending_tasks();
    }
}

impl TurnStore for TurnMemory {
    fn recall(&self, key: Key) -> Option<Arc<Turn>> {
        let turn = self.turns.get(&key);
        if turn.is_none() {
            self.miss(key);
        }
        turn
    }
}

/// A size together with what the cache itself needs for an entry.
fn weight(size: usize) -> u32 {
    u32::try_from(size + OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::conversation::Scope;

    fn memory(max_bytes: u64) -> TurnMemory {
        let ttl = Duration::from_secs(3600);
        TurnMemory::new(max_bytes, ttl)
    }

    fn key(number: usize) -> Key {
        Scope::new("account", "gpt-5.5").key_of_call(&number.to_string())
    }

    fn turn(text: &str) -> Turn {
        Turn { items: Vec::new(), text: text.to_owned(), turn_state: None }
    }

    #[test]
    fn a_turn_is_recalled_by_its_key_alone() {
        let memory = memory(1 << 20);
        memory.remember(key(1), turn("one"));
        assert_eq!(memory.recall(key(1)).unwrap().text, "one");
        assert!(memory.recall(key(2)).is_none());
    }

    #[test]
    fn a_turn_that_is_larger_than_all_memory_is_not_taken_in() {
        let memory = memory(1000);
        memory.remember(key(1), turn("one"));
        memory.remember(key(2), turn(&"x".repeat(1001)));
        assert!(memory.recall(key(2)).is_none());
        assert_eq!(memory.recall(key(1)).unwrap().text, "one");
    }

    #[test]
    fn what_was_missed_once_stays_missed() {
        let memory = memory(1 << 20);
        assert!(memory.recall(key(1)).is_none());
        memory.remember(key(1), turn("late"));
        assert!(memory.recall(key(1)).is_none());
    }

    #[test]
    fn what_is_forgotten_stays_forgotten() {
        let memory = memory(1 << 20);
        memory.remember(key(1), turn("one"));
        memory.forget(&[key(1)]);
        memory.remember(key(1), turn("again"));
        assert!(memory.recall(key(1)).is_none());
    }

    #[test]
    fn turns_that_are_missed_again_and_again_push_out_no_real_ones() {
        let memory = memory(1 << 20);
        memory.remember(key(0), turn("kept"));
        for number in 1..100_000 {
            assert!(memory.recall(key(number)).is_none());
        }
        assert_eq!(memory.recall(key(0)).unwrap().text, "kept");
        assert!(memory.bytes() <= 1 << 20);
        assert!(memory.recall(key(99_999)).is_none());
        memory.remember(key(99_999), turn("late"));
        assert!(memory.recall(key(99_999)).is_none(), "the latest misses are known");
    }

    #[test]
    fn ten_thousand_conversations_stay_within_the_bound() {
        let memory = memory(1 << 20);
        let text = "x".repeat(1000);
        for number in 0..10_000 {
            memory.remember(key(number), turn(&text));
            assert!(memory.turns.weighted_size() <= 1 << 20);
        }
        assert!(memory.bytes() > 1 << 19, "it is used, too");
        assert!(memory.recall(key(9_999)).is_some(), "the latest are kept");
        assert!(memory.recall(key(0)).is_none());
    }
}
