//! The framing of events, beside a decoder that is as simple as can be.

use std::convert::Infallible;

use bytes::Bytes;
use codex_proxy::sse::{self, Error, Limits};
use futures_util::{FutureExt as _, StreamExt as _, stream};

type Outcome = Vec<Result<String, Error<Infallible>>>;

/// A body: the first byte chooses the limits, the second the pieces in which the rest arrives.
/// However it is split, it gives what the simple decoder gives.
pub fn sse(data: &[u8]) {
    let [limits, seed, body @ ..] = data else { return };
    let event = [8, 64, 1 << 10, 1 << 16][usize::from(limits % 4)];
    let expected = decode(body, event);
    let body = Bytes::copy_from_slice(body);
    let limit = Limits { event, body: usize::MAX };
    let singly = (0..body.len()).map(|at| body.slice(at..=at)).collect();
    for reads in [vec![body.clone()], singly, super::split(&body, *seed)] {
        assert_eq!(read(reads, limit), expected);
    }
    for event in expected.iter().flatten() {
        assert!(event.len() <= limit.event);
    }
    // With a limit on all of it there is a part, and then an error.
    let limit = Limits { event, body: usize::from(limits / 4) * 8 };
    let mut got = read(super::split(&body, *seed), limit);
    if body.len() > limit.body {
        let last = got.pop();
        assert!(matches!(last, Some(Err(_))), "{last:?}");
        let too_long = Some(Err(Error::TooLong { max: limit.body }));
        assert!(last == too_long || last.as_ref() == expected.last(), "{last:?}");
        assert!(expected.starts_with(&got));
    } else {
        assert_eq!(got, expected);
    }
}

fn read(reads: Vec<Bytes>, limits: Limits) -> Outcome {
    sse::events(stream::iter(reads.into_iter().map(Ok::<_, Infallible>)), limits)
        .collect()
        .now_or_never()
        .expect("nothing is pending")
}

/// The standard's algorithm over a whole body, up to the first error. A last event without its
/// blank line counts.
fn decode(body: &[u8], max: usize) -> Outcome {
    let mut events = Vec::new();
    let mut data: Vec<&[u8]> = Vec::new();
    let mut size = 0;
    for (number, line) in lines(body).into_iter().chain([b"".as_slice()]).enumerate() {
        if size + line.len() > max {
            events.push(Err(Error::TooLarge { max }));
            return events;
        }
        let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) if number == 0 => rest,
            _ => line,
        };
        if line.is_empty() {
            if size > 0 {
                let Ok(text) = String::from_utf8(data.join(b"\n".as_slice())) else {
                    events.push(Err(Error::NotUtf8));
                    return events;
                };
                events.push(Ok(text));
            }
            (data, size) = (Vec::new(), 0);
            continue;
        }
        let end = line.iter().position(|&byte| byte == b':');
        if &line[..end.unwrap_or(line.len())] != b"data" {
            continue;
        }
        size += line.len();
        let value = end.map_or(b"".as_slice(), |end| &line[end + 1..]);
        data.push(value.strip_prefix(b" ").unwrap_or(value));
    }
    events
}

/// The lines, without their ends: LF, CR LF or CR.
fn lines(body: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        lines.push(line);
        rest = match after {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => after,
        };
    }
    lines
}
