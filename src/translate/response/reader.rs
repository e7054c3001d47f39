//! The state of an answer, from event to event.

use std::sync::Arc;

use super::calls::Calls;
use super::citations::Citations;
use super::fault::Fault;
use super::items::{Audience, Class, Items, Kind, Message, class_of};
use super::recorder::{Recorder, Recording};
use super::speech::Speech;
use super::thought::{ReasoningItem, Source, Thought, joined};
use super::usage;
use crate::chat::delta::{Delta, FinishReason, ServiceTier, Sink};
use crate::chat::usage::Usage;
use crate::responses::event::{self, Ending, Event, Part, Place, Response, TextKind, TokenUsage};
use crate::responses::request::Phase;
use crate::responses::surrogates::repair_surrogates;
use crate::translate::memory::Turn;
use crate::translate::plan::Plan;
use crate::translate::policy::Commentary;

/// The most items of an answer, and the most parts of one. Every event looks for its item among
/// them, and answers that are meant to be read have a handful.
const MAX_ITEMS: usize = 1024;

/// Reads the events of one choice's answer.
#[derive(Debug)]
pub struct Reader {
    plan: Arc<Plan>,
    progress: Progress,
    items: Items,
    speech: Speech,
    thought: Thought,
    calls: Calls,
    citations: Citations,
    images: usize,
    model: Option<String>,
    service_tier: Option<ServiceTier>,
    usage: Option<TokenUsage>,
    turn: Recorder,
    /// Whether the backend has said that the answer is complete.
    is_complete: bool,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing has come that belongs to an answer: it may still turn out to be an error.
    Waiting,
    /// The answer has begun.
    Underway,
    /// It is complete or was cut here; what follows is of no interest.
    Ended,
}

impl Reader {
    /// A reader for an answer to the request that `plan` was made for.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            progress: Progress::Waiting,
            items: Items::default(),
            speech: Speech::new(&plan),
            thought: Thought::new(&plan),
            calls: Calls::default(),
            citations: Citations::default(),
            images: 0,
            model: None,
            service_tier: None,
            usage: None,
            turn: Recorder::default(),
            is_complete: false,
            plan,
        }
    }

    /// How far the answer is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether anything has come that belongs to an answer, or the answer was given up.
    pub fn has_begun(&self) -> bool {
        self.progress != Progress::Waiting
    }

    /// Whether the answer was cut here: the backend would go on.
    pub fn was_cut(&self) -> bool {
        self.speech.cut().is_some()
    }

    /// The model that answers, once the backend has told.
    pub fn upstream_model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// How the answer is processed, so far as the backend has told.
    pub fn service_tier(&self) -> ServiceTier {
        self.service_tier.unwrap_or(ServiceTier::Default)
    }

    /// The turn as it may be sent back, once the answer has come to its own end; nothing if it is
    /// not worth it or could not be told from another one.
    pub fn turn(&self) -> Option<Turn> {
        let is_whole = self.is_complete && !self.was_cut() && !self.plan.legacy_functions;
        is_whole.then(|| self.turn.turn())?
    }

    /// What the answer cost. It is estimated if the answer was cut here, from the size of the
    /// request that was sent.
    pub fn usage(&self, prompt_bytes: usize) -> Usage {
        match (&self.usage, self.speech.cut()) {
            (Some(usage), _) => usage::translate(usage),
            (None, Some(_)) => usage::estimate(prompt_bytes, self.speech.estimated_tokens()),
            (None, None) => Usage::default(),
        }
    }

    /// Reads the data of one event.
    ///
    /// Data that is not an event is overlooked.
    ///
    /// # Errors
    ///
    /// The backend reported a failure, or what it sends cannot be followed. The answer ends
    /// without a finish reason.
    pub fn event(&mut self, data: &str, sink: &mut impl Sink) -> Result<Progress, Fault> {
        if self.progress == Progress::Ended {
            return Ok(Progress::Ended);
        }
        let mut sink = Recording { sink, told: self.turn.take() };
        let outcome = self.read(data, &mut sink);
        self.turn.put(sink.told);
        outcome.map(|()| self.progress)
    }

    fn read(&mut self, data: &str, sink: &mut impl Sink) -> Result<(), Fault> {
        // Before it is read: within a nested object they would cost the object and not the event.
        let repaired = repair_surrogates(data);
        let outcome = match Event::parse(repaired.as_deref().unwrap_or(data)) {
            Some(event) => self.take(event, sink),
            None => Err(Fault::Damaged),
        };
        if outcome.is_err() && self.has_begun() {
            self.abandon(sink);
        }
        outcome
    }

    /// Shows what was held back, before an error ends the answer.
    pub fn abandon(&mut self, sink: &mut impl Sink) {
        if self.progress == Progress::Underway {
            self.speech.flush(sink);
        }
        self.progress = Progress::Ended;
    }

    fn take(&mut self, event: Event<'_>, sink: &mut impl Sink) -> Result<(), Fault> {
        match event {
            Event::Other => return Ok(()),
            Event::Begun(response) => {
                self.note(&response);
                return Ok(());
            }
            Event::Failed(report) => return Err(Fault::Reported(report)),
            Event::Ended(response, ending) => {
                self.end(&response, ending, sink);
                return Ok(());
            }
            Event::Delta(_, Place { part, .. }, _)
            | Event::Done(_, Place { part, .. }, _)
            | Event::PartDone(Place { part, .. }, _)
            | Event::Annotation(Place { part, .. }, _)
                if part >= MAX_ITEMS as u64 =>
            {
                return Err(Fault::Endless);
            }
            Event::ItemAdded(place, item) => self.added(&place, &item, sink),
            Event::ItemDone(place, item) => self.done(&place, &item, sink),
            Event::Delta(kind, place, text) => self.text(kind, &place, &text, false, sink),
            Event::Done(kind, place, text) => self.text(kind, &place, &text, true, sink),
            Event::PartDone(place, part) => {
                if let Some(item) = self.items.find(&place, Class::Message) {
                    self.part(item, place.part, &part, sink);
                }
            }
            Event::Annotation(place, annotation) => {
                if let Some(item) = self.items.find(&place, Class::Message) {
                    self.cite(item, place.part, &annotation);
                }
            }
        }
        self.progress = Progress::Underway;
        if let Some(reason) = self.speech.cut() {
            self.finish(reason, sink);
        } else if self.items.len() > MAX_ITEMS {
            return Err(Fault::Endless);
        }
        Ok(())
    }

    fn note(&mut self, response: &Response<'_>) {
        if let Some(model) = response.model.as_deref() {
            self.model.get_or_insert_with(|| model.to_owned());
        }
        if let Some(tier) = response.service_tier.as_deref() {
            self.service_tier.get_or_insert(ServiceTier::from_upstream(Some(tier)));
        }
    }

    // === Items ===

    fn added(&mut self, place: &Place<'_>, item: &event::Item<'_>, sink: &mut impl Sink) {
        let class = class_of(item);
        let known = self.items.find_that(place, class, |known| match known.kind {
            // An event may come twice, and a delta before the item it belongs to.
            Kind::Call(call) if item.has_call_id() || !known.is_done => {
                self.calls.matches(call, item)
            }
            _ => !known.is_done,
        });
        let at = known.unwrap_or_else(|| self.create(place, class, item.phase()));
        match self.items[at].kind {
            Kind::Message(_) => self.parts(at, item, sink),
            Kind::Call(call) => {
                self.calls.describe(call, item, &self.plan);
                if let Some(text) = call_text(item) {
                    self.calls.complete_text(call, text);
                }
                self.tell_calls(sink);
            }
            Kind::Reasoning(_) | Kind::Image | Kind::Other => {}
        }
    }

    fn done(&mut self, place: &Place<'_>, item: &event::Item<'_>, sink: &mut impl Sink) {
        let class = class_of(item);
        let known = self.items.find_that(place, class, |known| match known.kind {
            Kind::Call(call) => self.calls.matches(call, item),
            _ => true,
        });
        let at = known.unwrap_or_else(|| self.create(place, class, item.phase()));
        let is_first = !std::mem::replace(&mut self.items[at].is_done, true);
        if is_first {
            self.turn.item(item);
        }
        match self.items[at].kind {
            Kind::Message(_) => self.parts(at, item, sink),
            Kind::Reasoning(_) => {
                for (source, texts) in
                    [(Source::Summary, item.summary()), (Source::Raw, item.content())]
                {
                    for (part, text) in (0..).zip(texts) {
                        let text = text.text.as_deref().unwrap_or_default();
                        self.reason(at, source, part, text, true, sink);
                    }
                }
            }
            Kind::Call(call) => {
                self.calls.describe(call, item, &self.plan);
                if let Some(text) = call_text(item) {
                    self.calls.complete_text(call, text);
                }
                self.calls.complete(call);
                self.tell_calls(sink);
            }
            Kind::Image if is_first => self.image(item, sink),
            Kind::Image | Kind::Other => {}
        }
    }

    fn create(&mut self, place: &Place<'_>, class: Class, phase: Option<Phase>) -> usize {
        let kind = match class {
            Class::Message => Kind::Message(Message::new(self.audience(phase))),
            Class::Reasoning => Kind::Reasoning(ReasoningItem::default()),
            Class::Call => Kind::Call(self.calls.add()),
            Class::Image => Kind::Image,
            Class::Other => Kind::Other,
        };
        self.items.push(place, kind)
    }

    /// Where a new message goes. A JSON text must be the only one in the content.
    fn audience(&self, phase: Option<Phase>) -> Audience {
        let is_preamble = phase == Some(Phase::Commentary);
        let has_content = || {
            self.items.iter().any(|item| {
                matches!(&item.kind, Kind::Message(message) if message.audience == Audience::Content)
            })
        };
        if is_preamble && (self.plan.json || self.plan.commentary == Commentary::Reasoning) {
            Audience::Reasoning
        } else if self.plan.json && has_content() {
            Audience::Nobody
        } else {
            Audience::Content
        }
    }

    // === Texts ===

    fn text(
        &mut self,
        kind: TextKind,
        place: &Place<'_>,
        text: &str,
        is_whole: bool,
        sink: &mut impl Sink,
    ) {
        let class = match kind {
            TextKind::Output | TextKind::Refusal => Class::Message,
            TextKind::Summary | TextKind::Reasoning => Class::Reasoning,
            TextKind::Arguments | TextKind::Input => Class::Call,
        };
        let at = self.items.find(place, class).unwrap_or_else(|| self.create(place, class, None));
        match kind {
            TextKind::Output => self.speak(at, place.part, text, is_whole, sink),
            TextKind::Refusal => self.refuse(at, place.part, text, is_whole, sink),
            TextKind::Summary => self.reason(at, Source::Summary, place.part, text, is_whole, sink),
            TextKind::Reasoning => self.reason(at, Source::Raw, place.part, text, is_whole, sink),
            TextKind::Arguments | TextKind::Input => {
                let Kind::Call(call) = self.items[at].kind else { return };
                if is_whole {
                    self.calls.complete_text(call, text);
                } else {
                    self.calls.append(call, text, sink);
                }
                self.tell_calls(sink);
            }
        }
    }

    fn parts(&mut self, at: usize, item: &event::Item<'_>, sink: &mut impl Sink) {
        for (index, part) in (0..).zip(item.content()) {
            self.part(at, index, part, sink);
        }
    }

    fn part(&mut self, at: usize, index: u64, part: &Part<'_>, sink: &mut impl Sink) {
        match part.kind.as_deref() {
            Some("refusal") => {
                let text = part.refusal.as_deref().or(part.text.as_deref()).unwrap_or_default();
                self.refuse(at, index, text, true, sink);
            }
            Some("reasoning_text") => {}
            _ => {
                let text = part.text.as_deref().unwrap_or_default();
                self.speak(at, index, text, true, sink);
                for annotation in part.annotations() {
                    self.cite(at, index, annotation);
                }
            }
        }
    }

    fn speak(&mut self, at: usize, part: u64, text: &str, is_whole: bool, sink: &mut impl Sink) {
        let Kind::Message(message) = &mut self.items[at].kind else { return };
        let audience = message.audience;
        let part_index = part;
        let part = message.part(part, false);
        let news = part.text.take(text, is_whole);
        if news.is_empty() {
            return;
        }
        match audience {
            Audience::Content => {
                self.thought.close(sink);
                let (separator, offset) = self.speech.begin(at);
                if part.text.as_str().len() == news.len() {
                    part.offset = offset + self.thought.content_chars();
                }
                self.speech.say(&joined(separator, news), sink);
            }
            Audience::Reasoning => {
                self.thought.think(at, Source::Preamble, part_index, news, sink);
            }
            Audience::Nobody => {}
        }
    }

    fn refuse(&mut self, at: usize, part: u64, text: &str, is_whole: bool, sink: &mut impl Sink) {
        let Kind::Message(message) = &mut self.items[at].kind else { return };
        let news = message.part(part, true).text.take(text, is_whole);
        if !news.is_empty() {
            self.thought.close(sink);
            self.speech.flush(sink);
            if self.speech.cut().is_none() {
                sink.delta(Delta::Refusal(news));
            }
        }
    }

    fn reason(
        &mut self,
        at: usize,
        source: Source,
        part: u64,
        text: &str,
        is_whole: bool,
        sink: &mut impl Sink,
    ) {
        let Kind::Reasoning(item) = &mut self.items[at].kind else { return };
        let news = item.take(source, part, text, is_whole);
        self.thought.think(at, source, part, news, sink);
    }

    fn cite(&mut self, at: usize, part: u64, annotation: &event::Annotation<'_>) {
        let Kind::Message(message) = &mut self.items[at].kind else { return };
        if message.audience == Audience::Content {
            let offset = message.part(part, false).offset;
            self.citations.add(annotation, offset);
        }
    }

    fn tell_calls(&mut self, sink: &mut impl Sink) {
        if self.calls.has_news() {
            self.thought.close(sink);
            self.speech.flush(sink);
            if self.speech.cut().is_none() {
                self.calls.tell(&self.plan, sink);
            }
        }
    }

    fn image(&mut self, item: &event::Item<'_>, sink: &mut impl Sink) {
        let Some(data) = item.result.as_deref().filter(|data| !data.is_empty()) else { return };
        let format = item.output_format.as_deref().unwrap_or("png");
        let url = format!("data:image/{format};base64,{data}");
        self.thought.close(sink);
        self.speech.flush(sink);
        if self.speech.cut().is_none() {
            sink.delta(Delta::Image { index: self.images, url: &url });
            self.images += 1;
        }
    }

    // === The end ===

    fn end(&mut self, response: &Response<'_>, ending: Ending, sink: &mut impl Sink) {
        self.progress = Progress::Underway;
        self.note(response);
        self.usage = response.usage();
        let has_seen_output =
            self.items.iter().any(|item| !matches!(item.kind, Kind::Other | Kind::Image));
        if !has_seen_output {
            for (index, item) in (0..).zip(response.output()) {
                let place = Place { output_index: Some(index), ..Place::default() };
                self.done(&place, item, sink);
            }
        }
        let is_whole = ending == Ending::Complete && !response.is_incomplete();
        self.is_complete = is_whole;
        self.thought.close(sink);
        self.speech.flush(sink);
        if self.speech.cut().is_none() {
            self.calls.finish(is_whole, &self.plan, sink);
        }
        let reason = match self.speech.cut() {
            Some(reason) => reason,
            None if !is_whole => match response.incomplete_reason() {
                Some("content_filter") => FinishReason::ContentFilter,
                _ => FinishReason::Length,
            },
            None if self.calls.any_told() && self.plan.legacy_functions => {
                FinishReason::FunctionCall
            }
            None if self.calls.any_told() => FinishReason::ToolCalls,
            None => FinishReason::Stop,
        };
        self.finish(reason, sink);
    }

    fn finish(&mut self, reason: FinishReason, sink: &mut impl Sink) {
        self.progress = Progress::Ended;
        let shown = self.thought.content_chars() + self.speech.shown_chars();
        let citations = std::mem::take(&mut self.citations).within(shown);
        if !citations.is_empty() {
            sink.delta(Delta::Annotations(&citations));
        }
        if self.plan.reasoning_details && self.is_complete {
            let details = self.turn.details();
            if !details.is_empty() {
                sink.delta(Delta::ReasoningDetails(&details));
            }
        }
        sink.delta(Delta::Finish(reason));
    }
}

fn call_text<'i>(item: &'i event::Item<'_>) -> Option<&'i str> {
    item.arguments.as_deref().or(item.input.as_deref())
}

#[cfg(test)]
mod tests;
