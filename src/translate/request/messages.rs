//! Messages to input items.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::aliases::ToolAliases;
use super::tool_outputs::{self, Origin};
use crate::chat::request::{
    Assistant, CallKind, File, FileSource, Image, LegacyCall, Message, Part as ChatPart,
    ReasoningDetail, Said, ToolContent, ToolResult,
};
use crate::conversation::json_digest;
use crate::conversation::{History, Key, ReplaySource, Turn, text_of};
use crate::responses::request::{Item, Output, Part, Role};

/// A conversation as input items, its leading system messages apart.
pub(super) struct Converted<'v> {
    /// The leading run of system messages, as developer messages.
    pub(super) leading: Vec<Item<'v>>,
    /// All that follows, calls and outputs paired.
    pub(super) items: Vec<Item<'v>>,
    /// Whether somebody's name was put in front of what they said.
    pub(super) has_names: bool,
    /// For every one of `leading` and then of `items`, the index of the message it comes from.
    pub(super) sources: Vec<Option<usize>>,
    /// The turns found in the memory.
    pub(super) replay: ReplayReport,
}

/// The turns found in the memory.
#[derive(Debug, Default)]
pub struct ReplayReport {
    /// The conversation as the client has it, by which the next turn will be found.
    pub history: u128,
    /// The turns that took the place of what the client repeats.
    pub recalled: Vec<Key>,
    /// How many turns of the model there are.
    pub turns: usize,
    /// What pins the tool loop that goes on to a machine.
    pub turn_state: Option<String>,
}

/// Converts the messages, in order.
pub(super) fn convert<'v>(
    messages: &[Message<'v>],
    names: &mut ToolAliases<'v>,
    past: &ReplaySource<'_>,
) -> Converted<'v> {
    let mut converter = Converter {
        names,
        past,
        leading: Vec::new(),
        sources: Vec::new(),
        items: Vec::new(),
        origins: Vec::new(),
        has_names: false,
        legacy: HashMap::new(),
        history: History::default(),
        replay: ReplayReport::default(),
    };
    let mut is_leading = true;
    for (index, message) in messages.iter().enumerate() {
        if let Message::System(said) = message {
            converter.system(index, said, is_leading);
        } else {
            is_leading = false;
            converter.message(index, message);
        }
    }
    let Converter { leading, mut sources, items, origins, history, has_names, mut replay, .. } =
        converter;
    let (mut items, of_items) = tool_outputs::normalise(items, &origins);
    sources.extend(of_items.into_iter().map(Some));
    if items.is_empty() && leading.is_empty() {
        // Nothing but empty messages: the input may not be empty.
        items.push(user(vec![text("")]));
        sources.push(None);
    }
    replay.history = history.digest();
    Converted { leading, items, has_names, sources, replay }
}

struct Converter<'n, 'v> {
    names: &'n mut ToolAliases<'v>,
    past: &'n ReplaySource<'n>,
    leading: Vec<Item<'v>>,
    /// For every one of `leading`, the message it comes from.
    sources: Vec<Option<usize>>,
    items: Vec<Item<'v>>,
    /// For every item, where it comes from and what it is called there.
    origins: Vec<Origin<'v>>,
    /// Whether somebody's name was put in front of what they said.
    has_names: bool,
    /// Made-up ids of the calls in the deprecated form that have no output yet, by function.
    legacy: HashMap<&'v str, VecDeque<String>>,
    history: History,
    replay: ReplayReport,
}

impl<'v> Converter<'_, 'v> {
    /// One more item, as the client has it.
    fn push(&mut self, message: usize, tool: &'v str, item: Item<'v>) {
        self.history.add(&item);
        self.items.push(item);
        self.origins.push(Origin { message, tool });
    }

    fn system(&mut self, index: usize, said: &Said<'v>, is_leading: bool) {
        let content = self.said(said);
        if content.is_empty() {
            return;
        }
        let item = Item::Message { role: Role::Developer, phase: None, content };
        if is_leading {
            self.history.add(&item);
            self.leading.push(item);
            self.sources.push(Some(index));
        } else {
            self.push(index, "", item);
        }
    }

    /// What was said, with the name of who said it in front: the backend has no place for names,
    /// and by them the model tells several people or agents apart.
    fn said(&mut self, said: &Said<'v>) -> Vec<Part<'v>> {
        let mut content = input_parts(&said.content);
        let Some(name) = said.name.filter(|_| !content.is_empty()) else { return content };
        self.has_names = true;
        match content.first_mut() {
            Some(Part::InputText { text }) => *text = Cow::Owned(format!("{name}: {text}")),
            _ => content.insert(0, Part::InputText { text: Cow::Owned(format!("{name}:")) }),
        }
        content
    }

    fn message(&mut self, index: usize, message: &Message<'v>) {
        match message {
            Message::System(_) => {}
            Message::User(said) => {
                for part in &said.content {
                    if let ChatPart::ToolResult(result) = part {
                        self.result(index, result);
                    }
                }
                let content = self.said(said);
                if !content.is_empty() {
                    self.replay.turn_state = None;
                    self.push(index, "", user(content));
                }
            }
            Message::Assistant(assistant) => self.assistant(index, assistant),
            Message::Tool(result) => self.result(index, result),
            Message::Function { name, content } => {
                let call_id = self.legacy.get_mut(name).and_then(VecDeque::pop_front);
                let call_id = Cow::Owned(call_id.unwrap_or_default());
                self.push(index, name, outcome(call_id, content));
            }
        }
    }

    fn result(&mut self, index: usize, result: &ToolResult<'v>) {
        let item = outcome(result.call_id.clone(), &result.content);
        self.push(index, result.name.unwrap_or_default(), item);
    }

    fn assistant(&mut self, index: usize, assistant: &Assistant<'v>) {
        let plain = self.as_sent_by_client(index, assistant);
        if plain.is_empty() {
            return;
        }
        self.replay.turns += 1;
        let recalled = self.recall(&plain);
        for item in &plain {
            self.history.add(item);
        }
        let items = match recalled {
            // Images are the client's to bring back: nobody else keeps them.
            Some(turn) => with_pictures(&turn.items, plain.into_iter().filter(is_of_user)),
            None => with_details(plain, &assistant.reasoning_details),
        };
        // The calls are in the same order in both.
        let mut tools = assistant.calls.iter().map(|call| match &call.kind {
            CallKind::Function { name, .. } | CallKind::Custom { name, .. } => *name,
        });
        let legacy = assistant.legacy_call.as_ref().map_or("", |call| call.name);
        self.origins.extend(items.iter().map(|item| {
            let is_call = matches!(item, Item::FunctionCall { .. } | Item::CustomToolCall { .. });
            let tool = if is_call { tools.next().unwrap_or(legacy) } else { "" };
            Origin { message: index, tool }
        }));
        self.items.extend(items);
    }

    /// The turn that the client repeats, if it is remembered and was not changed since.
    fn recall(&mut self, plain: &[Item<'v>]) -> Option<Arc<Turn>> {
        let first_call = plain.iter().find_map(|item| match item {
            Item::FunctionCall { call_id, .. } | Item::CustomToolCall { call_id, .. } => {
                Some(&**call_id)
            }
            _ => None,
        });
        let key = match first_call {
            Some(id) => self.past.scope.key_of_call(id),
            None => self.past.scope.key_of_text(self.history.digest(), &text_of(plain)),
        };
        let turn = self.past.memory.recall(key)?;
        // A turn without calls ends the loop; one with calls is what the outputs continue.
        self.replay.turn_state = turn.turn_state.clone().filter(|_| first_call.is_some());
        if !turn.is_repeated_by(plain) {
            return None;
        }
        self.replay.recalled.push(key);
        Some(turn)
    }

    /// A turn as the client repeats it.
    fn as_sent_by_client(&mut self, index: usize, assistant: &Assistant<'v>) -> Vec<Item<'v>> {
        let mut items = Vec::new();
        let mut content = Vec::new();
        let mut pictures = Vec::new();
        for part in &assistant.content {
            match part {
                ChatPart::Text(text) if text.is_empty() => {}
                // A result is no part of what the model said.
                ChatPart::Refusal("") | ChatPart::ToolResult(_) => {}
                ChatPart::Text(text) => content.push(Part::OutputText { text: text.clone() }),
                ChatPart::Refusal(text) => {
                    content.push(Part::Refusal { refusal: Cow::Borrowed(text) });
                }
                ChatPart::Image(image) => pictures.push(picture(image)),
                ChatPart::File(file) => pictures.push(document(file)),
            }
        }
        if !content.is_empty() {
            items.push(Item::Message { role: Role::Assistant, phase: None, content });
        }
        if !pictures.is_empty() {
            // The assistant's own messages hold text only.
            items.push(user(pictures));
        }
        for call in &assistant.calls {
            let call_id = call.id.clone();
            items.push(match &call.kind {
                CallKind::Function { name, arguments } => Item::FunctionCall {
                    call_id,
                    name: self.names.upstream(name),
                    arguments: arguments.clone(),
                },
                CallKind::Custom { name, input } => Item::CustomToolCall {
                    call_id,
                    name: self.names.upstream(name),
                    input: input.clone(),
                },
            });
        }
        let legacy = assistant.legacy_call.as_ref();
        if let Some(LegacyCall { name, arguments }) =
            legacy.filter(|call| !repeats(call, assistant))
        {
            let call_id = format!("call_legacy_{index}");
            self.legacy.entry(name).or_default().push_back(call_id.clone());
            items.push(Item::FunctionCall {
                call_id: Cow::Owned(call_id),
                name: self.names.upstream(name),
                arguments: arguments.clone(),
            });
        }
        items
    }
}

/// Whether the call in the deprecated form is one of the others as well: some hosts give both.
fn repeats(legacy: &LegacyCall<'_>, assistant: &Assistant<'_>) -> bool {
    assistant.calls.iter().any(|call| match &call.kind {
        CallKind::Function { name, arguments } => {
            *name == legacy.name && json_digest(arguments) == json_digest(&legacy.arguments)
        }
        CallKind::Custom { .. } => false,
    })
}

fn is_of_user(item: &Item<'_>) -> bool {
    matches!(item, Item::Message { role: Role::User, .. })
}

/// A turn with the images that belong to it: behind what was said, and in front of its calls with
/// what led to them, since outputs follow their calls.
fn with_pictures<'v>(
    turn: &[Item<'static>],
    pictures: impl Iterator<Item = Item<'v>>,
) -> Vec<Item<'v>> {
    let is_call =
        |item: &Item<'_>| matches!(item, Item::FunctionCall { .. } | Item::CustomToolCall { .. });
    let call = turn.iter().position(is_call).unwrap_or(turn.len());
    let (before, calls) = turn.split_at(call);
    let led = before.iter().rev().take_while(|item| matches!(item, Item::Reasoning { .. })).count();
    let led = if calls.is_empty() { 0 } else { led };
    let (before, reasoning) = before.split_at(before.len() - led);
    let after = reasoning.iter().chain(calls).cloned();
    before.iter().cloned().chain(pictures).chain(after).collect()
}

/// Puts encrypted reasoning that the client has carried before what it led to.
fn with_details<'v>(plain: Vec<Item<'v>>, details: &[ReasoningDetail<'v>]) -> Vec<Item<'v>> {
    if details.is_empty() {
        return plain;
    }
    let mut details = details.iter().peekable();
    let mut plain = plain.into_iter().peekable();
    let mut out = Vec::new();
    // Reasoning that nothing follows would be refused.
    while plain.peek().is_some() {
        let position = out.len();
        match details.next_if(|detail| detail.position <= position) {
            Some(detail) => out.push(Item::Reasoning {
                summary: Vec::new(),
                encrypted_content: Cow::Borrowed(detail.data),
            }),
            None => out.extend(plain.next()),
        }
    }
    out
}

fn user(content: Vec<Part<'_>>) -> Item<'_> {
    Item::Message { role: Role::User, phase: None, content }
}

fn text(text: &str) -> Part<'_> {
    Part::InputText { text: Cow::Borrowed(text) }
}

/// Parts of a message that is not the assistant's; empty texts are left out, and results of calls,
/// which are items of their own.
fn input_parts<'v>(parts: &[ChatPart<'v>]) -> Vec<Part<'v>> {
    parts
        .iter()
        .filter_map(|part| match part {
            ChatPart::Text(words) if words.is_empty() => None,
            ChatPart::Refusal("") | ChatPart::ToolResult(_) => None,
            ChatPart::Text(words) => Some(Part::InputText { text: words.clone() }),
            ChatPart::Refusal(words) => Some(text(words)),
            ChatPart::Image(image) => Some(picture(image)),
            ChatPart::File(file) => Some(document(file)),
        })
        .collect()
}

fn picture<'v>(image: &Image<'v>) -> Part<'v> {
    Part::InputImage {
        image_url: image.url.clone(),
        detail: image.detail.map(super::chat::request::Detail::as_str),
    }
}

fn document<'v>(file: &File<'v>) -> Part<'v> {
    match &file.source {
        FileSource::Data(data) => Part::InputFile {
            filename: Some(file.name.clone()),
            file_data: Some(data.clone()),
            file_url: None,
        },
        FileSource::Url(url) => {
            Part::InputFile { filename: None, file_data: None, file_url: Some(url.clone()) }
        }
    }
}

/// An output, for now of a function; pairing makes it fit its call.
fn outcome<'v>(call_id: Cow<'v, str>, content: &ToolContent<'v>) -> Item<'v> {
    let output = match content {
        ToolContent::Text(text) => Output::Text(text.clone()),
        ToolContent::Parts(parts) => Output::Parts(input_parts(parts)),
    };
    Item::FunctionCallOutput { call_id, output }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items in short: `r`easoning, `m`essage of the assistant, `c`all, `p`icture.
    fn items(kinds: &str) -> Vec<Item<'static>> {
        let item = |kind| match kind {
            'r' => Item::Reasoning { summary: Vec::new(), encrypted_content: "sealed".into() },
            'm' => Item::Message { role: Role::Assistant, phase: None, content: Vec::new() },
            'p' => user(Vec::new()),
            _ => Item::FunctionCall {
                call_id: "id".into(),
                name: "f".into(),
                arguments: "{}".into(),
            },
        };
        kinds.chars().map(item).collect()
    }

    fn kinds(items: &[Item<'_>]) -> String {
        let kind = |item: &Item<'_>| match item {
            Item::Reasoning { .. } => 'r',
            Item::Message { role: Role::User, .. } => 'p',
            Item::Message { .. } => 'm',
            _ => 'c',
        };
        items.iter().map(kind).collect()
    }

    #[test]
    fn pictures_of_a_turn_stand_behind_its_words_and_never_behind_its_calls() {
        for (turn, expected) in [
            ("", "pp"),
            ("rm", "rmpp"),
            ("r", "rpp"),
            ("rc", "pprc"),
            ("rmc", "rmppc"),
            ("rmrrcrc", "rmpprrcrc"),
            ("cm", "ppcm"),
        ] {
            let placed = with_pictures(&items(turn), items("pp").into_iter());
            assert_eq!(kinds(&placed), expected, "{turn}");
        }
    }
}
