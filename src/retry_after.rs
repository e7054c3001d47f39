//! How long the headers of an answer ask to wait before the next request. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The wait of `retry-after-ms`, which OpenAI's services send, else that of `retry-after`: in
/// seconds, or until a date. A date that has passed is a wait of zero.
pub(crate) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok();
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let millis = text("retry-after-ms").and_then(number);
    if let Some(wait) = millis.and_then(|millis| seconds(millis / 1000.0)) {
        return Some(wait);
    }
    let text = text(RETRY_AFTER.as_str())?;
    if let Some(wait) = number(text) {
        return seconds(wait);
    }
    let date = rfc2822::parse(text).ok()?.timestamp();
    Some(date.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    #[test]
    fn the_wait_that_headers_ask_for_is_read_in_all_forms() {
        let now = rfc2822::parse("Sun, 22 Nov 2026 10:00:00 GMT").unwrap().timestamp();
        for (headers, millis) in [
            (&[("retry-after", "7")][..], Some(7000)),
            (&[("retry-after", " 1.5 ")], Some(1500)),
            (&[("retry-after-ms", "250"), ("retry-after", "1")], Some(250)),
            (&[("retry-after-ms", "soon"), ("retry-after", "1")], Some(1000)),
            (&[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")], Some(30_000)),
            (&[("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")], Some(0)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "1e300")], None),
            (&[("retry-after", "tomorrow")], None),
            (&[], None),
        ] {
            let map = headers
                .iter()
                .map(|&(name, text)| (name.parse::<HeaderName>().unwrap(), text.parse().unwrap()))
                .collect();
            assert_eq!(read(&map, now), millis.map(Duration::from_millis), "{headers:?}");
        }
    }
}
