//! Tool calls and their outputs, matched one to one.
//!
//! The backend rejects a call without an output and an output without a call. Chat clients send
//! both, after edits, cancelled turns and trimmed contexts. After matching, every call has exactly
//! one output, right after its group of calls, and ids are unique and at most 64 characters long.
//!
//! An output belongs to the call with its id. If ids are missing or equal, the name of the tool
//! decides; some clients send it instead of an id. Without a name, the order decides. An output
//! that names a tool is never matched to a call of another tool for lack of an id.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use sha2::{Digest, Sha256};

use super::aliases::hex;
use crate::responses::request::{Item, Output, Part, Role};
use crate::steps;

/// The longest id that the backend takes, in characters.
const MAX_ID: usize = 64;

/// The output of a call that never got one; the Codex CLI sends the same.
const ABORTED: &str = "aborted";

/// Where an item comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin<'v> {
    /// The client's message.
    pub(super) message: usize,
    /// Of a call, the client's name of the tool; of an output, the same if the client gives it.
    pub(super) tool: &'v str,
}

/// A call and what it is bound to.
struct Call<'v> {
    /// Where it stands.
    position: usize,
    /// The run of calls it belongs to.
    group: usize,
    /// Its id before ids are made unique.
    id: String,
    /// Whether the client gave it one.
    has_id: bool,
    /// The client's name of its tool.
    tool: &'v str,
    /// Where its output stands.
    outcome: Option<usize>,
}

/// Binds calls and outputs. Outputs go behind the last item of the message that has their calls, as
/// `origins` tell.
///
/// The messages of the items that come out come with them: for outputs, those that they stood in.
/// Doing it twice changes nothing more.
pub(super) fn normalise<'v>(
    items: Vec<Item<'v>>,
    origins: &[Origin<'_>],
) -> (Vec<Item<'v>>, Vec<usize>) {
    if !items.iter().any(|item| call_id(item).is_some()) {
        return (items, origins.iter().map(|origin| origin.message).collect());
    }
    let mut calls = find_calls(&items, origins);
    let orphans = match_outputs(&items, origins, &mut calls);
    rebuild(items, origins, &calls, &orphans)
}

/// The calls in order; those of one message are a group.
fn find_calls<'o>(items: &[Item<'_>], origins: &[Origin<'o>]) -> Vec<Call<'o>> {
    let mut calls = Vec::new();
    for (position, item) in items.iter().enumerate() {
        steps::count(1);
        if let Item::FunctionCall { call_id, name, arguments: body }
        | Item::CustomToolCall { call_id, name, input: body } = item
        {
            let id = if call_id.is_empty() {
                made_up_id(position, name, body)
            } else {
                fitting_id(call_id).into_owned()
            };
            let Origin { message: group, tool } = origins[position];
            let has_id = !call_id.is_empty();
            calls.push(Call { position, group, id, has_id, tool, outcome: None });
        }
    }
    calls
}

/// An output that is not bound yet.
struct ToolOutput<'i, 'o> {
    position: usize,
    id: Cow<'i, str>,
    /// The name of its tool, if it gives one.
    tool: Option<&'o str>,
}

/// By what an output finds its call. Of the open calls with the same key, those of the latest group
/// before the output go first, and of those the first one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<'k> {
    IdAndTool(&'k str, &'k str),
    Id(&'k str),
    Tool(&'k str),
    Order,
    /// Of calls without an id.
    ToolWithoutId(&'k str),
    OrderWithoutId,
}

/// A way in which outputs find their calls.
struct Way {
    of_call: for<'k> fn(&'k Call<'_>) -> Option<Key<'k>>,
    of_outcome: for<'k> fn(&'k ToolOutput<'_, '_>) -> Option<Key<'k>>,
}

/// The surest first.
const WAYS: [Way; 7] = [
    Way {
        of_call: |call| Some(Key::IdAndTool(&call.id, call.tool)),
        of_outcome: |outcome| Some(Key::IdAndTool(&outcome.id, outcome.tool?)),
    },
    Way {
        of_call: |call| Some(Key::Id(&call.id)),
        of_outcome: |outcome| (!outcome.id.is_empty()).then_some(Key::Id(&outcome.id)),
    },
    Way {
        of_call: |call| Some(Key::Tool(call.tool)),
        of_outcome: |outcome| outcome.id.is_empty().then_some(Key::Tool(outcome.tool?)),
    },
    // The name of the tool in the place of the id.
    Way {
        of_call: |call| Some(Key::Tool(call.tool)),
        of_outcome: |outcome| (!outcome.id.is_empty()).then_some(Key::Tool(&outcome.id)),
    },
    Way {
        of_call: |call| (!call.has_id).then_some(Key::ToolWithoutId(call.tool)),
        of_outcome: |outcome| Some(Key::ToolWithoutId(outcome.tool?)),
    },
    Way {
        of_call: |_| Some(Key::Order),
        of_outcome: |outcome| {
            (outcome.id.is_empty() && outcome.tool.is_none()).then_some(Key::Order)
        },
    },
    Way {
        of_call: |call| (!call.has_id).then_some(Key::OrderWithoutId),
        of_outcome: |outcome| outcome.tool.is_none().then_some(Key::OrderWithoutId),
    },
];

/// Gives every output to a call where there is one; the positions of the rest are returned.
fn match_outputs(
    items: &[Item<'_>],
    origins: &[Origin<'_>],
    calls: &mut [Call<'_>],
) -> BTreeSet<usize> {
    let tools: HashSet<&str> = calls.iter().map(|call| call.tool).collect();
    let mut unbound: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(position, item)| {
            let id = fitting_id(outcome_id(item)?);
            // The name may stand in the place of the id.
            let own = Some(origins[position].tool).filter(|tool| !tool.is_empty());
            let tool = own.or_else(|| tools.get(&*id).copied().filter(|tool| !tool.is_empty()));
            Some(ToolOutput { position, id, tool })
        })
        .collect();
    for way in WAYS {
        if unbound.is_empty() {
            break;
        }
        // Most conversations need one way only.
        if unbound.iter().any(|outcome| (way.of_outcome)(outcome).is_some()) {
            bind_by(&way, calls, &mut unbound);
        }
    }
    bind_earlier(calls, &mut unbound);
    unbound.into_iter().map(|outcome| outcome.position).collect()
}

/// Calls without an output, as pairs of group and index, so that the latest group is at the end.
type Open = BTreeSet<(usize, usize)>;

/// Binds what can be bound in this way.
fn bind_by(way: &Way, calls: &mut [Call<'_>], unbound: &mut Vec<ToolOutput<'_, '_>>) {
    let mut bindings = Vec::new();
    {
        let mut open: HashMap<Key<'_>, Open> = HashMap::new();
        let mut coming = calls.iter().enumerate().peekable();
        for (index, outcome) in unbound.iter().enumerate() {
            steps::count(1);
            while let Some((number, call)) =
                coming.next_if(|(_, call)| call.position < outcome.position)
            {
                steps::count(1);
                if call.outcome.is_none()
                    && let Some(key) = (way.of_call)(call)
                {
                    open.entry(key).or_default().insert((call.group, number));
                }
            }
            let same = (way.of_outcome)(outcome).and_then(|key| open.get_mut(&key));
            let Some(same) = same else { continue };
            let Some(found) = first_of_latest_group(same) else { continue };
            same.remove(&found);
            bindings.push((found.1, index));
        }
    }
    let mut is_bound = vec![false; unbound.len()];
    for (call, index) in bindings {
        calls[call].outcome = Some(unbound[index].position);
        is_bound[index] = true;
    }
    let mut is_bound = is_bound.into_iter();
    unbound.retain(|_| !is_bound.next().unwrap_or(false));
}

/// Binds outputs that stand before the calls of their ids.
fn bind_earlier(calls: &mut [Call<'_>], unbound: &mut Vec<ToolOutput<'_, '_>>) {
    let mut open: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (number, call) in calls.iter().enumerate().filter(|(_, call)| call.outcome.is_none()) {
        open.entry(call.id.clone()).or_default().push_back(number);
    }
    unbound.retain(|outcome| {
        let Some(same_id) = open.get_mut(&*outcome.id) else { return true };
        // Outputs come in order, so that a call before this one is before all that follow.
        while same_id.front().is_some_and(|&call| calls[call].position < outcome.position) {
            steps::count(1);
            same_id.pop_front();
        }
        let Some(call) = same_id.pop_front() else { return true };
        calls[call].outcome = Some(outcome.position);
        false
    });
}

fn first_of_latest_group(open: &Open) -> Option<(usize, usize)> {
    let (latest, _) = *open.last()?;
    open.range((latest, 0)..).next().copied()
}

/// Writes the items anew: every turn with calls is followed by their outputs, in the calls' order.
fn rebuild<'v>(
    items: Vec<Item<'v>>,
    origins: &[Origin<'_>],
    calls: &[Call<'_>],
    orphans: &BTreeSet<usize>,
) -> (Vec<Item<'v>>, Vec<usize>) {
    let mut slots: Vec<Option<Item<'v>>> = items.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(slots.len() + calls.len());
    let mut sources = Vec::with_capacity(slots.len() + calls.len());
    let mut ids = Ids::default();
    let mut next_call = calls.iter().peekable();
    let mut outcomes = Vec::new();
    let mut outcome_sources = Vec::new();
    for position in 0..slots.len() {
        steps::count(1);
        if let Some(call) = next_call.next_if(|call| call.position == position) {
            let id = unique_id(&call.id, &mut ids);
            if let Some(item) = slots[position].take() {
                let outcome = call.outcome.and_then(|outcome| slots[outcome].take());
                outcomes.push(outcome_of(&item, &id, outcome));
                outcome_sources.push(origins[call.outcome.unwrap_or(position)].message);
                out.push(with_id(item, id));
            }
        } else if orphans.contains(&position) {
            out.extend(slots[position].take().and_then(as_message));
        } else if slots[position].as_ref().is_some_and(|item| outcome_id(item).is_none()) {
            out.extend(slots[position].take());
        }
        sources.resize(out.len(), origins[position].message);
        // An output that is bound is written behind the turn of its call, wherever it stood.
        let message = |position: usize| origins.get(position).map(|origin| origin.message);
        if message(position + 1) != message(position) {
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

/// Ids in use, and the number that was last put behind each stem: some hosts begin anew with every
/// turn, so that a long history has the same id a thousand times, and ids of full length may have
/// one stem.
#[derive(Default)]
struct Ids {
    used: HashSet<String>,
    numbers: HashMap<String, usize>,
}

/// How much of an id is left in front of the number that makes it unique.
const MAX_STEM: usize = MAX_ID - 8;

/// The id, with a number behind it if an earlier call has it already.
fn unique_id(id: &str, ids: &mut Ids) -> String {
    if ids.used.insert(id.to_owned()) {
        return id.to_owned();
    }
    let stem: String = id.chars().take(MAX_STEM).collect();
    let number = ids.numbers.entry(stem.clone()).or_insert(1);
    loop {
        steps::count(1);
        *number += 1;
        let candidate = format!("{stem}_{number}");
        if ids.used.insert(candidate.clone()) {
            return candidate;
        }
    }
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

/// The output in the form that fits the call's kind, which the call alone decides.
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

/// What is left of an output whose call is gone: a message that says so; nothing if it is empty.
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
