//! The memory of turns, kept in this process alone: bounded in bytes and in age, never on disk.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::config;
use crate::translate::memory::{Key, Recall, Turn};

/// Turns that may be sent back. Clones share them.
#[derive(Debug, Clone)]
pub struct Memory {
    turns: Cache<Key, Entry>,
    max_bytes: u64,
}

#[derive(Debug, Clone)]
enum Entry {
    Turn(Arc<Turn>),
    /// It was looked for and was not there, or could not be used; it has been sent plainly since.
    Missed,
}

impl Memory {
    /// A memory within these bounds.
    pub fn new(settings: &config::Continuity) -> Self {
        let turns = Cache::builder()
            .max_capacity(settings.max_bytes)
            .weigher(|_, entry: &Entry| entry.weight())
            .time_to_live(settings.ttl)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { turns, max_bytes: settings.max_bytes }
    }

    /// Remembers a turn, unless it was missed before.
    pub fn remember(&self, key: Key, turn: Turn) {
        // The cache would take it in, throw it out again, and free it some time later.
        if turn.size() as u64 > self.max_bytes {
            return;
        }
        let entry = self.turns.entry(key).or_insert_with(|| Entry::Turn(Arc::new(turn)));
        drop(entry);
        // Evicts at once what is too much, rather than some day.
        self.turns.run_pending_tasks();
    }

    /// Forgets turns for good: the backend does not take them back.
    pub fn forget(&self, keys: &[Key]) {
        for key in keys {
            self.turns.insert(*key, Entry::Missed);
        }
    }

    /// How many bytes are taken up.
    pub fn bytes(&self) -> u64 {
        self.turns.run_pending_tasks();
        self.turns.weighted_size()
    }
}

impl Recall for Memory {
    fn recall(&self, key: Key) -> Option<Arc<Turn>> {
        match self.turns.get(&key) {
            Some(Entry::Turn(turn)) => Some(turn),
            Some(Entry::Missed) => None,
            None => {
                self.turns.insert(key, Entry::Missed);
                None
            }
        }
    }
}

impl Entry {
    /// Its size and what the cache itself needs for an entry.
    fn weight(&self) -> u32 {
        const OVERHEAD: usize = 160;
        let turn = match self {
            Self::Turn(turn) => turn.size(),
            Self::Missed => 0,
        };
        u32::try_from(turn + OVERHEAD).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::translate::memory::Scope;

    fn memory(max_bytes: u64) -> Memory {
        let ttl = Duration::from_secs(3600);
        Memory::new(&config::Continuity { enabled: true, max_bytes, ttl })
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
