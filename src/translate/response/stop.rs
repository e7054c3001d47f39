//! Stop sequences, which the backend does not have.
//!
//! All of them are looked for at once, by the algorithm of Aho and Corasick: each byte of the text
//! is read once, however many sequences there are and however long they are. What may be the
//! beginning of one is held back, which needs the depth of a state in the trie. (The crate of that
//! name has the states and does not tell their depth.)

use std::sync::Arc;

use super::steps;
use crate::translate::plan::Plan;

/// Looks for stop sequences in a text that comes in pieces, holding back what may be the
/// beginning of one.
#[derive(Debug)]
pub(super) struct Stop {
    plan: Arc<Plan>,
    /// How long all sequences are.
    bytes: usize,
    /// Made when the first text comes.
    matcher: Option<Matcher>,
    state: u32,
    /// What is held back begins at `start`; what stands before it was shown.
    held: String,
    start: usize,
    /// What the last piece set free.
    free: String,
}

/// What may be shown of the text so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'t> {
    /// This much more; the rest is held back.
    More(&'t str),
    /// This much more and then no more: a stop sequence follows.
    Last(&'t str),
}

impl Stop {
    /// `None` if there are no stop sequences. None of them may be empty.
    pub(super) fn new(plan: &Arc<Plan>) -> Option<Self> {
        (!plan.stops.is_empty()).then(|| Self {
            plan: Arc::clone(plan),
            bytes: plan.stops.iter().map(String::len).sum(),
            matcher: None,
            state: ROOT,
            held: String::new(),
            start: 0,
            free: String::new(),
        })
    }

    /// The next piece of the text. The sequence that is complete first ends it; of several that
    /// are complete at once, the longest.
    pub(super) fn push<'t>(&'t mut self, text: &'t str) -> Shown<'t> {
        let matcher = self.matcher.get_or_insert_with(|| Matcher::new(&self.plan.stops));
        for (at, byte) in text.bytes().enumerate() {
            self.state = matcher.next(self.state, byte);
            let found = matcher.nodes[self.state as usize].found as usize;
            if found > 0 {
                let before = self.held_len() + at + 1 - found;
                self.state = ROOT;
                return Shown::Last(self.take(text, before));
            }
        }
        // A beginning of a sequence starts where a character starts, as the sequence does.
        let keep = matcher.nodes[self.state as usize].depth as usize;
        let free = self.held_len() + text.len() - keep;
        Shown::More(self.take(text, free))
    }

    /// How many steps are taken when so many more bytes come.
    pub(super) fn steps(&self, more: usize) -> usize {
        more + if self.matcher.is_none() { 4 * self.bytes } else { 0 }
    }

    /// How much is held back.
    pub(super) fn held_len(&self) -> usize {
        self.held.len() - self.start
    }

    /// The held text, which no stop sequence can follow any more.
    pub(super) fn release(&mut self) -> &str {
        self.state = ROOT;
        let held = self.held_len();
        self.take("", held)
    }

    /// The first `len` bytes of the held text and `text`; the rest is held back.
    fn take<'t>(&'t mut self, text: &'t str, len: usize) -> &'t str {
        let held = self.held_len();
        if held == 0 {
            let (free, rest) = text.split_at(len);
            self.held.clear();
            self.held.push_str(rest);
            self.start = 0;
            return free;
        }
        if len < held {
            // What was shown is thrown away when it is half of all: no byte is moved often.
            if self.start > self.held.len() / 2 {
                self.held.drain(..self.start);
                self.start = 0;
            }
            self.held.push_str(text);
            let from = self.start;
            self.start += len;
            return &self.held[from..self.start];
        }
        let (free, rest) = text.split_at(len - held);
        self.free.clear();
        self.free.push_str(&self.held[self.start..]);
        self.free.push_str(free);
        self.held.clear();
        self.held.push_str(rest);
        self.start = 0;
        &self.free
    }
}

/// The state in which nothing of any sequence has been read.
const ROOT: u32 = 0;
/// No state.
const NONE: u32 = u32::MAX;

/// The trie of all sequences, with the longest other beginning that each state ends with.
#[derive(Debug)]
struct Matcher {
    nodes: Vec<Node>,
    /// The children of the root by byte, which most bytes of a text lead to.
    roots: Box<[u32; 256]>,
}

#[derive(Debug)]
struct Node {
    byte: u8,
    child: u32,
    sibling: u32,
    /// The state of the longest proper ending that is a beginning too.
    fallback: u32,
    /// How many bytes have been read of the longest beginning.
    depth: u32,
    /// The length of the longest sequence that is complete here; 0 if none is.
    found: u32,
}

impl Node {
    fn new(byte: u8, sibling: u32, depth: u32) -> Self {
        Self { byte, child: NONE, sibling, fallback: ROOT, depth, found: 0 }
    }
}

impl Matcher {
    fn new(stops: &[String]) -> Self {
        let mut matcher = Self { nodes: vec![Node::new(0, NONE, 0)], roots: Box::new([NONE; 256]) };
        for stop in stops {
            matcher.add(stop.as_bytes());
        }
        matcher.link();
        matcher
    }

    fn add(&mut self, stop: &[u8]) {
        let mut at = ROOT;
        for &byte in stop {
            steps::note(1);
            if let Some(child) = self.child(at, byte) {
                at = child;
                continue;
            }
            // A text is never so long: there are states for half of all addresses.
            let Ok(new) = u32::try_from(self.nodes.len()) else { return };
            let parent = &mut self.nodes[at as usize];
            let node = Node::new(byte, parent.child, parent.depth + 1);
            parent.child = new;
            self.nodes.push(node);
            if at == ROOT {
                self.roots[usize::from(byte)] = new;
            }
            at = new;
        }
        let node = &mut self.nodes[at as usize];
        node.found = node.depth;
    }

    /// Finds the fallback of every state, those of shorter beginnings first.
    fn link(&mut self) {
        let mut queue = std::collections::VecDeque::from([ROOT]);
        while let Some(parent) = queue.pop_front() {
            let mut at = self.nodes[parent as usize].child;
            while at != NONE {
                steps::note(1);
                queue.push_back(at);
                if parent != ROOT {
                    let byte = self.nodes[at as usize].byte;
                    let fallback = self.next(self.nodes[parent as usize].fallback, byte);
                    let found = self.nodes[fallback as usize].found;
                    let node = &mut self.nodes[at as usize];
                    node.fallback = fallback;
                    node.found = node.found.max(found);
                }
                at = self.nodes[at as usize].sibling;
            }
        }
    }

    fn child(&self, of: u32, byte: u8) -> Option<u32> {
        if of == ROOT {
            let child = self.roots[usize::from(byte)];
            return (child != NONE).then_some(child);
        }
        let mut at = self.nodes[of as usize].child;
        while at != NONE && self.nodes[at as usize].byte != byte {
            at = self.nodes[at as usize].sibling;
        }
        (at != NONE).then_some(at)
    }

    fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            steps::note(1);
            match self.child(state, byte) {
                Some(child) => return child,
                None if state == ROOT => return ROOT,
                None => state = self.nodes[state as usize].fallback,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stop(stops: &[String]) -> Stop {
        Stop::new(&Arc::new(Plan { stops: stops.to_vec(), ..Plan::default() })).unwrap()
    }

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut stop = stop(&stops);
        let mut shown = String::new();
        for piece in pieces {
            match stop.push(piece) {
                Shown::More(text) => shown.push_str(text),
                Shown::Last(text) => return (shown + text, true),
            }
        }
        (shown + stop.release(), false)
    }

    #[test]
    fn text_ends_before_the_earliest_stop_sequence_however_it_is_split() {
        let cases: &[(&[&str], &str, &str, bool)] = &[
            (&["STOP"], "a STOP b", "a ", true),
            (&["STOP"], "a STO", "a STO", false),
            (&["\n\n"], "a\nb\n\nc", "a\nb", true),
            (&["aab"], "aaab", "a", true),
            (&["🌍", "xyz"], "Привет 🌍 xyz", "Привет ", true),
            // The sequence that is complete first ends the text, however the text is split.
            (&["bc", "abcd"], "abcd", "a", true),
            (&["bc", "abc"], "xabc", "x", true),
            (&["a", "ab"], "xab", "x", true),
            (&["abcabd", "bcabx"], "abcabx", "a", true),
            (&["aaaa"], "aaabaaa", "aaabaaa", false),
            (&["bc", "abcx"], "abcd", "a", true),
            (&["é"], "e\u{301}é", "e\u{301}", true),
        ];
        for (stops, text, wanted, hit) in cases {
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let (a, b) = text.split_at(at);
                let got = run(stops, &[a, b]);
                assert_eq!(got, ((*wanted).to_owned(), *hit), "{text:?} {at}");
            }
            let singly: Vec<String> = text.chars().map(String::from).collect();
            let singly: Vec<&str> = singly.iter().map(String::as_str).collect();
            assert_eq!(run(stops, &singly), ((*wanted).to_owned(), *hit), "{text:?} singly");
        }
    }

    /// The steps that it takes to look for these in a text of so many pieces.
    fn steps(stops: &[String], piece: &str, pieces: usize) -> u64 {
        steps::counted(|| {
            let mut stop = stop(stops);
            for _ in 0..pieces {
                stop.push(piece);
            }
        })
    }

    #[test]
    fn twice_as_much_takes_twice_the_steps() {
        let long = |n: usize| vec!["a".repeat(n) + "b"];
        let many = |n: usize| (0..n).map(|i| format!("{i:06}x")).collect::<Vec<_>>();
        let kinds: [(&str, &dyn Fn(usize) -> u64); 5] = [
            ("length of the sequence", &|n| steps(&long(n), "a", n)),
            ("length of the sequence, few deltas", &|n| steps(&long(n), &"a".repeat(n), 4)),
            ("length of the sequence, other text", &|n| steps(&long(n), "hello ", 100)),
            ("number of sequences", &|n| steps(&many(n), "0000000000 ", 100)),
            ("number of deltas", &|n| steps(&many(4), "000001 ", n)),
        ];
        for (kind, work) in kinds {
            let (once, twice) = (work(2000), work(4000));
            assert!(twice <= once * 21 / 10, "{kind}: {once}, {twice}");
            // And not only in proportion: a few steps for each byte.
            assert!(once < 2000 * 60, "{kind}: {once}");
        }
    }

    #[test]
    fn what_is_held_back_is_not_moved_with_every_piece() {
        let mut stop = stop(&["a".repeat(1000) + "b"]);
        for _ in 0..100_000 {
            stop.push("a");
            assert!(stop.held.len() <= 3000);
        }
        assert_eq!(stop.release().len(), 1000);
    }

    proptest! {
        #[test]
        fn any_split_of_a_text_gives_the_same(
            pieces in prop::collection::vec("[ab\u{e9}\n]{0,4}", 0..12),
            stop in "[ab\u{e9}\n]{1,4}",
        ) {
            let whole = pieces.concat();
            let split: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(&[&stop], &split), run(&[&stop], &[&whole]));
            let wanted = whole.find(&stop).map_or(&whole[..], |at| &whole[..at]);
            prop_assert_eq!(run(&[&stop], &split).0, wanted);
        }
    }
}
