//! `response_format`, and where the system text goes.

use std::borrow::Cow;

use super::aliases::sanitise;
use super::field_report::FieldReport;
use crate::chat::invalid_request::{Code, InvalidRequest};
use crate::chat::request::ResponseFormat;
use crate::responses::request::{Fill, Format, Item, Part, Role, Schema};

/// Sent where the client gives no system text: the backend refuses a request without any.
const DEFAULT_INSTRUCTIONS: &str = "You are a helpful assistant.";

/// Sent with `json_object` where the word is nowhere: the backend refuses the request otherwise.
const JSON_HINT: &str = "Respond with a JSON object.";

/// Fields of an envelope that are no keywords of schemas, for schemas that stand in the envelope's
/// place.
const ENVELOPE: &[&str] = &["name", "strict", "schema"];

/// Translates `response_format`, which the Responses protocol flattens.
pub(super) fn translate<'v>(format: Option<&ResponseFormat<'v>>) -> Option<Format<'v>> {
    Some(match format? {
        ResponseFormat::JsonObject => Format::JsonObject,
        ResponseFormat::JsonSchema(schema) => Format::JsonSchema {
            name: sanitise(schema.name.unwrap_or("response")),
            description: schema.description,
            schema: Schema {
                without: if schema.is_bare { ENVELOPE } else { &[] },
                ..Schema::new(schema.schema, Fill::Format)
            },
            strict: schema.strict && schema.schema.is_some(),
        },
    })
}

/// A conversation in the places that it has upstream.
pub(super) struct Placed<'v> {
    pub(super) instructions: Cow<'v, str>,
    /// The hint, leading system messages, then all others.
    pub(super) input: Vec<Item<'v>>,
    /// Whether the first item asks for JSON on this program's own account.
    pub(super) has_hint: bool,
    /// How many leading system messages are part of the input.
    pub(super) leading: usize,
}

/// Puts the leading system text into `instructions`, or keeps it in the input where it must
/// stand there: when there is nothing else, when it holds more than text, and when it has the word
/// "json" that `json_object` demands of the input (instructions do not count for the backend's
/// check).
///
/// Where the word is looked for does not change while a conversation grows: its beginning would
/// change otherwise, and be cached in vain.
pub(super) fn place_system<'v>(
    leading: Vec<Item<'v>>,
    mut items: Vec<Item<'v>>,
    format: Option<&ResponseFormat<'v>>,
    notes: &mut FieldReport,
) -> Result<Placed<'v>, InvalidRequest> {
    let wants_word = matches!(format, Some(ResponseFormat::JsonObject));
    let leading_has_word = has_json_word(&leading);
    let lacks_word = wants_word && !leading_has_word && !first_user_has_json_word(&items);
    let is_lost = lacks_word && !has_json_word(&items);
    let texts = if (wants_word && leading_has_word) || items.is_empty() {
        None
    } else {
        texts_of(&leading)
    };
    let mut before = 0;
    let instructions = if let Some(texts) = texts {
        join(&texts)
    } else {
        before = leading.len();
        items.splice(0..0, leading);
        Cow::Borrowed("")
    };
    if lacks_word {
        if is_lost && notes.is_strict() {
            let message = "'messages' must contain the word 'json' in some form, to use \
                           'response_format' of type 'json_object'.";
            return Err(InvalidRequest::new("messages", Code::InvalidValue, message));
        }
        notes.emulated_field("response_format");
        let content = vec![Part::InputText { text: Cow::Borrowed(JSON_HINT) }];
        items.insert(0, Item::Message { role: Role::Developer, phase: None, content });
    }
    let instructions =
        if instructions.is_empty() { Cow::Borrowed(DEFAULT_INSTRUCTIONS) } else { instructions };
    Ok(Placed { instructions, input: items, has_hint: lacks_word, leading: before })
}

/// The texts of messages that hold nothing else.
fn texts_of<'v>(messages: &[Item<'v>]) -> Option<Vec<Cow<'v, str>>> {
    let mut texts = Vec::new();
    for message in messages {
        let Item::Message { content, .. } = message else { return None };
        for part in content {
            let Part::InputText { text } = part else { return None };
            texts.push(text.clone());
        }
    }
    Some(texts)
}

fn join<'v>(texts: &[Cow<'v, str>]) -> Cow<'v, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => one.clone(),
        several => Cow::Owned(several.join("\n\n")),
    }
}

fn first_user_has_json_word(items: &[Item<'_>]) -> bool {
    let is_user = |item: &&Item<'_>| matches!(item, Item::Message { role: Role::User, .. });
    items.iter().find(is_user).is_some_and(|first| has_json_word(std::slice::from_ref(first)))
}

fn has_json_word(items: &[Item<'_>]) -> bool {
    items.iter().any(|item| {
        let Item::Message { content, .. } = item else { return false };
        content.iter().any(|part| match part {
            Part::InputText { text } | Part::OutputText { text } => {
                text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"))
            }
            _ => false,
        })
    })
}
