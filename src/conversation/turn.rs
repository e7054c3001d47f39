//! A turn of the model, and how it is found again.
//!
//! Chat clients cannot carry the encrypted reasoning of an answer. A finished turn is remembered as
//! the backend sent it, and found again when a later request repeats it: by the id of its first
//! tool call, or by its text and everything before it. It replaces the client's version only if
//! text and tool calls are the same.
//!
//! This module defines what is remembered and its keys; storing it is done elsewhere.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::json_digest;
use crate::responses::request::{Item, Output, Part, Role};

/// A finished turn of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The output items in order, as they are sent back.
    pub items: Vec<Item<'static>>,
    /// The text as sent to the client.
    pub text: String,
    /// The token that pins the rest of a tool loop to a machine (`x-codex-turn-state`).
    pub turn_state: Option<String>,
}

/// The key of a turn, within one account and model family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

/// Finds turns.
pub trait TurnStore {
    /// The turn of this key. A miss is remembered, too: a turn that was once sent without replay
    /// must not change afterwards, or the cached prefix is lost.
    fn recall(&self, key: Key) -> Option<Arc<Turn>>;
}

#[derive(Debug, Clone, Copy)]
struct Nothing;

impl TurnStore for Nothing {
    fn recall(&self, _: Key) -> Option<Arc<Turn>> {
        None
    }
}

/// The memory as used for a conversation.
#[derive(Clone)]
pub struct ReplaySource<'m> {
    /// Whose turns count.
    pub scope: Scope,
    /// Where they are kept.
    pub memory: &'m dyn TurnStore,
}

impl ReplaySource<'_> {
    /// Nothing is remembered.
    pub fn unknown() -> Self {
        Self { scope: Scope::default(), memory: &Nothing }
    }
}

/// The scope of turns: encrypted reasoning is bound to the account and the model family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    account: String,
    family: String,
}

impl Scope {
    /// The scope of an account and a model.
    pub fn new(account: &str, model: &str) -> Self {
        Self { account: account.to_owned(), family: family(model).to_owned() }
    }

    fn hash(&self, kind: &str) -> Xxh3 {
        let mut hash = Xxh3::new();
        for part in [kind, &self.account, &self.family] {
            add(&mut hash, part);
        }
        hash
    }

    /// The key of a turn with tool calls. Ids are the backend's own and unique.
    pub fn key_of_call(&self, call_id: &str) -> Key {
        let mut hash = self.hash("call");
        add(&mut hash, call_id);
        Key(hash.digest128())
    }

    /// The key of a turn without tool calls, including everything before it.
    pub fn key_of_text(&self, history: u128, text: &str) -> Key {
        let mut hash = self.hash("text");
        hash.update(&history.to_le_bytes());
        add(&mut hash, spoken(text));
        Key(hash.digest128())
    }
}

/// `gpt-5.6` of `gpt-5.6-sol`: models of one family can decrypt each other's reasoning.
fn family(model: &str) -> &str {
    let end = model.match_indices('-').nth(1).map_or(model.len(), |(at, _)| at);
    &model[..end]
}

fn add(hash: &mut Xxh3, text: &str) {
    hash.update(&text.len().to_le_bytes());
    hash.update(text.as_bytes());
}

/// A digest of a conversation: equal for equal histories, independent of formatting.
#[derive(Clone, Default)]
pub struct History(Xxh3);

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("History").finish_non_exhaustive()
    }
}

impl History {
    /// One more item of the conversation, as the client has it.
    pub fn add(&mut self, item: &Item<'_>) {
        let hash = &mut self.0;
        match item {
            Item::Message { role, content, .. } => {
                add(
                    hash,
                    match role {
                        Role::Developer => "developer",
                        Role::User => "user",
                        Role::Assistant => "assistant",
                    },
                );
                for (index, part) in content.iter().enumerate() {
                    match part {
                        Part::OutputText { text } if index == 0 => add(hash, without_think(text)),
                        _ => add_part(hash, part),
                    }
                }
            }
            Item::FunctionCall { call_id, name, arguments } => {
                for text in ["call", call_id, name] {
                    add(hash, text);
                }
                hash.update(&json_digest(arguments).to_le_bytes());
            }
            Item::CustomToolCall { call_id, name, input } => {
                for text in ["custom", call_id, name, input] {
                    add(hash, text);
                }
            }
            Item::FunctionCallOutput { call_id, output }
            | Item::CustomToolCallOutput { call_id, output } => {
                add(hash, "output");
                add(hash, call_id);
                match output {
                    Output::Text(text) => add(hash, text),
                    Output::Parts(parts) => {
                        for part in parts {
                            add_part(hash, part);
                        }
                    }
                }
            }
            // Clients cannot carry these items.
            Item::Reasoning { .. } | Item::WebSearchCall { .. } => {}
        }
        hash.update(&[0xFF]);
    }

    /// A digest of all so far.
    pub fn digest(&self) -> u128 {
        self.0.digest128()
    }
}

fn add_part(hash: &mut Xxh3, part: &Part<'_>) {
    match part {
        Part::InputText { text } | Part::OutputText { text } => add(hash, text),
        Part::Refusal { refusal } => {
            add(hash, "refusal");
            add(hash, refusal);
        }
        Part::InputImage { image_url, .. } => {
            add(hash, "image");
            add(hash, image_url);
        }
        Part::InputFile { filename, file_data, file_url } => {
            add(hash, "file");
            for text in [filename, file_data, file_url].into_iter().flatten() {
                add(hash, text);
            }
        }
    }
}

impl Turn {
    /// Whether the client repeats exactly this turn: its text, and its calls with their ids,
    /// names and arguments. `plain` is the turn as the client has it.
    pub fn is_repeated_by(&self, plain: &[Item<'_>]) -> bool {
        spoken(&text_of(plain)) == spoken(&self.text) && calls(&self.items).eq(calls(plain))
    }

    /// Whether the turn is worth remembering and safe to replay: it contains something that chat
    /// clients cannot carry, and reasoning is followed by its result.
    pub fn is_worth_remembering(&self) -> bool {
        let has_secrets = self.items.iter().any(|item| {
            matches!(
                item,
                Item::Reasoning { .. }
                    | Item::WebSearchCall { .. }
                    | Item::Message { phase: Some(_), .. }
            )
        });
        has_secrets && !matches!(self.items.last(), None | Some(Item::Reasoning { .. }))
    }

    /// The id of its first call.
    pub fn first_call(&self) -> Option<&str> {
        self.items.iter().find_map(|item| match item {
            Item::FunctionCall { call_id, .. } | Item::CustomToolCall { call_id, .. } => {
                Some(&**call_id)
            }
            _ => None,
        })
    }

    /// About how many bytes it takes up.
    pub fn size(&self) -> usize {
        let items = self.items.iter().map(|item| match item {
            Item::Message { content, .. } => content
                .iter()
                .map(|part| match part {
                    Part::OutputText { text } | Part::InputText { text } => text.len(),
                    Part::Refusal { refusal } => refusal.len(),
                    Part::InputImage { image_url, .. } => image_url.len(),
                    Part::InputFile { file_data, .. } => file_data.as_ref().map_or(0, |d| d.len()),
                } + size_of::<Part<'_>>())
                .sum(),
            Item::WebSearchCall { action, .. } => {
                action.as_ref().map_or(0, |action| action.0.get().len())
            }
            Item::Reasoning { summary, encrypted_content } => {
                let summary = summary.iter().map(|part| part.text.len() + 24);
                encrypted_content.len() + summary.sum::<usize>()
            }
            Item::FunctionCall { call_id, name, arguments: body }
            | Item::CustomToolCall { call_id, name, input: body } => {
                call_id.len() + name.len() + body.len()
            }
            Item::FunctionCallOutput { .. } | Item::CustomToolCallOutput { .. } => 0,
        } + size_of::<Item<'_>>());
        items.sum::<usize>() + self.text.len() + size_of::<Self>()
    }
}

/// The tags around reasoning within the text.
const THINK: (&str, &str) = ("<think>", "</think>");

/// A text without the reasoning at its beginning: clients send it back with or without it.
fn without_think(text: &str) -> &str {
    let rest = text.trim_start().strip_prefix(THINK.0);
    match rest.and_then(|rest| rest.split_once(THINK.1)) {
        Some((_, said)) => said.trim_start(),
        None => text,
    }
}

/// A normalized text: independent of what clients add, strip or trim.
fn spoken(text: &str) -> &str {
    without_think(text).trim()
}

/// The model's text in these items.
pub(crate) fn text_of(items: &[Item<'_>]) -> String {
    let mut texts = String::new();
    for item in items {
        let Item::Message { role: Role::Assistant, content, .. } = item else { continue };
        for part in content {
            if let Part::OutputText { text } = part {
                texts.push_str(text);
            }
        }
    }
    texts
}

/// A call: id, name and arguments or input.
#[derive(Debug, Clone, Copy)]
struct Call<'i> {
    id: &'i str,
    name: &'i str,
    text: &'i str,
    is_json: bool,
}

impl PartialEq for Call<'_> {
    fn eq(&self, other: &Self) -> bool {
        let is_same_text = || {
            self.text == other.text
                || (self.is_json && json_digest(self.text) == json_digest(other.text))
        };
        self.id == other.id
            && self.name == other.name
            && self.is_json == other.is_json
            && is_same_text()
    }
}

fn calls<'i>(items: &'i [Item<'_>]) -> impl Iterator<Item = Call<'i>> {
    items.iter().filter_map(|item| match item {
        Item::FunctionCall { call_id: id, name, arguments: text } => {
            Some(Call { id, name, text, is_json: true })
        }
        Item::CustomToolCall { call_id: id, name, input: text } => {
            Some(Call { id, name, text, is_json: false })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, arguments: &str) -> Item<'static> {
        Item::FunctionCall {
            call_id: id.to_owned().into(),
            name: "f".into(),
            arguments: arguments.to_owned().into(),
        }
    }

    fn said(text: &str, phase: Option<crate::responses::request::Phase>) -> Item<'static> {
        let content = vec![Part::OutputText { text: text.to_owned().into() }];
        Item::Message { role: Role::Assistant, phase, content }
    }

    fn thought() -> Item<'static> {
        Item::Reasoning { summary: Vec::new(), encrypted_content: "sealed".into() }
    }

    #[test]
    fn a_turn_is_repeated_by_the_same_text_and_calls_in_any_spelling() {
        let items = vec![thought(), said("Let me look.", None), call("c1", r#"{"a":1,"b":2}"#)];
        let turn = Turn { items, text: "Let me look.".into(), turn_state: None };
        let plain = |text, id, arguments| [said(text, None), call(id, arguments)];
        assert!(turn.is_repeated_by(&plain(" Let me look.\n", "c1", r#"{ "b": 2, "a": 1 }"#)));
        let thought = "<think>**Plan**\n\nA < b.</think>\n\nLet me look.";
        assert!(turn.is_repeated_by(&plain(thought, "c1", r#"{"a":1,"b":2}"#)));
        assert!(!turn.is_repeated_by(&plain("Let me look!", "c1", r#"{"a":1,"b":2}"#)));
        assert!(!turn.is_repeated_by(&plain("Let me look.", "c2", r#"{"a":1,"b":2}"#)));
        assert!(!turn.is_repeated_by(&plain("Let me look.", "c1", r#"{"a":1,"b":3}"#)));
        assert!(!turn.is_repeated_by(&[said("Let me look.", None)]));
    }

    #[test]
    fn only_what_clients_cannot_carry_is_worth_remembering() {
        use crate::responses::request::Phase;
        let turn = |items| Turn { items, text: String::new(), turn_state: None };
        assert!(turn(vec![thought(), said("x", None)]).is_worth_remembering());
        assert!(turn(vec![said("x", Some(Phase::FinalAnswer))]).is_worth_remembering());
        assert!(!turn(vec![said("x", None)]).is_worth_remembering());
        assert!(!turn(vec![said("x", None), thought()]).is_worth_remembering());
        assert!(!turn(vec![]).is_worth_remembering());
    }

    #[test]
    fn keys_differ_by_account_family_history_and_text() {
        let scope = Scope::new("a", "gpt-5.6-sol");
        assert_eq!(scope, Scope::new("a", "gpt-5.6-terra"));
        assert_eq!(scope.key_of_text(1, " x "), scope.key_of_text(1, "x"));
        for same in ["<think>y</think>\n\nx", " <think></think>x"] {
            assert_eq!(scope.key_of_text(1, same), scope.key_of_text(1, "x"), "{same}");
        }
        for other in ["<think>y", "y</think>x", "x<think>y</think>"] {
            assert_ne!(scope.key_of_text(1, other), scope.key_of_text(1, "x"), "{other}");
        }
        assert_ne!(scope.key_of_text(1, "x"), scope.key_of_text(2, "x"));
        for other in [Scope::new("b", "gpt-5.6-sol"), Scope::new("a", "gpt-5.5")] {
            assert_ne!(scope.key_of_call("c"), other.key_of_call("c"));
            assert_ne!(scope.key_of_text(1, "x"), other.key_of_text(1, "x"));
        }
        assert_ne!(scope.key_of_call("x"), scope.key_of_text(0, "x"));
    }
}
