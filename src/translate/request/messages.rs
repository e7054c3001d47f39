//! Messages to input items.

use std::borrow::Cow;
use std::sync::Arc;

use super::names::Names;
use super::pairing;
use crate::chat::request::{
    Assistant, CallKind, File, FileSource, Image, LegacyCall, Message, Part as ChatPart,
    ReasoningDetail, ToolContent,
};
use crate::responses::request::{Item, Output, Part, Role};
use crate::translate::memory::{History, Key, Past, Turn, text_of};

/// A conversation as input items, its leading system messages apart.
pub(super) struct Converted<'v> {
    /// The leading run of system messages, as developer messages.
    pub(super) leading: Vec<Item<'v>>,
    /// All that follows, calls and outcomes paired.
    pub(super) items: Vec<Item<'v>>,
    /// For every one of `leading` and then of `items`, the index of the message it comes from.
    pub(super) sources: Vec<Option<usize>>,
    /// What was found in the memory of turns.
    pub(super) recollection: Recollection,
}

/// What was found in the memory of turns.
#[derive(Debug, Default)]
pub struct Recollection {
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
    names: &mut Names<'v>,
    past: &Past<'_>,
) -> Converted<'v> {
    let mut converter = Converter {
        names,
        past,
        leading: Vec::new(),
        sources: Vec::new(),
        items: Vec::new(),
        turns: Vec::new(),
        legacy: Vec::new(),
        history: History::default(),
        recollection: Recollection::default(),
    };
    let mut is_leading = true;
    for (index, message) in messages.iter().enumerate() {
        if let Message::System(parts) = message {
            converter.system(index, parts, is_leading);
        } else {
            is_leading = false;
            converter.message(index, message);
        }
    }
    let Converter { leading, mut sources, items, turns, history, mut recollection, .. } = converter;
    let (mut items, of_items) = pairing::normalise(items, &turns);
    sources.extend(of_items.into_iter().map(Some));
    if items.is_empty() && leading.is_empty() {
        // Nothing but empty messages: the input may not be empty.
        items.push(user(vec![text("")]));
        sources.push(None);
    }
    recollection.history = history.digest();
    Converted { leading, items, sources, recollection }
}

struct Converter<'n, 'v> {
    names: &'n mut Names<'v>,
    past: &'n Past<'n>,
    leading: Vec<Item<'v>>,
    /// For every one of `leading`, the message it comes from.
    sources: Vec<Option<usize>>,
    items: Vec<Item<'v>>,
    /// For every item, the message it comes from.
    turns: Vec<usize>,
    /// Calls in the deprecated form that have no outcome yet: function and made-up id.
    legacy: Vec<(&'v str, String)>,
    history: History,
    recollection: Recollection,
}

impl<'v> Converter<'_, 'v> {
    /// One more item, as the client has it.
    fn push(&mut self, message: usize, item: Item<'v>) {
        self.history.add(&item);
        self.items.push(item);
        self.turns.push(message);
    }

    fn system(&mut self, index: usize, parts: &[ChatPart<'v>], is_leading: bool) {
        let content = input_parts(parts);
        if content.is_empty() {
            return;
        }
        let item = Item::Message { role: Role::Developer, phase: None, content };
        if is_leading {
            self.history.add(&item);
            self.leading.push(item);
            self.sources.push(Some(index));
        } else {
            self.push(index, item);
        }
    }

    fn message(&mut self, index: usize, message: &Message<'v>) {
        match message {
            Message::System(_) => {}
            Message::User(parts) => {
                let content = input_parts(parts);
                self.recollection.turn_state = None;
                if !content.is_empty() {
                    self.push(index, user(content));
                }
            }
            Message::Assistant(assistant) => self.assistant(index, assistant),
            Message::Tool { call_id, content } => {
                self.push(index, outcome(Cow::Borrowed(call_id), content));
            }
            Message::Function { name, content } => {
                let position = self.legacy.iter().position(|(function, _)| function == name);
                let call_id = position.map(|position| self.legacy.remove(position).1);
                self.push(index, outcome(Cow::Owned(call_id.unwrap_or_default()), content));
            }
        }
    }

    fn assistant(&mut self, index: usize, assistant: &Assistant<'v>) {
        let plain = self.plain(index, assistant);
        if plain.is_empty() {
            return;
        }
        self.recollection.turns += 1;
        let recalled = self.recall(&plain);
        for item in &plain {
            self.history.add(item);
        }
        let items = match recalled {
            Some(turn) => turn.items.clone(),
            None => with_details(plain, &assistant.reasoning_details),
        };
        self.turns.extend(std::iter::repeat_n(index, items.len()));
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
        // A turn without calls ends the loop; one with calls is what the outcomes continue.
        self.recollection.turn_state = turn.turn_state.clone().filter(|_| first_call.is_some());
        if !turn.is_repeated_by(plain) {
            return None;
        }
        self.recollection.recalled.push(key);
        Some(turn)
    }

    /// A turn as the client repeats it.
    fn plain(&mut self, index: usize, assistant: &Assistant<'v>) -> Vec<Item<'v>> {
        let mut items = Vec::new();
        let mut content = Vec::new();
        let mut pictures = Vec::new();
        for part in &assistant.content {
            match part {
                ChatPart::Text("") | ChatPart::Refusal("") => {}
                ChatPart::Text(text) => {
                    content.push(Part::OutputText { text: Cow::Borrowed(text) });
                }
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
            let call_id = Cow::Borrowed(call.id);
            items.push(match &call.kind {
                CallKind::Function { name, arguments } => Item::FunctionCall {
                    call_id,
                    name: self.names.upstream(name),
                    arguments: arguments.clone(),
                },
                CallKind::Custom { name, input } => Item::CustomToolCall {
                    call_id,
                    name: self.names.upstream(name),
                    input: Cow::Borrowed(input),
                },
            });
        }
        if let Some(LegacyCall { name, arguments }) = &assistant.legacy_call {
            let call_id = format!("call_legacy_{index}");
            self.legacy.push((name, call_id.clone()));
            items.push(Item::FunctionCall {
                call_id: Cow::Owned(call_id),
                name: self.names.upstream(name),
                arguments: arguments.clone(),
            });
        }
        items
    }
}

/// Puts sealed reasoning that the client has carried before what it led to.
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

/// Parts of a message that is not the assistant's; empty texts are left out.
fn input_parts<'v>(parts: &[ChatPart<'v>]) -> Vec<Part<'v>> {
    parts
        .iter()
        .filter_map(|part| match part {
            ChatPart::Text("") | ChatPart::Refusal("") => None,
            ChatPart::Text(words) | ChatPart::Refusal(words) => Some(text(words)),
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
            filename: Some(Cow::Borrowed(file.name.unwrap_or("file.pdf"))),
            file_data: Some(data.clone()),
            file_url: None,
        },
        FileSource::Url(url) => {
            Part::InputFile { filename: None, file_data: None, file_url: Some(Cow::Borrowed(url)) }
        }
    }
}

/// An outcome, for now of a function; pairing makes it fit its call.
fn outcome<'v>(call_id: Cow<'v, str>, content: &ToolContent<'v>) -> Item<'v> {
    let output = match content {
        ToolContent::Text(text) => Output::Text(text.clone()),
        ToolContent::Parts(parts) => Output::Parts(input_parts(parts)),
    };
    Item::FunctionCallOutput { call_id, output }
}
