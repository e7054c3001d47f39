//! The last requests, and the tokens of the last hours. Pure: times come from outside.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{RequestOutcome, millis, unix};

/// How many requests are kept.
const MAX_REQUESTS: usize = 50;

/// The length of a bucket, in seconds.
const BUCKET_SECS: u64 = 300;

/// The number of buckets: six hours.
const BUCKETS: u64 = 72;

/// The longest name that is kept: names are chosen by clients and the backend.
const MAX_NAME: usize = 64;

/// The last requests and the tokens of the last hours.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    last: u64,
    requests: VecDeque<Entry>,
    tokens: VecDeque<Bucket>,
}

/// A finished request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Entry {
    seq: u64,
    id: String,
    at: f64,
    model: String,
    stream: bool,
    status: u16,
    outcome: &'static str,
    error: Option<String>,
    first_chunk_ms: Option<u64>,
    total_ms: u64,
    tokens_in: u64,
    tokens_cached: u64,
    tokens_out: u64,
    tokens_reasoning: u64,
    continuity: &'static str,
}

/// The usage in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bucket {
    /// Its beginning, in unix seconds.
    at: u64,
    input: u64,
    cached: u64,
    output: u64,
    requests: u64,
}

impl Activity {
    /// Adds a request.
    pub(crate) fn push(&mut self, ended: &RequestOutcome) {
        self.last += 1;
        if self.requests.len() == MAX_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(Entry::new(self.last, ended));
        let usage = &ended.usage;
        let bucket = self.bucket(bucket_at(ended.at + ended.total));
        bucket.requests += 1;
        let sums = [&mut bucket.input, &mut bucket.cached, &mut bucket.output];
        let more = [
            usage.prompt_tokens,
            usage.prompt_tokens_details.cached_tokens,
            usage.completion_tokens,
        ];
        for (sum, more) in sums.into_iter().zip(more) {
            *sum = sum.saturating_add(more);
        }
    }

    /// The requests after the one with this number, the newest last.
    pub(crate) fn requests(&self, after: u64) -> Vec<Entry> {
        self.requests.iter().filter(|entry| entry.seq > after).cloned().collect()
    }

    /// The tokens of the last six hours, with zeros where there were none, the newest last.
    pub(crate) fn tokens(&self, now: SystemTime) -> Vec<Bucket> {
        let first = oldest(bucket_at(now));
        (0..BUCKETS)
            .map(|number| {
                let at = first + number * BUCKET_SECS;
                let known = self.tokens.iter().find(|bucket| bucket.at == at);
                known.copied().unwrap_or(Bucket { at, ..Bucket::default() })
            })
            .collect()
    }

    /// The bucket of this time. If the clock was set back, there may be buckets in the future.
    fn bucket(&mut self, at: u64) -> &mut Bucket {
        let newest = at;
        self.tokens.retain(|bucket| (oldest(newest)..=newest).contains(&bucket.at));
        if self.tokens.back().is_none_or(|bucket| bucket.at != at) {
            self.tokens.push_back(Bucket { at, ..Bucket::default() });
        }
        let last = self.tokens.len() - 1;
        &mut self.tokens[last]
    }
}

/// The first of the buckets of which this is the last one.
fn oldest(newest: u64) -> u64 {
    newest.saturating_sub((BUCKETS - 1) * BUCKET_SECS)
}

impl Entry {
    fn new(seq: u64, ended: &RequestOutcome) -> Self {
        let usage = &ended.usage;
        let model = ended.slug.as_ref().unwrap_or(&ended.asked);
        Self {
            seq,
            id: ended.request_id.clone(),
            at: unix(ended.at),
            model: clipped(model),
            stream: ended.stream,
            status: ended.status,
            outcome: ended.outcome.as_str(),
            error: ended.error.as_deref().map(clipped),
            first_chunk_ms: ended.first_token.map(millis),
            total_ms: millis(ended.total),
            tokens_in: usage.prompt_tokens,
            tokens_cached: usage.prompt_tokens_details.cached_tokens,
            tokens_out: usage.completion_tokens,
            tokens_reasoning: usage.completion_tokens_details.reasoning_tokens,
            continuity: ended.continuity.as_str(),
        }
    }
}

fn bucket_at(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / BUCKET_SECS * BUCKET_SECS
}

fn clipped(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::{Continuity, Outcome};
    use super::*;
    use crate::chat::usage::{CompletionDetails, PromptDetails, Usage};

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn ended(seconds: u64) -> RequestOutcome {
        let prompt_tokens_details = PromptDetails { cached_tokens: 4, ..PromptDetails::default() };
        let completion_tokens_details =
            CompletionDetails { reasoning_tokens: 2, ..CompletionDetails::default() };
        RequestOutcome {
            request_id: "req_1".to_owned(),
            at: at(seconds),
            asked: "gpt-5.5-high".to_owned(),
            slug: Some("gpt-5.5".to_owned()),
            stream: true,
            status: 200,
            outcome: Outcome::Answered,
            error: None,
            reason: None,
            first_token: Some(Duration::from_millis(312)),
            total: Duration::from_millis(2210),
            usage: Usage {
                prompt_tokens: 10,
                completion_tokens: 5,
                total_tokens: 15,
                prompt_tokens_details,
                completion_tokens_details,
            },
            continuity: Continuity::Hit,
        }
    }

    fn sums(activity: &Activity, now: u64) -> Vec<(u64, u64)> {
        let tokens = activity.tokens(at(now));
        assert_eq!(tokens.len(), 72);
        assert!(tokens.windows(2).all(|pair| pair[1].at - pair[0].at == 300));
        assert_eq!(tokens[71].at, now / 300 * 300);
        tokens.iter().filter(|b| b.requests > 0).map(|b| (b.at, b.input)).collect()
    }

    #[test]
    fn a_request_is_shown_without_its_content() {
        let mut activity = Activity::default();
        activity.push(&ended(NOW));
        let expected = json!([{"seq": 1, "id": "req_1", "at": 1_800_000_000.0, "model": "gpt-5.5",
            "stream": true, "status": 200, "outcome": "answered", "error": null,
            "first_chunk_ms": 312, "total_ms": 2210, "tokens_in": 10, "tokens_cached": 4,
            "tokens_out": 5, "tokens_reasoning": 2, "continuity": "hit"}]);
        assert_eq!(serde_json::to_value(activity.requests(0)).unwrap(), expected);
        let unknown = RequestOutcome {
            slug: None,
            asked: "ä".repeat(1000),
            error: Some("e".repeat(1000)),
            outcome: Outcome::Failed,
            ..ended(NOW)
        };
        activity.push(&unknown);
        let entry = &activity.requests(1)[0];
        assert_eq!((entry.seq, entry.model.chars().count()), (2, MAX_NAME));
        assert_eq!(entry.error.as_ref().unwrap().len(), MAX_NAME);
    }

    #[test]
    fn the_last_fifty_are_kept_and_those_after_a_number_shown() {
        let mut activity = Activity::default();
        for _ in 0..120 {
            activity.push(&ended(NOW));
        }
        let numbers = |after| -> Vec<u64> {
            activity.requests(after).iter().map(|entry| entry.seq).collect()
        };
        assert_eq!(numbers(0), (71..=120).collect::<Vec<_>>());
        assert_eq!(numbers(118), [119, 120]);
        assert_eq!(numbers(120), [0; 0]);
        assert_eq!(numbers(u64::MAX), [0; 0]);
    }

    #[test]
    fn tokens_are_added_up_by_the_time_of_their_end() {
        let mut activity = Activity::default();
        assert_eq!(sums(&activity, NOW), []);
        // The second one ends after it has begun, in the next five minutes.
        for begun in [NOW, NOW + 298, NOW + 299] {
            activity.push(&ended(begun));
        }
        assert_eq!(sums(&activity, NOW + 301), [(NOW, 10), (NOW + 300, 20)]);
        let tokens = activity.tokens(at(NOW + 301));
        let expected = Bucket { at: NOW + 300, input: 20, cached: 8, output: 10, requests: 2 };
        assert_eq!(tokens[71], expected);
        assert_eq!(sums(&activity, NOW + 301 + 70 * 300).len(), 2);
        assert_eq!(sums(&activity, NOW + 301 + 71 * 300), [(NOW + 300, 20)]);
    }

    #[test]
    fn there_is_an_end_of_sums() {
        let mut activity = Activity::default();
        for n in 0..1000 {
            activity.push(&ended(NOW + n * 300));
        }
        assert_eq!(activity.tokens.len(), 72);
        assert_eq!(sums(&activity, NOW + 999 * 300).len(), 72);
    }

    #[test]
    fn a_clock_that_is_put_back_does_no_harm() {
        let mut activity = Activity::default();
        activity.push(&ended(NOW + 10_000));
        activity.push(&ended(NOW));
        activity.push(&ended(NOW));
        assert_eq!(sums(&activity, NOW + 10), [(NOW, 20)]);
        activity.push(&ended(0));
        assert_eq!(activity.tokens(at(2)).len(), 72);
    }
}
