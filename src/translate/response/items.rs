//! Output items, and which of them an event belongs to.

use std::borrow::Cow;
use std::ops::{Index, IndexMut};

use super::texts::Text;
use super::thought::ReasoningItem;
use crate::responses::event::{self, Place};

/// The items of an answer, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<Item>);

/// An output item.
#[derive(Debug)]
pub(super) struct Item {
    output_index: Option<u64>,
    item_id: Option<String>,
    pub(super) kind: Kind,
    pub(super) is_done: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Message(Message),
    Reasoning(ReasoningItem),
    /// The place among the calls.
    Call(usize),
    Image,
    /// Work of the backend, and kinds not known yet.
    Other,
}

/// What an event needs an item to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Message,
    Reasoning,
    Call,
    Image,
    Other,
}

/// A message of the model.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) audience: Audience,
    parts: Vec<MessagePart>,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Content,
    Reasoning,
    /// A second message beside one that must be the only one.
    Nobody,
}

#[derive(Debug)]
pub(super) struct MessagePart {
    index: u64,
    is_refusal: bool,
    pub(super) text: Text,
    /// Where its text begins in the content, in code points.
    pub(super) offset: u64,
}

impl Index<usize> for Items {
    type Output = Item;

    fn index(&self, at: usize) -> &Item {
        &self.0[at]
    }
}

impl IndexMut<usize> for Items {
    fn index_mut(&mut self, at: usize) -> &mut Item {
        &mut self.0[at]
    }
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.0.iter()
    }

    /// Adds an item that stands at this place, and gives its index.
    pub(super) fn push(&mut self, place: &Place<'_>, kind: Kind) -> usize {
        self.0.push(Item {
            output_index: place.output_index,
            item_id: place.item_id.clone().map(Cow::into_owned),
            kind,
            is_done: false,
        });
        self.0.len() - 1
    }

    /// The latest item at this place.
    pub(super) fn find(&self, place: &Place<'_>, class: Class) -> Option<usize> {
        self.find_that(place, class, |_| true)
    }

    /// The latest item at this place that is fit. The position is the better key: some hosts
    /// change ids between the events of an item.
    pub(super) fn find_that(
        &self,
        place: &Place<'_>,
        class: Class,
        is_fit: impl Fn(&Item) -> bool,
    ) -> Option<usize> {
        let fits = |item: &Item| item.kind.class() == class && is_fit(item);
        let latest =
            |test: &dyn Fn(&Item) -> bool| self.0.iter().rposition(|item| fits(item) && test(item));
        match (place.output_index, &place.item_id) {
            (Some(index), Some(id)) => {
                latest(&|item| item.output_index == Some(index)).or_else(|| {
                    latest(&|item| {
                        item.output_index.is_none() && item.item_id.as_deref() == Some(id)
                    })
                })
            }
            (Some(index), None) => latest(&|item| item.output_index == Some(index)),
            (None, Some(id)) => latest(&|item| item.item_id.as_deref() == Some(id)),
            (None, None) => latest(&|_| true),
        }
    }
}

impl Kind {
    fn class(&self) -> Class {
        match self {
            Self::Message(_) => Class::Message,
            Self::Reasoning(_) => Class::Reasoning,
            Self::Call(_) => Class::Call,
            Self::Image => Class::Image,
            Self::Other => Class::Other,
        }
    }
}

impl Message {
    pub(super) fn new(audience: Audience) -> Self {
        Self { audience, parts: Vec::new() }
    }

    /// The part of this index, a new one if it is not known yet.
    pub(super) fn part(&mut self, index: u64, is_refusal: bool) -> &mut MessagePart {
        let known =
            self.parts.iter().position(|part| part.index == index && part.is_refusal == is_refusal);
        let at = known.unwrap_or_else(|| {
            self.parts.push(MessagePart { index, is_refusal, text: Text::default(), offset: 0 });
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}

/// What an item of an event is.
pub(super) fn class_of(item: &event::Item<'_>) -> Class {
    match item.kind.as_deref() {
        Some("message") => Class::Message,
        Some("reasoning") => Class::Reasoning,
        Some("function_call" | "custom_tool_call") => Class::Call,
        Some("image_generation_call") => Class::Image,
        _ => Class::Other,
    }
}
