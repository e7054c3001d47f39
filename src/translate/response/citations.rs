//! Citations, which chat completions nest and count over the whole content.

use crate::chat::delta::{Annotation, UrlCitation};
use crate::responses::event;

/// More than these are not told: each is compared with all the others.
const MAX_CITATIONS: usize = 1024;

/// The citations of an answer, each once: the backend tells them up to three times.
#[derive(Debug, Default)]
pub(super) struct Citations(Vec<UrlCitation>);

impl Citations {
    /// A citation of a part that begins at `offset` code points of the content. Kinds without a
    /// counterpart are left out.
    pub(super) fn add(&mut self, annotation: &event::Annotation<'_>, offset: u64) {
        if annotation.kind.as_deref() != Some("url_citation") {
            return;
        }
        let citation = UrlCitation {
            start_index: annotation.start_index.0.unwrap_or(0).saturating_add(offset),
            end_index: annotation.end_index.0.unwrap_or(0).saturating_add(offset),
            url: annotation.url.as_deref().unwrap_or_default().to_owned(),
            title: annotation.title.as_deref().unwrap_or_default().to_owned(),
        };
        if self.0.len() < MAX_CITATIONS && !self.0.contains(&citation) {
            self.0.push(citation);
        }
    }

    /// All of them that lie within so many code points.
    pub(super) fn within(self, chars: u64) -> Vec<Annotation> {
        self.0
            .into_iter()
            .filter(|citation| citation.end_index <= chars)
            .map(|url_citation| Annotation::UrlCitation { url_citation })
            .collect()
    }
}
