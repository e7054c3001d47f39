//! Messages to input items.

use std::borrow::Cow;

use super::names::Names;
use super::pairing;
use crate::chat::request::{
    Assistant, CallKind, File, FileSource, Image, LegacyCall, Message, Part as ChatPart,
    ToolContent,
};
use crate::responses::request::{Item, Output, Part, Role};

/// A conversation as input items, its leading system messages apart.
pub(super) struct Converted<'v> {
    /// The leading run of system messages, as developer messages.
    pub(super) leading: Vec<Item<'v>>,
    /// All that follows, calls and outcomes paired.
    pub(super) items: Vec<Item<'v>>,
}

/// Converts the messages, in order.
pub(super) fn convert<'v>(messages: &[Message<'v>], names: &mut Names<'v>) -> Converted<'v> {
    let mut converter =
        Converter { names, leading: Vec::new(), items: Vec::new(), legacy: Vec::new() };
    let mut is_leading = true;
    for (index, message) in messages.iter().enumerate() {
        if let Message::System(parts) = message {
            converter.system(parts, is_leading);
        } else {
            is_leading = false;
            converter.message(index, message);
        }
    }
    let Converter { leading, items, .. } = converter;
    let mut items = pairing::normalise(items);
    if items.is_empty() && leading.is_empty() {
        // Nothing but empty messages: the input may not be empty.
        items.push(user(vec![text("")]));
    }
    Converted { leading, items }
}

struct Converter<'n, 'v> {
    names: &'n mut Names<'v>,
    leading: Vec<Item<'v>>,
    items: Vec<Item<'v>>,
    /// Calls in the deprecated form that have no outcome yet: function and made-up id.
    legacy: Vec<(&'v str, String)>,
}

impl<'v> Converter<'_, 'v> {
    fn system(&mut self, parts: &[ChatPart<'v>], is_leading: bool) {
        let content = input_parts(parts);
        if content.is_empty() {
            return;
        }
        let item = Item::Message { role: Role::Developer, content };
        if is_leading { self.leading.push(item) } else { self.items.push(item) }
    }

    fn message(&mut self, index: usize, message: &Message<'v>) {
        match message {
            Message::System(_) => {}
            Message::User(parts) => {
                let content = input_parts(parts);
                if !content.is_empty() {
                    self.items.push(user(content));
                }
            }
            Message::Assistant(assistant) => self.assistant(index, assistant),
            Message::Tool { call_id, content } => {
                self.items.push(outcome(Cow::Borrowed(call_id), content));
            }
            Message::Function { name, content } => {
                let position = self.legacy.iter().position(|(function, _)| function == name);
                let call_id = position.map(|position| self.legacy.remove(position).1);
                self.items.push(outcome(Cow::Owned(call_id.unwrap_or_default()), content));
            }
        }
    }

    fn assistant(&mut self, index: usize, assistant: &Assistant<'v>) {
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
            self.items.push(Item::Message { role: Role::Assistant, content });
        }
        if !pictures.is_empty() {
            // The assistant's own messages hold text only.
            self.items.push(user(pictures));
        }
        for call in &assistant.calls {
            let call_id = Cow::Borrowed(call.id);
            self.items.push(match &call.kind {
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
            self.items.push(Item::FunctionCall {
                call_id: Cow::Owned(call_id),
                name: self.names.upstream(name),
                arguments: arguments.clone(),
            });
        }
    }
}

fn user(content: Vec<Part<'_>>) -> Item<'_> {
    Item::Message { role: Role::User, content }
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
