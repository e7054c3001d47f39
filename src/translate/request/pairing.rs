//! Calls and their outcomes, bound one to one.
//!
//! The backend refuses a call without an outcome and an outcome without a call. Chat clients
//! send both, after edits, cancelled turns and trimmed contexts. Afterwards every call has
//! exactly one outcome, right behind the group of calls it belongs to, and ids are unique and at
//! most 64 characters long.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use super::names::hex;
use crate::responses::request::{Item, Output, Part, Role};

/// The longest id that the backend takes, in characters.
const MAX_ID: usize = 64;

/// The outcome of a call that never got one; the Codex CLI writes the same.
const ABORTED: &str = "aborted";

/// A call and what it is bound to.
struct Call {
    /// Where it stands.
    position: usize,
    /// The run of calls it belongs to.
    group: usize,
    /// Its id before ids are made unique.
    id: String,
    /// Where its outcome stands.
    outcome: Option<usize>,
}

/// Binds calls and outcomes. `turns` tells for every item to which turn it belongs: outcomes go
/// behind the last item of the turn that has their calls.
///
/// The turns of the items that come out come with them: for outcomes, those that they stood in.
/// Doing it twice changes nothing more.
pub(super) fn normalise<'v>(items: Vec<Item<'v>>, turns: &[usize]) -> (Vec<Item<'v>>, Vec<usize>) {
    if !items.iter().any(|item| call_id(item).is_some()) {
        return (items, turns.to_owned());
    }
    let mut calls = find_calls(&items, turns);
    let orphans = bind(&items, &mut calls);
    rebuild(items, turns, &calls, &orphans)
}

/// The calls in order; those of one turn are a group.
fn find_calls(items: &[Item<'_>], turns: &[usize]) -> Vec<Call> {
    let mut calls = Vec::new();
    for (position, item) in items.iter().enumerate() {
        if let Item::FunctionCall { call_id, name, arguments: body }
        | Item::CustomToolCall { call_id, name, input: body } = item
        {
            let id = if call_id.is_empty() {
                made_up_id(position, name, body)
            } else {
                fitting_id(call_id).into_owned()
            };
            calls.push(Call { position, group: turns[position], id, outcome: None });
        }
    }
    calls
}

/// Calls without an outcome, as pairs of group and index, so that the latest group is at the end.
type Open = BTreeSet<(usize, usize)>;

/// Gives every outcome to a call where there is one; the positions of the rest are returned.
///
/// An outcome belongs to the latest group before it that has an open call of its id, and there to
/// the first such call; an outcome without an id to any open call. Only then is it looked for
/// behind the outcome.
fn bind(items: &[Item<'_>], calls: &mut [Call]) -> BTreeSet<usize> {
    let mut open = Open::new();
    let mut open_by_id: HashMap<String, Open> = HashMap::new();
    let mut unbound = Vec::new();
    let mut bindings = Vec::new();
    let mut next_call = 0;
    for (position, item) in items.iter().enumerate() {
        if calls.get(next_call).is_some_and(|call| call.position == position) {
            let call = &calls[next_call];
            open.insert((call.group, next_call));
            open_by_id.entry(call.id.clone()).or_default().insert((call.group, next_call));
            next_call += 1;
        }
        let Some(id) = outcome_id(item) else { continue };
        let id = fitting_id(id);
        let candidates = if id.is_empty() { Some(&open) } else { open_by_id.get(&*id) };
        match candidates.and_then(first_of_latest_group) {
            Some(found) => {
                open.remove(&found);
                if let Some(same_id) = open_by_id.get_mut(&calls[found.1].id) {
                    same_id.remove(&found);
                }
                bindings.push((found.1, position));
            }
            None => unbound.push((position, id)),
        }
    }
    let mut orphans = BTreeSet::new();
    for (position, id) in unbound {
        let later = open_by_id.get_mut(&*id).and_then(|same_id| {
            let found = *same_id.iter().find(|(_, call)| calls[*call].position > position)?;
            same_id.remove(&found);
            Some(found.1)
        });
        match later {
            Some(call) => bindings.push((call, position)),
            None => {
                orphans.insert(position);
            }
        }
    }
    for (call, outcome) in bindings {
        calls[call].outcome = Some(outcome);
    }
    orphans
}

fn first_of_latest_group(open: &Open) -> Option<(usize, usize)> {
    let (latest, _) = *open.last()?;
    open.range((latest, 0)..).next().copied()
}

/// Writes the items anew: every turn with calls is followed by their outcomes, in the calls'
/// order.
fn rebuild<'v>(
    items: Vec<Item<'v>>,
    turns: &[usize],
    calls: &[Call],
    orphans: &BTreeSet<usize>,
) -> (Vec<Item<'v>>, Vec<usize>) {
    let mut slots: Vec<Option<Item<'v>>> = items.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(slots.len() + calls.len());
    let mut sources = Vec::with_capacity(slots.len() + calls.len());
    let mut ids = Ids::new();
    let mut next_call = calls.iter().peekable();
    let mut outcomes = Vec::new();
    let mut outcome_sources = Vec::new();
    for position in 0..slots.len() {
        if let Some(call) = next_call.next_if(|call| call.position == position) {
            let id = unique_id(&call.id, &mut ids);
            if let Some(item) = slots[position].take() {
                let outcome = call.outcome.and_then(|outcome| slots[outcome].take());
                outcomes.push(outcome_of(&item, &id, outcome));
                outcome_sources.push(turns[call.outcome.unwrap_or(position)]);
                out.push(with_id(item, id));
            }
        } else if orphans.contains(&position) {
            out.extend(slots[position].take().and_then(as_message));
        } else if slots[position].as_ref().is_some_and(|item| outcome_id(item).is_none()) {
            out.extend(slots[position].take());
        }
        sources.resize(out.len(), turns[position]);
        // An outcome that is bound is written behind the turn of its call, wherever it stood.
        if turns.get(position + 1) != Some(&turns[position]) {
            out.append(&mut outcomes);
            sources.append(&mut outcome_sources);
        }
    }
    (out, sources)
}

fn call_id<'i>(item: &'i Item<'_>) -> Option<&'i str> {
    match item {
        Item::FunctionCall { call_id, .. } | Item::CustomToolCall { call_id, .. } => Some(call_id),
        _ => outcome_id(item),
    }
}

fn outcome_id<'i>(item: &'i Item<'_>) -> Option<&'i str> {
    match item {
        Item::FunctionCallOutput { call_id, .. } | Item::CustomToolCallOutput { call_id, .. } => {
            Some(call_id)
        }
        _ => None,
    }
}

/// An id for a call that has none: the same for the same history.
fn made_up_id(position: usize, name: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    for part in [position.to_string().as_str(), name, body] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("call_{}", hex(&hash.finalize()[..4]))
}

/// The id itself, or a digest of it if it is too long.
fn fitting_id(id: &str) -> Cow<'_, str> {
    if id.chars().count() <= MAX_ID {
        return Cow::Borrowed(id);
    }
    let digest = hex(&Sha256::digest(id.as_bytes()));
    Cow::Owned(format!("call_{}", &digest[..58]))
}

/// Ids in use, with the number that was last put behind each: some hosts begin anew with every
/// turn, so that a long history has the same id a thousand times.
type Ids = HashMap<String, usize>;

/// The id, with a number behind it if an earlier call has it already.
fn unique_id(id: &str, used: &mut Ids) -> String {
    let Some(&last) = used.get(id) else {
        used.insert(id.to_owned(), 1);
        return id.to_owned();
    };
    let mut number = last;
    let candidate = loop {
        number += 1;
        let suffix = format!("_{number}");
        let stem: String = id.chars().take(MAX_ID - suffix.len()).collect();
        let candidate = stem + &suffix;
        if !used.contains_key(&candidate) {
            break candidate;
        }
    };
    used.insert(candidate.clone(), 1);
    used.insert(id.to_owned(), number);
    candidate
}

fn with_id(item: Item<'_>, id: String) -> Item<'_> {
    let call_id = Cow::Owned(id);
    match item {
        Item::FunctionCall { name, arguments, .. } => {
            Item::FunctionCall { call_id, name, arguments }
        }
        Item::CustomToolCall { name, input, .. } => Item::CustomToolCall { call_id, name, input },
        other => other,
    }
}

/// The outcome in the form that fits the call's kind, which the call alone decides.
fn outcome_of<'v>(call: &Item<'v>, id: &str, outcome: Option<Item<'v>>) -> Item<'v> {
    let output = match outcome {
        Some(
            Item::FunctionCallOutput { output, .. } | Item::CustomToolCallOutput { output, .. },
        ) => output,
        _ => Output::Text(Cow::Borrowed(ABORTED)),
    };
    let call_id = Cow::Owned(id.to_owned());
    match call {
        Item::CustomToolCall { .. } => Item::CustomToolCallOutput { call_id, output },
        _ => Item::FunctionCallOutput { call_id, output },
    }
}

/// What is left of an outcome whose call is gone: a message that says so; nothing if it is empty.
fn as_message(outcome: Item<'_>) -> Option<Item<'_>> {
    let (Item::FunctionCallOutput { call_id, output }
    | Item::CustomToolCallOutput { call_id, output }) = outcome
    else {
        return None;
    };
    let label = match &*call_id {
        "" => "[tool result]".to_owned(),
        id => format!("[tool result {id}]"),
    };
    let content = match output {
        Output::Text(text) if text.is_empty() => return None,
        Output::Text(text) => vec![Part::InputText { text: format!("{label}\n{text}").into() }],
        Output::Parts(parts) if parts.is_empty() => return None,
        Output::Parts(mut parts) => {
            parts.insert(0, Part::InputText { text: label.into() });
            parts
        }
    };
    Some(Item::Message { role: Role::User, phase: None, content })
}

#[cfg(test)]
mod tests;
