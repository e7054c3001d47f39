//! Output items, and which of them an event belongs to.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Index, IndexMut};

use super::citations::Citations;
use super::reasoning::ReasoningItem;
use super::steps;
use super::text::TextAccumulator;
use crate::responses::event::{self, Place};
use crate::responses::request::Phase;

/// The items of an answer, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Items {
    list: Vec<Item>,
    /// The latest item of each position and of each id.
    by_index: BTreeMap<u64, usize>,
    by_id: HashMap<String, usize>,
}

/// An output item.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) output_index: Option<u64>,
    pub(super) item_id: Option<String>,
    pub(super) kind: Kind,
    pub(super) is_done: bool,
    /// The item before this one that has the same position, and the same id.
    before_at_index: Option<usize>,
    before_of_id: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Message(Message),
    Reasoning(ReasoningItem),
    /// The place among the calls.
    Call(usize),
    Image(Picture),
    /// Work of the backend, and kinds not known yet.
    Other,
}

/// What an event needs an item to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub(super) phase: Option<Phase>,
    pub(super) parts: Vec<MessagePart>,
}

/// A generated image.
#[derive(Debug, Default)]
pub(super) struct Picture {
    /// Of the image that came last, if one did.
    pub(super) digest: Option<u128>,
    /// Its address, until it is told.
    pub(super) url: Option<String>,
    pub(super) is_told: bool,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Content,
    Reasoning,
    /// A second message beside one that must be the only one.
    Suppressed,
}

#[derive(Debug)]
pub(super) struct MessagePart {
    pub(super) index: u64,
    pub(super) is_refusal: bool,
    pub(super) text: TextAccumulator,
    /// Where its text begins in the content, in code points.
    pub(super) offset: u64,
    pub(super) citations: Citations,
}

impl Index<usize> for Items {
    type Output = Item;

    fn index(&self, at: usize) -> &Item {
        &self.list[at]
    }
}

impl IndexMut<usize> for Items {
    fn index_mut(&mut self, at: usize) -> &mut Item {
        &mut self.list[at]
    }
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.list.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.list.iter_mut()
    }

    /// How much text the messages have, and how many items there are.
    pub(super) fn bytes(&self) -> usize {
        let message = |item: &Item| match &item.kind {
            Kind::Message(message) => {
                message.parts.iter().map(|part| part.text.len()).sum::<usize>()
            }
            _ => 1,
        };
        self.list.iter().map(message).sum()
    }

    /// Adds an item that stands at this place, and gives its index.
    pub(super) fn push(&mut self, place: &Place<'_>, id: Option<&str>, kind: Kind) -> usize {
        let at = self.list.len();
        let item_id = place.item_id.as_deref().or(id).filter(|id| !id.is_empty());
        let before_at_index = place.output_index.and_then(|index| self.by_index.insert(index, at));
        let before_of_id = item_id.and_then(|id| self.by_id.insert(id.to_owned(), at));
        self.list.push(Item {
            output_index: place.output_index,
            item_id: item_id.map(str::to_owned),
            kind,
            is_done: false,
            before_at_index,
            before_of_id,
        });
        at
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
        let fits = |item: &Item| {
            steps::note(1);
            item.kind.class() == class && is_fit(item)
        };
        let Some(index) = place.output_index else {
            return match &place.item_id {
                Some(id) => self.chain(self.by_id.get(&**id), |item| item.before_of_id, fits),
                None => self.list.iter().rposition(fits),
            };
        };
        // Nearly all events are about the latest item.
        if let Some(last) = self.list.last()
            && last.output_index == Some(index)
            && fits(last)
        {
            return Some(self.list.len() - 1);
        }
        let fits = &fits;
        self.chain(self.by_index.get(&index), |item| item.before_at_index, fits).or_else(|| {
            let latest = self.by_id.get(place.item_id.as_deref()?);
            let is_unplaced = |item: &Item| item.output_index.is_none() && fits(item);
            self.chain(latest, |item| item.before_of_id, is_unplaced)
        })
    }

    /// The first item that is fit, from one to the one before it.
    fn chain(
        &self,
        latest: Option<&usize>,
        before: impl Fn(&Item) -> Option<usize>,
        is_fit: impl Fn(&Item) -> bool,
    ) -> Option<usize> {
        let mut at = *latest?;
        while !is_fit(&self.list[at]) {
            at = before(&self.list[at])?;
        }
        Some(at)
    }

    /// All of them by their positions; those without one behind what came before them.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let mut last = 0;
        let mut order: Vec<_> = (0..self.list.len())
            .map(|at| {
                last = self.list[at].output_index.unwrap_or(last);
                (last, at)
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, at)| at).collect()
    }
}

impl Kind {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Message(_) => Class::Message,
            Self::Reasoning(_) => Class::Reasoning,
            Self::Call(_) => Class::Call,
            Self::Image(_) => Class::Image,
            Self::Other => Class::Other,
        }
    }
}

impl Message {
    pub(super) fn new(audience: Audience, phase: Option<Phase>) -> Self {
        Self { audience, phase, parts: Vec::new() }
    }

    /// The part of this index, a new one if it is not known yet.
    pub(super) fn part(&mut self, index: u64, is_refusal: bool) -> &mut MessagePart {
        let is_it = |part: &MessagePart| {
            steps::note(1);
            part.index == index && part.is_refusal == is_refusal
        };
        // Mostly it is the latest; and the parts of an item are told in order.
        let known = usize::try_from(index)
            .ok()
            .filter(|&at| self.parts.get(at).is_some_and(is_it))
            .or_else(|| self.parts.iter().rposition(is_it));
        let at = known.unwrap_or_else(|| {
            let (text, citations) = (TextAccumulator::default(), Citations::default());
            self.parts.push(MessagePart { index, is_refusal, text, offset: 0, citations });
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
