//! Which of the known items the items of the last event are.
//!
//! Hosts leave items out of it, so that positions may differ, and some change ids.

use std::collections::HashMap;
use std::hash::Hash;

use super::items::{Class, Item, Items, Kind, class_of};
use super::reasoning::Source;
use super::steps;
use super::tool_calls::Calls;
use crate::responses::event;
use crate::translate::plan::Plan;

/// For each item of the output the known item that it is, if it is one.
pub(super) fn pair(
    items: &Items,
    calls: &Calls,
    plan: &Plan,
    output: &[event::Item<'_>],
) -> Vec<Option<usize>> {
    let mut pairing = Pairing {
        pairs: vec![None; output.len()],
        is_taken: vec![false; items.len()],
        classes: output.iter().map(class_of).collect(),
        items,
    };
    let agrees = |at: usize, given: usize| {
        steps::note(1);
        agrees(&items[at], calls, plan, &output[given])
    };

    // By id, unless several have the same.
    let call_id = |item: &Item| match item.kind {
        Kind::Call(call) => Some(calls.upstream_id(call)).filter(|id| !id.is_empty()),
        _ => None,
    };
    let call_ids = once(items.iter().map(call_id));
    let given = once(output.iter().map(|item| item.call_id.as_deref().filter(|id| !id.is_empty())));
    pairing.by_key(&call_ids, &given);
    let ids = once(items.iter().map(|item| item.item_id.as_deref()));
    let given = once(output.iter().map(|item| item.id.as_deref()));
    pairing.by_key(&ids, &given);

    // By position, if it may be.
    let mut positions: HashMap<(u64, Class), usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Some(index) = item.output_index {
            positions.insert((index, item.kind.class()), at);
        }
    }
    let at_position = |given: usize, class: Class| positions.get(&(given as u64, class)).copied();
    pairing.by(|given, class| at_position(given, class).filter(|&at| agrees(at, given)));

    // By order, if it may be.
    let mut next: HashMap<Class, usize> = HashMap::new();
    for given in 0..output.len() {
        let class = pairing.classes[given];
        if pairing.pairs[given].is_some() {
            continue;
        }
        let from = next.entry(class).or_default();
        while *from < items.len() && !pairing.is_free(*from, class) {
            steps::note(1);
            *from += 1;
        }
        if *from < items.len() && agrees(*from, given) {
            pairing.take(given, *from);
        }
    }

    // By position, against what was said before.
    pairing.by(at_position);
    pairing.pairs
}

struct Pairing<'i> {
    items: &'i Items,
    classes: Vec<Class>,
    pairs: Vec<Option<usize>>,
    is_taken: Vec<bool>,
}

impl Pairing<'_> {
    fn is_free(&self, at: usize, class: Class) -> bool {
        !self.is_taken[at] && self.items[at].kind.class() == class
    }

    fn take(&mut self, given: usize, at: usize) {
        self.pairs[given] = Some(at);
        self.is_taken[at] = true;
    }

    fn by(&mut self, find: impl Fn(usize, Class) -> Option<usize>) {
        for given in 0..self.pairs.len() {
            let class = self.classes[given];
            if self.pairs[given].is_none()
                && let Some(at) = find(given, class).filter(|&at| self.is_free(at, class))
            {
                self.take(given, at);
            }
        }
    }

    fn by_key(&mut self, known: &HashMap<&str, usize>, given: &HashMap<&str, usize>) {
        for (key, &given) in given {
            steps::note(1);
            if self.pairs[given].is_none()
                && let Some(&at) = known.get(key)
                && self.is_free(at, self.classes[given])
            {
                self.take(given, at);
            }
        }
    }
}

/// Where each key is, if it is at one place only.
fn once<K: Hash + Eq>(keys: impl Iterator<Item = Option<K>>) -> HashMap<K, usize> {
    let mut places: HashMap<K, Option<usize>> = HashMap::new();
    for (at, key) in keys.enumerate() {
        if let Some(key) = key {
            places.entry(key).and_modify(|place| *place = None).or_insert(Some(at));
        }
    }
    places.into_iter().filter_map(|(key, place)| Some((key, place?))).collect()
}

/// Whether what is known of an item may be the beginning of this one.
pub(super) fn agrees(known: &Item, calls: &Calls, plan: &Plan, item: &event::Item<'_>) -> bool {
    match &known.kind {
        Kind::Message(message) => message.parts.iter().all(|part| {
            let given = usize::try_from(part.index).ok().and_then(|at| item.content().get(at));
            let Some(given) = given else { return part.text.is_empty() };
            let text = if part.is_refusal { &given.refusal } else { &given.text };
            part.text.agrees_with(text.as_deref().unwrap_or_default())
        }),
        Kind::Reasoning(reasoning) => {
            [(Source::Summary, item.summary()), (Source::Raw, item.content())].into_iter().all(
                |(source, texts)| {
                    (0..).zip(texts).all(|(part, given)| {
                        let given = given.text.as_deref().unwrap_or_default();
                        reasoning.text(source, part).is_none_or(|text| text.agrees_with(given))
                    })
                },
            )
        }
        &Kind::Call(call) => calls.agrees(call, item, plan),
        Kind::Image(_) | Kind::Other => true,
    }
}
