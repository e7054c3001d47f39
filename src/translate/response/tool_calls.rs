//! Tool calls.
//!
//! Tool calls are emitted one after another: the parts of a later call are held back until the
//! earlier one is complete, since some clients mix up interleaved calls.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::text::{TextAccumulator, TextUpdate};
use crate::chat::delta::{CallKind, Delta, Sink};
use crate::responses::event::Item;
use crate::responses::lenient::BoundedVec;
use crate::translate::plan::Plan;

/// The most characters of a response's id in an id that is made of it: the backend takes 64.
const MAX_STEM: usize = 48;

/// The calls of an answer.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Call>,
    /// What ids are made of where the backend gives none; empty until the backend has named the
    /// response.
    stem: String,
    /// The first call that is not fully emitted.
    current: usize,
    /// How many calls the client knows of.
    opened: usize,
}

/// The client has got something else.
#[derive(Debug)]
pub(super) struct Contradiction;

/// The answer is reported as complete, but the text of a call is not.
#[derive(Debug)]
pub(super) struct Unfinished;

#[derive(Debug)]
struct Call {
    id: String,
    /// The id as the backend told it; empty if it did not.
    upstream_id: String,
    /// As the client spells it; empty until the backend has told it.
    name: String,
    form: Form,
    text: TextAccumulator,
    /// What the call began with. It may be all, the beginning, or a mere placeholder.
    first: String,
    /// How many bytes of the text the client has got.
    emitted: usize,
    /// Where the pieces end that the text came in and that are not told yet.
    pieces: Vec<usize>,
    /// The client's index, once it knows of the call.
    index: Option<usize>,
    /// Nothing more is expected of it.
    is_complete: bool,
    /// The backend has given the whole text.
    is_whole: bool,
}

/// How a call is emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it arrives.
    Live(CallKind),
    /// A wrapper of several calls, which models sometimes invent: at its end, one by one.
    ParallelWrapper,
    /// Not at all: the deprecated form has room for one call.
    Suppressed,
}

impl Calls {
    /// Takes the response's id, which no other answer has, as the stem of the ids that are made
    /// here.
    pub(super) fn name_after(&mut self, response: &str) {
        if self.stem.is_empty() {
            let unique = response.trim_start_matches("resp_").chars();
            let legal = unique.filter(char::is_ascii_alphanumeric).take(MAX_STEM);
            self.stem = legal.collect();
        }
    }

    /// A call of which nothing but its place is known yet.
    pub(super) fn add(&mut self) -> usize {
        self.list.push(Call {
            id: String::new(),
            upstream_id: String::new(),
            name: String::new(),
            form: Form::Live(CallKind::Function),
            text: TextAccumulator::default(),
            first: String::new(),
            emitted: 0,
            pieces: Vec::new(),
            index: None,
            is_complete: false,
            is_whole: false,
        });
        self.list.len() - 1
    }

    /// Whether the call may be the one that `item` tells of.
    pub(super) fn matches(&self, call: usize, item: &Item<'_>) -> bool {
        let known = &self.list[call].upstream_id;
        known.is_empty() || item.call_id.as_deref().is_none_or(|id| id.is_empty() || id == known)
    }

    /// Whether the call may be the one that `item` tells of at last.
    pub(super) fn agrees(&self, call: usize, item: &Item<'_>, plan: &Plan) -> bool {
        let known = &self.list[call];
        let name = item.name.as_deref().unwrap_or_default();
        self.matches(call, item)
            && (name.is_empty() || known.name.is_empty() || known.name == plan.originals.of(name))
            && known.text.agrees_with(text_of(item).unwrap_or_default())
    }

    /// The call's id, as the backend told it.
    pub(super) fn upstream_id(&self, call: usize) -> &str {
        &self.list[call].upstream_id
    }

    /// What the backend says of the call: its id, its name and its kind. What it says at last
    /// counts.
    pub(super) fn describe(
        &mut self,
        call: usize,
        item: &Item<'_>,
        plan: &Plan,
    ) -> Result<(), Contradiction> {
        let is_first = call == 0;
        let number = call;
        let call = &mut self.list[call];
        let Some(name) = item.name.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(());
        };
        let original = plan.originals.of(name);
        if call.upstream_id.is_empty() && call.index.is_none() {
            item.call_id.as_deref().unwrap_or_default().clone_into(&mut call.upstream_id);
            call.id = match call.upstream_id.as_str() {
                "" if self.stem.is_empty() => format!("call_{number}"),
                "" => format!("call_{}_{number}", self.stem),
                told => told.to_owned(),
            };
        }
        if call.name == original {
            return Ok(());
        }
        let is_known = call.index.is_some();
        original.clone_into(&mut call.name);
        let is_custom = item.kind.as_deref() == Some("custom_tool_call");
        let is_declared = plan.functions.contains(&call.name);
        call.form = if plan.legacy_functions {
            if is_first { Form::Live(CallKind::Legacy) } else { Form::Suppressed }
        } else if is_custom && plan.custom_tools.contains(&call.name) {
            Form::Live(CallKind::Custom)
        } else if !is_declared && matches!(name, "parallel" | "multi_tool_use.parallel") {
            Form::ParallelWrapper
        } else {
            Form::Live(CallKind::Function)
        };
        if is_known { Err(Contradiction) } else { Ok(()) }
    }

    /// The text that a call begins with. Usually there is none. A JSON text that is whole is a
    /// placeholder if anything follows it.
    pub(super) fn begin_text(&mut self, call: usize, text: &str) {
        let call = &mut self.list[call];
        if call.text.is_empty() && !call.is_complete {
            text.clone_into(&mut call.first);
        }
    }

    /// More of a call's arguments.
    pub(super) fn append(&mut self, call: usize, delta: &str, sink: &mut impl Sink) {
        if delta.is_empty() {
            return;
        }
        let is_current = call == self.current;
        let call = &mut self.list[call];
        if !call.first.is_empty() {
            let first = std::mem::take(&mut call.first);
            if !is_json(&first) {
                call.text.append(&first);
            }
        }
        call.text.append(delta);
        if let (Form::Live(kind), Some(index), true) = (call.form, call.index, is_current) {
            sink.delta(Delta::Arguments { index, text: &call.text.as_str()[call.emitted..], kind });
            call.emitted = call.text.len();
        } else {
            call.pieces.push(call.text.len());
        }
    }

    /// All of a call's arguments.
    pub(super) fn complete_text(&mut self, call: usize, whole: &str) -> Result<(), Contradiction> {
        let call = &mut self.list[call];
        if whole.is_empty() {
            call.is_whole |= call.text.is_empty() && call.first.is_empty();
            return Ok(());
        }
        call.first.clear();
        call.is_whole = true;
        let agrees = whole.as_bytes().starts_with(&call.text.as_str().as_bytes()[..call.emitted]);
        if call.text.complete(whole) == TextUpdate::Other {
            call.pieces.clear();
        }
        if agrees {
            return Ok(());
        }
        // Nothing can follow what the client has got.
        call.emitted = call.text.len();
        Err(Contradiction)
    }

    /// Nothing more comes of the call.
    pub(super) fn complete(&mut self, call: usize) {
        let call = &mut self.list[call];
        call.is_complete = true;
        call.take_first();
        // Nothing was said of arguments: there are none.
        call.is_whole |= call.text.is_empty();
    }

    /// Whether the client is to know of the call.
    pub(super) fn is_made(&self, call: usize) -> bool {
        let call = &self.list[call];
        !call.name.is_empty() && call.form != Form::Suppressed
    }

    /// How much text all calls have.
    pub(super) fn bytes(&self) -> usize {
        self.list.iter().map(|call| call.text.len()).sum()
    }

    /// How much is known of a call's text.
    pub(super) fn text_len(&self, call: usize) -> usize {
        self.list[call].text.len()
    }

    /// Whether there is anything to emit.
    pub(super) fn has_pending(&self) -> bool {
        self.list.get(self.current).is_some_and(|call| {
            !call.name.is_empty()
                && (call.index.is_none() || call.emitted < call.text.len() || call.is_complete)
        })
    }

    /// Emits what can be emitted.
    pub(super) fn emit(&mut self, plan: &Plan, sink: &mut impl Sink) {
        while let Some(call) = self.list.get_mut(self.current) {
            if call.name.is_empty() {
                return;
            }
            match call.form {
                Form::Live(kind) => {
                    let index = call.open(kind, &mut self.opened, sink);
                    if call.is_complete && call.text.is_empty() && kind != CallKind::Custom {
                        // Clients parse the arguments: no arguments are an empty object.
                        call.text.append("{}");
                    }
                    for end in call.pieces.drain(..).chain([call.text.len()]) {
                        let text = &call.text.as_str()[call.emitted..end];
                        if !text.is_empty() {
                            sink.delta(Delta::Arguments { index, text, kind });
                            call.emitted = end;
                        }
                    }
                }
                Form::ParallelWrapper if call.is_complete => {
                    call.unwrap_parallel(plan, &mut self.opened, sink);
                }
                Form::ParallelWrapper | Form::Suppressed => {}
            }
            if !call.is_complete {
                return;
            }
            self.current += 1;
        }
    }

    /// The answer is over. If `is_whole`, it is said to be complete: then the text of every call
    /// must be. Otherwise what was cut short stays as it is.
    pub(super) fn finish(
        &mut self,
        is_whole: bool,
        plan: &Plan,
        sink: &mut impl Sink,
    ) -> Result<(), Unfinished> {
        for call in &mut self.list {
            if !call.is_complete {
                call.take_first();
                call.is_complete = is_whole || !call.text.is_empty();
            }
        }
        let is_made = |call: &Call| !call.name.is_empty() && call.form != Form::Suppressed;
        if is_whole && self.list.iter().any(|call| is_made(call) && !call.is_finished()) {
            return Err(Unfinished);
        }
        // A call without a name cannot be made.
        while self.current < self.list.len() {
            self.emit(plan, sink);
            let Some(call) = self.list.get(self.current) else { break };
            if !call.name.is_empty() && !call.is_complete {
                break;
            }
            self.current += 1;
        }
        Ok(())
    }

    /// Emits all calls again, in this order.
    pub(super) fn emit_again(&mut self, order: &[usize], plan: &Plan) {
        let mut places = vec![usize::MAX; self.list.len()];
        for (place, &call) in order.iter().enumerate() {
            places[call] = place;
        }
        let mut list: Vec<_> = places.into_iter().zip(std::mem::take(&mut self.list)).collect();
        list.sort_by_key(|(place, _)| *place);
        self.list = list.into_iter().map(|(_, call)| call).collect();
        self.current = 0;
        self.opened = 0;
        for (place, call) in self.list.iter_mut().enumerate() {
            call.index = None;
            call.emitted = 0;
            call.pieces.clear();
            if plan.legacy_functions {
                call.form =
                    if place == 0 { Form::Live(CallKind::Legacy) } else { Form::Suppressed };
            }
        }
    }

    /// Whether the client knows of any call.
    pub(super) fn any_emitted(&self) -> bool {
        self.opened > 0
    }
}

impl Call {
    /// What the call began with is its text, if nothing followed.
    fn take_first(&mut self) {
        let first = std::mem::take(&mut self.first);
        if self.text.is_empty() {
            self.text.append(&first);
        }
    }

    /// Whether the text is whole: the backend said so, or it can be seen.
    fn is_finished(&self) -> bool {
        self.is_whole || self.form == Form::Live(CallKind::Custom) || is_json(self.text.as_str())
    }

    /// Emits the beginning of the call once, and returns its index.
    fn open(&mut self, kind: CallKind, opened: &mut usize, sink: &mut impl Sink) -> usize {
        if let Some(index) = self.index {
            return index;
        }
        let index = *opened;
        *opened += 1;
        self.index = Some(index);
        sink.delta(Delta::Call { index, id: &self.id, name: &self.name, kind });
        index
    }

    fn emit_whole(&mut self, arguments: &str, opened: &mut usize, sink: &mut impl Sink) {
        let kind = CallKind::Function;
        let index = self.open(kind, opened, sink);
        sink.delta(Delta::Arguments { index, text: arguments, kind });
    }

    /// Emits the calls within a wrapper, or the wrapper itself if it contains no valid ones.
    fn unwrap_parallel(&mut self, plan: &Plan, opened: &mut usize, sink: &mut impl Sink) {
        #[derive(Deserialize)]
        struct Wrapper<'a> {
            #[serde(borrow)]
            tool_uses: BoundedVec<Use<'a>>,
        }
        #[derive(Deserialize)]
        struct Use<'a> {
            recipient_name: String,
            #[serde(borrow)]
            parameters: &'a RawValue,
        }
        impl Use<'_> {
            fn name(&self) -> &str {
                self.recipient_name.strip_prefix("functions.").unwrap_or(&self.recipient_name)
            }
        }
        let text = std::mem::take(&mut self.text);
        self.emitted = text.len();
        let is_useful = |uses: &[Use<'_>]| {
            !uses.is_empty() && uses.iter().all(|inner| !inner.name().is_empty())
        };
        match serde_json::from_str::<Wrapper<'_>>(text.as_str()) {
            Ok(wrapper) if is_useful(&wrapper.tool_uses.0) => {
                let kind = CallKind::Function;
                for (number, inner) in wrapper.tool_uses.0.iter().enumerate() {
                    let name = plan.originals.of(inner.name());
                    let index = *opened;
                    *opened += 1;
                    let id = format!("{}_{number}", self.id);
                    sink.delta(Delta::Call { index, id: &id, name, kind });
                    sink.delta(Delta::Arguments { index, text: inner.parameters.get(), kind });
                }
            }
            _ => self.emit_whole(text.as_str(), opened, sink),
        }
        self.text = text;
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The arguments or the input of a call.
pub(super) fn text_of<'i>(item: &'i Item<'_>) -> Option<&'i str> {
    item.arguments.as_deref().or(item.input.as_deref())
}
