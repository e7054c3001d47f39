//! The turn of an answer as it may be sent back: its output items, and what the client got of them.

use std::borrow::Cow;

use super::turn::Turn;
use crate::responses::event;
use crate::responses::lenient::LenientStr;
use crate::responses::request::{Item, Json, Part, Role, Summary};

/// Gathers the output items of an answer.
#[derive(Debug, Default)]
pub struct TurnRecorder {
    items: Vec<Item<'static>>,
    /// Whether there was something that cannot be sent back: the rest may not stand without it.
    is_partial: bool,
}

/// What the client got: its text, and the ids of its calls.
#[derive(Debug, Default)]
pub struct Emitted {
    /// All of the content.
    pub text: String,
    /// The id of each call, in order.
    pub calls: Vec<String>,
}

impl TurnRecorder {
    /// Forgets the items: the last event tells all of them.
    pub fn restart(&mut self) {
        self.items.clear();
        self.is_partial = false;
    }

    /// The items are not all there are, or not in their order.
    pub fn forget(&mut self) {
        self.is_partial = true;
    }

    /// One more item that is done.
    pub fn item(&mut self, item: &event::Item<'_>) {
        let is_bare = item.encrypted_content.as_deref().is_none_or(str::is_empty);
        if item.kind.as_deref() == Some("reasoning") && is_bare {
            // Without its encrypted form it cannot be replayed, and is not needed.
            return;
        }
        match sendable(item) {
            Some(item) => self.items.push(item),
            None if can_be_left_out(item) => {}
            None => self.is_partial = true,
        }
    }

    /// The turn, if it can be replayed and the client knows exactly its tool calls.
    pub fn turn(&self, emitted: &Emitted) -> Option<Turn> {
        let calls = self.items.iter().filter_map(|item| match item {
            Item::FunctionCall { call_id, .. } | Item::CustomToolCall { call_id, .. } => {
                Some(&**call_id)
            }
            _ => None,
        });
        if self.is_partial || !calls.eq(emitted.calls.iter().map(String::as_str)) {
            return None;
        }
        let turn = Turn { items: self.items.clone(), text: emitted.text.clone(), turn_state: None };
        turn.is_worth_remembering().then_some(turn)
    }

    /// The sealed reasoning, each with its position among the items.
    pub fn sealed_reasoning(&self) -> impl Iterator<Item = (usize, &str)> {
        self.items.iter().enumerate().filter_map(|(position, item)| match item {
            Item::Reasoning { encrypted_content, .. } => Some((position, &**encrypted_content)),
            _ => None,
        })
    }
}

/// Whether the turn is the same for the model without this item: pictures come back with the
/// client's message, and what is unknown here is not missed as much as the rest of the turn.
fn can_be_left_out(item: &event::Item<'_>) -> bool {
    !matches!(
        item.kind.as_deref(),
        None | Some("message" | "function_call" | "custom_tool_call" | "web_search_call")
    )
}

/// The item as it is sent back; nothing if it cannot be.
fn sendable(item: &event::Item<'_>) -> Option<Item<'static>> {
    let owned = |text: &LenientStr<'_>| Some(Cow::Owned(text.as_deref()?.to_owned()));
    match item.kind.as_deref()? {
        "message" => message(item),
        "reasoning" => Some(Item::Reasoning {
            summary: summaries(item),
            encrypted_content: owned(&item.encrypted_content)?,
        }),
        "web_search_call" => Some(Item::WebSearchCall {
            id: owned(&item.id),
            // It has come to its end, or the turn would not be told.
            status: "completed".into(),
            action: item.action.map(|action| Json(action.to_owned())),
        }),
        "function_call" => Some(Item::FunctionCall {
            call_id: owned(&item.call_id)?,
            name: owned(&item.name)?,
            arguments: owned(&item.arguments)?,
        }),
        "custom_tool_call" => Some(Item::CustomToolCall {
            call_id: owned(&item.call_id)?,
            name: owned(&item.name)?,
            input: owned(&item.input)?,
        }),
        _ => None,
    }
}

/// A message of nothing but text.
fn message(item: &event::Item<'_>) -> Option<Item<'static>> {
    let parts = item.content().iter().map(|part| match part.kind.as_deref() {
        Some("output_text") => {
            Some(Part::OutputText { text: part.text.as_deref()?.to_owned().into() })
        }
        _ => None,
    });
    let content = parts.collect::<Option<Vec<_>>>()?;
    Some(Item::Message { role: Role::Assistant, phase: item.phase(), content })
}

fn summaries(item: &event::Item<'_>) -> Vec<Summary<'static>> {
    item.summary()
        .iter()
        .filter_map(|part| Some(Summary { text: part.text.as_deref()?.to_owned().into() }))
        .collect()
}
