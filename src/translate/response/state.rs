//! The state of an answer while its events are read.

use std::borrow::Cow;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::content::ContentWriter;
use super::fault::ReadError;
use super::halves::{Half, HalfTexts};
use super::items::{Audience, Class, Item, Items, Kind, Message, Picture, class_of};
use super::last::{agrees, pair};
use super::reader::Progress;
use super::reasoning::{ReasoningItem, ReasoningWriter, Source, joined};
use super::text::{TextAccumulator, TextUpdate};
use super::tool_calls::{Calls, text_of};
use super::usage;
use crate::chat::delta::{Annotation, Delta, FinishReason, ReasoningDetail, ServiceTier, Sink};
use crate::chat::usage::Usage;
use crate::conversation::{Emitted, Turn, TurnRecorder};
use crate::responses::event::{
    self, Ending, Event, Halves, Part, Place, Response, TextKind, TokenUsage,
};
use crate::responses::request::Phase;
use crate::responses::surrogates::repair_surrogates;
use crate::translate::plan::Plan;
use crate::translate::policy::Commentary;

/// The most items of an answer, and the most parts of one. Every event looks for its item among
/// them, and answers that are meant to be read have a handful.
const MAX_ITEMS: usize = 1024;

/// The state of one choice's answer.
#[derive(Debug)]
pub(super) struct State {
    plan: Arc<Plan>,
    progress: Progress,
    items: Items,
    speech: ContentWriter,
    thought: ReasoningWriter,
    calls: Calls,
    images: usize,
    /// Halves of characters that deltas ended with.
    halves: HalfTexts,
    /// The message of the last text, and its part.
    speaker: Option<(usize, u64)>,
    /// The emitted answer is wrong, and is emitted again at the end.
    is_retold: bool,
    /// The error of the current event.
    fault: Option<ReadError>,
    model: Option<String>,
    service_tier: Option<ServiceTier>,
    usage: Option<TokenUsage>,
    turn: TurnRecorder,
    /// Whether the backend has reported the answer as complete.
    is_complete: bool,
}

impl State {
    /// A reader for an answer to the request that `plan` was made for.
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        Self {
            progress: Progress::Waiting,
            items: Items::default(),
            speech: ContentWriter::new(&plan),
            thought: ReasoningWriter::new(&plan),
            calls: Calls::default(),
            images: 0,
            halves: HalfTexts::default(),
            speaker: None,
            is_retold: false,
            fault: None,
            model: None,
            service_tier: None,
            usage: None,
            turn: TurnRecorder::default(),
            is_complete: false,
            plan,
        }
    }

    /// How far the answer is.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether any part of an answer has arrived, or the answer was abandoned.
    pub(super) fn has_begun(&self) -> bool {
        self.progress != Progress::Waiting
    }

    /// Whether the answer was truncated here: the backend would continue.
    pub(super) fn was_cut(&self) -> bool {
        self.speech.cut().is_some()
    }

    /// The model that answers, once the backend has reported it.
    pub(super) fn upstream_model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The service tier, once the backend has reported it.
    pub(super) fn service_tier(&self) -> ServiceTier {
        self.service_tier.unwrap_or(ServiceTier::Default)
    }

    /// The turn for replay, once the answer is complete; `None` if it is not worth it or not
    /// unique.
    pub(super) fn turn(&self, emitted: &Emitted) -> Option<Turn> {
        let is_whole = self.is_complete && !self.was_cut() && !self.plan.legacy_functions;
        is_whole.then(|| self.turn.turn(emitted))?
    }

    /// The usage of the answer. If the answer was truncated here, it is estimated from the size of
    /// the request.
    pub(super) fn usage(&self, prompt_bytes: usize) -> Usage {
        match (&self.usage, self.speech.cut()) {
            (Some(usage), _) => usage::translate(usage),
            (None, Some(_)) => usage::estimate(prompt_bytes, self.speech.estimated_tokens()),
            (None, None) => Usage::default(),
        }
    }

    /// About how much work an event with this data is at most, in bytes of plain reading.
    pub(super) fn work(&self, data: &str) -> usize {
        let retold = if self.is_retold && !event::is_delta(data) {
            self.items.bytes() + self.calls.bytes()
        } else {
            0
        };
        self.speech.work(data.len() + retold)
    }

    /// The state of an answer to the same request of which nothing was read.
    pub(super) fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.plan))
    }

    /// The state of an answer that is as far as this one, for what is told of it meanwhile.
    pub(super) fn stand_in(&self) -> Self {
        let mut state = Self::new(Arc::clone(&self.plan));
        state.progress = self.progress;
        state.model.clone_from(&self.model);
        state.service_tier = self.service_tier;
        state
    }

    /// Reads the data of one event.
    pub(super) fn read(&mut self, data: &str, sink: &mut impl Sink) -> Result<(), ReadError> {
        // Before it is read: within a nested object they would cost the object and not the event.
        let repaired = repair_surrogates(data);
        let outcome = match Event::parse(repaired.as_deref().unwrap_or(data)) {
            Some(Event::Delta(kind, place, text))
                if repaired.is_some() || !self.halves.is_empty() =>
            {
                let is_cut = repaired.is_some();
                let halves = if is_cut { Halves::of(data) } else { Halves::default() };
                let event = self.joined(kind, place, text, halves);
                self.take(event, sink)
            }
            Some(event) => self.take(event, sink),
            None => Err(ReadError::InvalidEvent),
        };
        if outcome.is_err() && self.has_begun() {
            self.abandon(sink);
        }
        outcome
    }

    /// Delivers held-back text before an error ends the answer.
    pub(super) fn abandon(&mut self, sink: &mut impl Sink) {
        if self.progress == Progress::Underway {
            self.speech.flush(sink);
        }
        self.progress = Progress::Ended;
    }

    fn take(&mut self, event: Event<'_>, sink: &mut impl Sink) -> Result<(), ReadError> {
        match event {
            Event::Other => return Ok(()),
            Event::Begun(response) => {
                self.note(&response);
                return Ok(());
            }
            Event::Failed(report) => return Err(ReadError::Reported(report)),
            Event::Ended(response, ending) => return self.end(&response, ending, sink),
            Event::Delta(_, Place { part, .. }, _)
            | Event::Done(_, Place { part, .. }, _)
            | Event::PartDone(Place { part, .. }, _)
            | Event::Annotation(Place { part, .. }, _)
                if part >= MAX_ITEMS as u64 =>
            {
                return Err(ReadError::TooManyItems);
            }
            Event::ItemAdded(place, item) => self.added(&place, &item, sink),
            Event::ItemDone(place, item) => self.done(&place, &item, sink),
            Event::Delta(kind, place, text) => self.text(kind, &place, &text, false, sink),
            Event::Done(kind, place, text) => self.text(kind, &place, &text, true, sink),
            Event::PartDone(place, part) => self.part_done(&place, &part, sink),
            Event::Annotation(place, annotation) => {
                let at = self.find_or_create(&place, Class::Message);
                if let Kind::Message(message) = &mut self.items[at].kind {
                    message.part(place.part, false).citations.add(&annotation);
                }
            }
        }
        self.progress = Progress::Underway;
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.items.len() > MAX_ITEMS {
            return Err(ReadError::TooManyItems);
        }
        match self.speech.cut() {
            // The repeated answer may be truncated elsewhere, or not at all.
            Some(reason) if !self.is_retold => self.finish(reason, sink),
            _ => {}
        }
        Ok(())
    }

    /// The backend contradicts an earlier event. If that was already sent, the answer cannot be
    /// corrected.
    fn contradict(&mut self, sink: &impl Sink) {
        if sink.can_take_back() {
            self.is_retold = true;
        } else {
            self.fault = Some(ReadError::Contradicted);
        }
    }

    fn note(&mut self, response: &Response<'_>) {
        if let Some(id) = response.id.as_deref() {
            self.calls.name_after(id);
        }
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
        let known = self.known(place, item, |known| match known.kind {
            // An event may come twice, and a delta before the item it belongs to.
            Kind::Call(call) if item.has_call_id() || !known.is_done => {
                self.calls.matches(call, item)
            }
            _ => !known.is_done,
        });
        let at = known.unwrap_or_else(|| self.create(place, class, Some(item)));
        match &self.items[at].kind {
            // The first event of an item, which adds nothing to a known one.
            Kind::Message(message) if message.parts.iter().all(|part| part.text.is_empty()) => {
                self.parts(at, item, sink);
            }
            &Kind::Call(call) => {
                if self.calls.describe(call, item, &self.plan).is_err() {
                    self.contradict(sink);
                }
                self.calls.begin_text(call, text_of(item).unwrap_or_default());
                self.emit_calls(sink);
            }
            Kind::Message(_) | Kind::Reasoning(_) | Kind::Image(_) | Kind::Other => {}
        }
    }

    fn done(&mut self, place: &Place<'_>, item: &event::Item<'_>, sink: &mut impl Sink) {
        let class = class_of(item);
        let known = self.known(place, item, |known| match known.kind {
            Kind::Call(call) => self.calls.matches(call, item),
            _ => true,
        });
        let at = known.unwrap_or_else(|| self.create(place, class, Some(item)));
        if !self.items[at].is_done {
            self.turn.item(item);
        }
        self.complete(at, item, sink);
    }

    /// The known item that this one is, if it is fit. Without a place it is the one of the same id,
    /// or the latest that is not complete or not another one.
    fn known(
        &self,
        place: &Place<'_>,
        item: &event::Item<'_>,
        is_fit: impl Fn(&Item) -> bool,
    ) -> Option<usize> {
        let class = class_of(item);
        if *place != Place::default() {
            return self.items.find_that(place, class, is_fit);
        }
        let may_be = |known: &Item| {
            is_fit(known) && (!known.is_done || agrees(known, &self.calls, &self.plan, item))
        };
        let Some(id) = item.id.as_deref().filter(|id| !id.is_empty()) else {
            return self.items.find_that(place, class, may_be);
        };
        let of_id = Place { item_id: Some(id.into()), ..Place::default() };
        self.items.find_that(&of_id, class, &is_fit).or_else(|| {
            let latest = self.items.find(place, class)?;
            may_be(&self.items[latest]).then_some(latest)
        })
    }

    /// The complete item.
    fn complete(&mut self, at: usize, item: &event::Item<'_>, sink: &mut impl Sink) {
        self.items[at].is_done = true;
        match &mut self.items[at].kind {
            Kind::Message(message) => {
                message.phase = item.phase().or(message.phase);
                self.parts(at, item, sink);
            }
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
            &mut Kind::Call(call) => {
                let named = self.calls.describe(call, item, &self.plan);
                let told = match text_of(item) {
                    Some(text) => self.calls.complete_text(call, text),
                    None => Ok(()),
                };
                if named.is_err() || told.is_err() {
                    self.contradict(sink);
                }
                self.calls.complete(call);
                self.emit_calls(sink);
            }
            Kind::Image(_) => self.image(at, item, sink),
            Kind::Other => {}
        }
    }

    fn find_or_create(&mut self, place: &Place<'_>, class: Class) -> usize {
        self.items.find(place, class).unwrap_or_else(|| self.create(place, class, None))
    }

    fn create(&mut self, place: &Place<'_>, class: Class, item: Option<&event::Item<'_>>) -> usize {
        let phase = item.and_then(event::Item::phase);
        let kind = match class {
            Class::Message => Kind::Message(Message::new(self.audience(phase), phase)),
            Class::Reasoning => Kind::Reasoning(ReasoningItem::default()),
            Class::Call => Kind::Call(self.calls.add()),
            Class::Image => Kind::Image(Picture::default()),
            Class::Other => Kind::Other,
        };
        self.items.push(place, item.and_then(|item| item.id.as_deref()), kind)
    }

    /// Where a new message goes.
    fn audience(&self, phase: Option<Phase>) -> Audience {
        let has_content = self.plan.json
            && self.items.iter().any(|item| {
                matches!(&item.kind, Kind::Message(message) if message.audience == Audience::Content)
            });
        audience(&self.plan, phase, has_content)
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
        let at = self.find_or_create(place, class_of_text(kind));
        self.text_at(at, kind, place.part, text, is_whole, sink);
    }

    fn text_at(
        &mut self,
        at: usize,
        kind: TextKind,
        part: u64,
        text: &str,
        is_whole: bool,
        sink: &mut impl Sink,
    ) {
        match kind {
            TextKind::Output => self.speak(at, part, text, is_whole, sink),
            TextKind::Refusal => self.refuse(at, part, text, is_whole, sink),
            TextKind::Summary => self.reason(at, Source::Summary, part, text, is_whole, sink),
            TextKind::Reasoning => self.reason(at, Source::Raw, part, text, is_whole, sink),
            TextKind::Arguments | TextKind::Input => {
                let Kind::Call(call) = self.items[at].kind else { return };
                if !is_whole {
                    self.calls.append(call, text, sink);
                } else if self.calls.complete_text(call, text).is_err() {
                    self.contradict(sink);
                }
                self.emit_calls(sink);
            }
        }
    }

    /// A delta with the halves of characters at its ends made whole, so far as they can be.
    fn joined<'e>(
        &mut self,
        kind: TextKind,
        place: Place<'e>,
        text: Cow<'e, str>,
        halves: Halves,
    ) -> Event<'e> {
        let class = class_of_text(kind);
        if place.part >= MAX_ITEMS as u64 {
            return Event::Delta(kind, place, text);
        }
        let at = self.find_or_create(&place, class);
        let half = Half { at, kind, part: place.part };
        let (text, is_cut) = self.halves.join(half, text, halves);
        if is_cut {
            let len = self.text_len(half) + text.len();
            self.halves.keep(half, halves.trailing, len);
        }
        Event::Delta(kind, place, text)
    }

    /// The known length of a text.
    fn text_len(&mut self, Half { at, kind, part }: Half) -> usize {
        match &mut self.items[at].kind {
            Kind::Message(message) => message.part(part, kind == TextKind::Refusal).text.len(),
            Kind::Reasoning(item) => {
                let source = if kind == TextKind::Summary { Source::Summary } else { Source::Raw };
                item.text(source, part).map_or(0, TextAccumulator::len)
            }
            &mut Kind::Call(call) => self.calls.text_len(call),
            Kind::Image(_) | Kind::Other => 0,
        }
    }

    /// Lone surrogates at the end.
    fn give_up_halves(&mut self, sink: &mut impl Sink) {
        for (half, len) in self.halves.take() {
            if self.text_len(half) == len {
                self.text_at(half.at, half.kind, half.part, "\u{fffd}", false, sink);
            }
        }
    }

    fn part_done(&mut self, place: &Place<'_>, part: &Part<'_>, sink: &mut impl Sink) {
        let source = match part.kind.as_deref() {
            Some("reasoning_text") => Source::Raw,
            Some("summary_text") => Source::Summary,
            _ => {
                let at = self.find_or_create(place, Class::Message);
                return self.part(at, place.part, part, sink);
            }
        };
        let at = self.find_or_create(place, Class::Reasoning);
        let text = part.text.as_deref().unwrap_or_default();
        self.reason(at, source, place.part, text, true, sink);
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
                if !part.annotations().is_empty()
                    && let Kind::Message(message) = &mut self.items[at].kind
                {
                    message.part(index, false).citations.replace(part.annotations());
                }
            }
        }
    }

    fn speak(&mut self, at: usize, part: u64, text: &str, is_whole: bool, sink: &mut impl Sink) {
        let Kind::Message(message) = &mut self.items[at].kind else { return };
        let audience = message.audience;
        let index = part;
        let part = message.part(part, false);
        let is_first = part.text.is_empty();
        let news = match part.text.take(text, is_whole) {
            TextUpdate::More("") => return,
            TextUpdate::More(news) => news,
            TextUpdate::Other if audience == Audience::Content => return self.contradict(sink),
            TextUpdate::Other if audience == Audience::Reasoning && self.thought.is_shown() => {
                return self.contradict(sink);
            }
            TextUpdate::Other => return,
        };
        match audience {
            Audience::Content => {
                if self.speaker != Some((at, index)) {
                    // The place that a text has is that of its item and part, and not of its time.
                    let is_behind =
                        self.speaker.is_some_and(|last| self.is_before((at, index), last));
                    if (is_behind || !is_first) && sink.can_take_back() {
                        self.is_retold = true;
                    }
                    self.speaker = Some((at, index));
                }
                self.thought.close(sink);
                let (separator, offset) = self.speech.begin_message(at);
                if is_first && let Kind::Message(message) = &mut self.items[at].kind {
                    message.part(index, false).offset = offset + self.thought.content_chars();
                }
                self.speech.push(&joined(separator, news), sink);
            }
            Audience::Reasoning => self.thought.push(at, Source::Preamble, index, news, sink),
            Audience::Suppressed => {}
        }
    }

    /// Whether a part of a message stands before another one.
    fn is_before(&self, one: (usize, u64), other: (usize, u64)) -> bool {
        let position =
            |(at, part): (usize, u64)| self.items[at].output_index.map(|index| (index, part));
        match (position(one), position(other)) {
            _ if one.0 == other.0 => one.1 < other.1,
            (Some(one), Some(other)) => one < other,
            _ => false,
        }
    }

    fn refuse(&mut self, at: usize, part: u64, text: &str, is_whole: bool, sink: &mut impl Sink) {
        let Kind::Message(message) = &mut self.items[at].kind else { return };
        match message.part(part, true).text.take(text, is_whole) {
            TextUpdate::More("") => {}
            TextUpdate::More(news) => {
                self.thought.close(sink);
                self.speech.flush(sink);
                if self.speech.cut().is_none() {
                    sink.delta(Delta::Refusal(news));
                }
            }
            TextUpdate::Other => self.contradict(sink),
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
        match item.take(source, part, text, is_whole) {
            TextUpdate::More(news) => self.thought.push(at, source, part, news, sink),
            TextUpdate::Other if self.thought.is_shown() => self.contradict(sink),
            TextUpdate::Other => {}
        }
    }

    fn emit_calls(&mut self, sink: &mut impl Sink) {
        // What is known of a call now may contradict what the client has of it.
        if self.fault.is_none() && self.calls.has_pending() {
            self.thought.close(sink);
            self.speech.flush(sink);
            if self.speech.cut().is_none() {
                self.calls.emit(&self.plan, sink);
            }
        }
    }

    fn image(&mut self, at: usize, item: &event::Item<'_>, sink: &mut impl Sink) {
        let Kind::Image(picture) = &mut self.items[at].kind else { return };
        let Some(data) = item.result.as_deref().filter(|data| !data.is_empty()) else { return };
        let digest = Some(xxh3_128(data.as_bytes()));
        if picture.digest == digest {
            return;
        }
        picture.digest = digest;
        let format = item.output_format.as_deref().unwrap_or("png");
        picture.url = Some(format!("data:image/{format};base64,{data}"));
        if picture.is_told {
            return self.contradict(sink);
        }
        self.thought.close(sink);
        self.speech.flush(sink);
        if self.speech.cut().is_some() && !self.is_retold {
            self.drop_image(at);
        } else if !sink.can_take_back() {
            self.emit_image(at, sink);
        }
    }

    fn drop_image(&mut self, at: usize) {
        if let Kind::Image(picture) = &mut self.items[at].kind {
            picture.url = None;
        }
    }

    fn emit_image(&mut self, at: usize, sink: &mut impl Sink) {
        if let Kind::Image(picture) = &mut self.items[at].kind
            && let Some(url) = picture.url.take()
        {
            picture.is_told = true;
            sink.delta(Delta::Image { index: self.images, url: &url });
            self.images += 1;
        }
    }

    // === The end ===

    fn end(
        &mut self,
        response: &Response<'_>,
        ending: Ending,
        sink: &mut impl Sink,
    ) -> Result<(), ReadError> {
        self.progress = Progress::Underway;
        self.note(response);
        self.usage = response.usage();
        let order = self.output(response.output(), sink);
        self.give_up_halves(sink);
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let is_whole = ending == Ending::Complete && !response.is_incomplete();
        if self.is_retold {
            self.emit_again(&order.unwrap_or_else(|| self.items.in_order()), sink);
        }
        self.thought.close(sink);
        self.speech.flush(sink);
        if self.speech.cut().is_none() {
            self.calls.finish(is_whole, &self.plan, sink).map_err(|_| ReadError::UnfinishedCall)?;
        }
        self.is_complete = is_whole;
        let reason = match self.speech.cut() {
            Some(reason) => reason,
            None if !is_whole => match response.incomplete_reason() {
                Some("content_filter") => FinishReason::ContentFilter,
                _ => FinishReason::Length,
            },
            None if self.calls.any_emitted() && self.plan.legacy_functions => {
                FinishReason::FunctionCall
            }
            None if self.calls.any_emitted() => FinishReason::ToolCalls,
            None => FinishReason::Stop,
        };
        self.finish(reason, sink);
        Ok(())
    }

    /// The items of the last event, which may be all there is, or nothing. Gives the order of all
    /// items, if it tells all of them.
    fn output(&mut self, output: &[event::Item<'_>], sink: &mut impl Sink) -> Option<Vec<usize>> {
        if output.is_empty() {
            return None;
        }
        let pairs = pair(&self.items, &self.calls, &self.plan, output);
        let last_known = pairs.iter().rposition(Option::is_some);
        let known = pairs.iter().flatten().count();
        let is_all = known == self.items.len();
        let was_retold = self.is_retold;
        let is_news = pairs.iter().any(|at| at.is_none_or(|at| !self.items[at].is_done));
        let mut order = Vec::with_capacity(output.len());
        for (position, (item, known)) in output.iter().zip(pairs).enumerate() {
            let place = Place { output_index: Some(position as u64), ..Place::default() };
            let is_between = last_known.is_some_and(|last| position < last);
            let at = known.unwrap_or_else(|| self.create(&place, class_of(item), Some(item)));
            if known.is_none() && is_between {
                self.between(at, item, sink);
                if self.fault.is_some() {
                    return None;
                }
            }
            if !is_all && !self.items[at].is_done {
                if is_between { self.turn.forget() } else { self.turn.item(item) }
            }
            self.complete(at, item, sink);
            order.push(at);
        }
        if is_all && (is_news || self.is_retold != was_retold) {
            self.turn.restart();
            for item in output {
                self.turn.item(item);
            }
        } else if !is_all && self.is_retold {
            self.turn.forget();
        }
        is_all.then_some(order)
    }

    /// An item stands before one that the client may have got already. Only texts of messages have
    /// to be read in their order.
    fn between(&mut self, at: usize, item: &event::Item<'_>, sink: &mut impl Sink) {
        if sink.can_take_back() {
            self.is_retold = true;
        } else if let Kind::Message(message) = &self.items[at].kind
            && message.audience == Audience::Content
            && self.speaker.is_some()
            && item.content().iter().any(|part| part.text.as_deref().is_some_and(|t| !t.is_empty()))
        {
            self.contradict(sink);
        }
    }

    /// Emits the whole answer again from the final items.
    fn emit_again(&mut self, order: &[usize], sink: &mut impl Sink) {
        sink.take_back();
        self.speech = ContentWriter::new(&self.plan);
        self.thought = ReasoningWriter::new(&self.plan);
        self.images = 0;
        let mut calls = Vec::new();
        let mut has_content = false;
        for &at in order {
            match &mut self.items[at].kind {
                _ if self.speech.cut().is_some() => self.drop_image(at),
                Kind::Message(message) => {
                    message.parts.sort_by_key(|part| (part.index, part.is_refusal));
                    message.audience = audience(&self.plan, message.phase, has_content);
                    has_content |= message.audience == Audience::Content;
                    self.say_again(at, sink);
                }
                Kind::Reasoning(item) => {
                    for (source, part, text) in item.texts() {
                        self.thought.push(at, source, part, text, sink);
                    }
                }
                &mut Kind::Call(call) => {
                    calls.push(call);
                    if self.calls.is_made(call) {
                        self.thought.close(sink);
                        self.speech.flush(sink);
                    }
                }
                Kind::Image(_) => {
                    self.thought.close(sink);
                    self.speech.flush(sink);
                    if self.speech.cut().is_some() {
                        self.drop_image(at);
                    }
                }
                Kind::Other => {}
            }
        }
        self.calls.emit_again(&calls, &self.plan);
    }

    fn say_again(&mut self, at: usize, sink: &mut impl Sink) {
        let Kind::Message(message) = &mut self.items[at].kind else { return };
        for part in &mut message.parts {
            let text = part.text.as_str();
            match message.audience {
                _ if text.is_empty() => {}
                _ if part.is_refusal => {
                    self.thought.close(sink);
                    self.speech.flush(sink);
                    if self.speech.cut().is_none() {
                        sink.delta(Delta::Refusal(text));
                    }
                }
                Audience::Content => {
                    self.thought.close(sink);
                    let (separator, offset) = self.speech.begin_message(at);
                    part.offset = offset + self.thought.content_chars();
                    self.speech.push(&joined(separator, text), sink);
                }
                Audience::Reasoning => {
                    self.thought.push(at, Source::Preamble, part.index, text, sink);
                }
                Audience::Suppressed => {}
            }
        }
    }

    fn finish(&mut self, reason: FinishReason, sink: &mut impl Sink) {
        self.progress = Progress::Ended;
        for at in self.items.in_order() {
            self.emit_image(at, sink);
        }
        let shown = self.thought.content_chars() + self.speech.shown_chars();
        let citations = self.citations(shown);
        if !citations.is_empty() {
            sink.delta(Delta::Annotations(&citations));
        }
        if self.plan.reasoning_details && self.is_complete {
            let sealed = self.turn.sealed_reasoning().enumerate();
            let details: Vec<_> = sealed
                .map(|(index, (position, data))| ReasoningDetail::new(index, position, data))
                .collect();
            if !details.is_empty() {
                sink.delta(Delta::ReasoningDetails(&details));
            }
        }
        sink.delta(Delta::Finish(reason));
    }

    /// The citations of all that was shown, so many code points.
    fn citations(&mut self, shown: u64) -> Vec<Annotation> {
        let mut all = Vec::new();
        for item in self.items.iter_mut() {
            let Kind::Message(message) = &mut item.kind else { continue };
            if message.audience != Audience::Content {
                continue;
            }
            for part in &mut message.parts {
                let citations = std::mem::take(&mut part.citations);
                all.extend(citations.within(part.offset, shown));
            }
        }
        all.truncate(MAX_ITEMS);
        all
    }
}

/// Where a message goes. A JSON text must be the only one in the content.
fn audience(plan: &Plan, phase: Option<Phase>, has_content: bool) -> Audience {
    let is_preamble = phase == Some(Phase::Commentary);
    if is_preamble && (plan.json || plan.commentary == Commentary::Reasoning) {
        Audience::Reasoning
    } else if plan.json && has_content {
        Audience::Suppressed
    } else {
        Audience::Content
    }
}

fn class_of_text(kind: TextKind) -> Class {
    match kind {
        TextKind::Output | TextKind::Refusal => Class::Message,
        TextKind::Summary | TextKind::Reasoning => Class::Reasoning,
        TextKind::Arguments | TextKind::Input => Class::Call,
    }
}
