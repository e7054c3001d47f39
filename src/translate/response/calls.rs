//! Tool calls.
//!
//! Calls are told one after another: what comes of a later call while an earlier one is under way
//! is kept until that is complete, since some clients mix up calls that are told in turns.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::texts::Text;
use crate::chat::delta::{CallKind, Delta, Sink};
use crate::responses::event::Item;
use crate::responses::lax::Few;
use crate::translate::plan::Plan;

/// The calls of an answer.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Call>,
    /// The first call that is not told to its end.
    current: usize,
    /// How many calls the client knows of.
    opened: usize,
}

#[derive(Debug)]
struct Call {
    id: String,
    /// The id as the backend told it; empty if it did not.
    told_id: String,
    /// As the client spells it; empty until the backend has told it.
    name: String,
    form: Form,
    text: Text,
    /// Pieces that are not told yet.
    pending: Vec<String>,
    /// The client's index, once it knows of the call.
    index: Option<usize>,
    is_complete: bool,
}

/// How a call is told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it comes.
    Live(CallKind),
    /// Several calls in one, which models sometimes make up: at its end, one by one.
    Several,
    /// Not at all: the deprecated form has room for one call.
    Silent,
}

impl Calls {
    /// A call of which nothing but its place is known yet.
    pub(super) fn add(&mut self) -> usize {
        self.list.push(Call {
            id: String::new(),
            told_id: String::new(),
            name: String::new(),
            form: Form::Live(CallKind::Function),
            text: Text::default(),
            pending: Vec::new(),
            index: None,
            is_complete: false,
        });
        self.list.len() - 1
    }

    /// Whether the call may be the one that `item` tells of.
    pub(super) fn matches(&self, call: usize, item: &Item<'_>) -> bool {
        let known = &self.list[call].told_id;
        known.is_empty() || item.call_id.as_deref().is_none_or(|id| id.is_empty() || id == known)
    }

    /// What the backend says of the call: its id, its name and its kind.
    pub(super) fn describe(&mut self, call: usize, item: &Item<'_>, plan: &Plan) {
        let is_first = call == 0;
        let number = call;
        let call = &mut self.list[call];
        if !call.name.is_empty() {
            return;
        }
        let Some(name) = item.name.as_deref().filter(|name| !name.is_empty()) else { return };
        plan.originals.of(name).clone_into(&mut call.name);
        item.call_id.as_deref().unwrap_or_default().clone_into(&mut call.told_id);
        call.id = match call.told_id.as_str() {
            "" => format!("call_{number}"),
            told => told.to_owned(),
        };
        let is_custom = item.kind.as_deref() == Some("custom_tool_call");
        let is_declared = plan.functions.contains(&call.name);
        call.form = if plan.legacy_functions {
            if is_first { Form::Live(CallKind::Legacy) } else { Form::Silent }
        } else if is_custom && plan.custom_tools.contains(&call.name) {
            Form::Live(CallKind::Custom)
        } else if !is_declared && matches!(name, "parallel" | "multi_tool_use.parallel") {
            Form::Several
        } else {
            Form::Live(CallKind::Function)
        };
    }

    /// More of a call's arguments.
    pub(super) fn append(&mut self, call: usize, delta: &str, sink: &mut impl Sink) {
        if delta.is_empty() {
            return;
        }
        let is_current = call == self.current;
        let call = &mut self.list[call];
        call.text.append(delta);
        match (call.form, call.index) {
            (Form::Live(kind), Some(index)) if is_current => {
                sink.delta(Delta::Arguments { index, text: delta, kind });
            }
            _ => call.pending.push(delta.to_owned()),
        }
    }

    /// All of a call's arguments.
    pub(super) fn complete_text(&mut self, call: usize, whole: &str) {
        let call = &mut self.list[call];
        let missing = call.text.complete(whole);
        if !missing.is_empty() {
            call.pending.push(missing.to_owned());
        }
    }

    /// Nothing more comes of the call.
    pub(super) fn complete(&mut self, call: usize) {
        self.list[call].is_complete = true;
    }

    /// Whether there is anything to tell.
    pub(super) fn has_news(&self) -> bool {
        self.list.get(self.current).is_some_and(|call| {
            !call.name.is_empty()
                && (call.index.is_none() || !call.pending.is_empty() || call.is_complete)
        })
    }

    /// Tells what can be told.
    pub(super) fn tell(&mut self, plan: &Plan, sink: &mut impl Sink) {
        while let Some(call) = self.list.get_mut(self.current) {
            if call.name.is_empty() {
                return;
            }
            match call.form {
                Form::Live(kind) => {
                    let index = call.open(kind, &mut self.opened, sink);
                    if call.is_complete && call.text.as_str().is_empty() {
                        // Clients parse the arguments: no arguments are an empty object.
                        call.text.append("{}");
                        call.pending.push("{}".to_owned());
                    }
                    for text in call.pending.drain(..) {
                        sink.delta(Delta::Arguments { index, text: &text, kind });
                    }
                }
                Form::Several if call.is_complete => call.expand(plan, &mut self.opened, sink),
                Form::Several | Form::Silent => {}
            }
            if !call.is_complete {
                return;
            }
            self.current += 1;
        }
    }

    /// The answer is over. `is_whole` tells whether calls may be taken for complete: arguments
    /// that were cut short stay as they are.
    pub(super) fn finish(&mut self, is_whole: bool, plan: &Plan, sink: &mut impl Sink) {
        // A call without a name cannot be made.
        self.list.retain(|call| !call.name.is_empty() || call.index.is_some());
        self.current = self.current.min(self.list.len());
        for call in &mut self.list[self.current..] {
            let has_text = !call.text.as_str().is_empty();
            call.is_complete |= is_whole || has_text;
        }
        self.tell(plan, sink);
    }

    /// Whether the client knows of any call.
    pub(super) fn any_told(&self) -> bool {
        self.opened > 0
    }
}

impl Call {
    /// Tells the client of the call, once, and gives its index.
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

    fn tell_whole(&mut self, arguments: &str, opened: &mut usize, sink: &mut impl Sink) {
        let kind = CallKind::Function;
        let index = self.open(kind, opened, sink);
        sink.delta(Delta::Arguments { index, text: arguments, kind });
    }

    /// Tells the calls within a call, or the call itself if it holds none that can be read.
    fn expand(&mut self, plan: &Plan, opened: &mut usize, sink: &mut impl Sink) {
        #[derive(Deserialize)]
        struct Wrapper<'a> {
            #[serde(borrow)]
            tool_uses: Few<Use<'a>>,
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
            _ => self.tell_whole(text.as_str(), opened, sink),
        }
    }
}
