//! Citations, which chat completions nest and count over the whole content.

use std::collections::HashSet;

use crate::chat::delta::{Annotation, UrlCitation};
use crate::responses::event;

/// More than these are not told of one part: each is compared with all the others.
const MAX_CITATIONS: usize = 1024;

/// The citations of one part of a message, each once: the backend tells them up to four times.
#[derive(Debug, Default)]
pub(super) struct Citations(Vec<UrlCitation>);

impl Citations {
    /// One more citation.
    pub(super) fn add(&mut self, annotation: &event::Annotation<'_>) {
        if let Some(citation) = read(annotation)
            && self.0.len() < MAX_CITATIONS
            && !self.0.contains(&citation)
        {
            self.0.push(citation);
        }
    }

    /// All citations of the part. None are no news: hosts leave out what was told before.
    pub(super) fn replace(&mut self, annotations: &[event::Annotation<'_>]) {
        let citations: Vec<_> = annotations.iter().filter_map(read).take(MAX_CITATIONS).collect();
        if citations.is_empty() {
            return;
        }
        let mut known = HashSet::new();
        let is_new: Vec<_> = citations.iter().map(|citation| known.insert(citation)).collect();
        let mut is_new = is_new.into_iter();
        self.0 = citations;
        self.0.retain(|_| is_new.next().unwrap_or(false));
    }

    /// Those that lie within so many code points of the content, in which the part begins at
    /// `offset`.
    pub(super) fn within(self, offset: u64, chars: u64) -> impl Iterator<Item = Annotation> {
        self.0
            .into_iter()
            .map(move |mut citation| {
                citation.start_index = citation.start_index.saturating_add(offset);
                citation.end_index = citation.end_index.saturating_add(offset);
                citation
            })
            .filter(move |citation| citation.end_index <= chars)
            .map(|url_citation| Annotation::UrlCitation { url_citation })
    }
}

/// Kinds without a counterpart are left out.
fn read(annotation: &event::Annotation<'_>) -> Option<UrlCitation> {
    (annotation.kind.as_deref() == Some("url_citation")).then(|| UrlCitation {
        start_index: annotation.start_index.0.unwrap_or(0),
        end_index: annotation.end_index.0.unwrap_or(0),
        url: annotation.url.as_deref().unwrap_or_default().to_owned(),
        title: annotation.title.as_deref().unwrap_or_default().to_owned(),
    })
}
