use std::collections::VecDeque;
use std::convert::Infallible;

use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 16;

fn limits(event: usize) -> Limits {
    Limits { event, body: usize::MAX }
}

type Read = Result<Vec<u8>, Infallible>;

/// Everything that `events` gives for these reads; fails if it ever waits with reads left.
fn run<'a>(
    reads: impl IntoIterator<Item = &'a [u8]>,
    max: usize,
) -> Vec<Result<String, Error<Infallible>>> {
    let reads: Vec<Read> = reads.into_iter().map(|read| Ok(read.to_vec())).collect();
    events(stream::iter(reads), limits(max)).collect().now_or_never().expect("no read is pending")
}

fn data<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    run(reads, LIMIT).into_iter().collect::<Result<_, _>>().expect("a good stream")
}

/// The standard's algorithm, written for a whole text; a last event without blank line counts.
fn reference(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n") + "\n\n";
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in text.split('\n') {
        if line.is_empty() {
            events.extend(data.take());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            data = Some(data.map_or(value.to_owned(), |data| data + "\n" + value));
        }
    }
    events
}

const STREAMS: &[(&str, &str, &[&str])] = &[
    ("LF", "event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", &["1", "2"]),
    ("CR LF", "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", &["1", "2"]),
    ("CR", "data: 1\r\rdata: 2\r\r", &["1", "2"]),
    ("a mixture", "data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n\ndata: 4\n\r", &["1", "2", "3", "4"]),
    ("a byte order mark", "\u{feff}data: 1\n\ndata: 2\n\n", &["1", "2"]),
    ("a byte order mark twice", "\u{feff}\u{feff}data: 1\n\ndata: 2\n\n", &["2"]),
    ("a byte order mark alone", "\u{feff}", &[]),
    ("a byte order mark later", "data: 1\n\n\u{feff}data: 2\n\n", &["1"]),
    ("several data lines", "data: {\ndata:  \"a\": 1\ndata: }\n\n", &["{\n \"a\": 1\n}"]),
    ("no space after the colon", "data:1\n\ndata:  2\n\n", &["1", " 2"]),
    ("no colon", "data\n\ndata\ndata\n\n", &["", "\n"]),
    ("empty data", "data:\n\n", &[""]),
    ("no blank line at the end", "data: 1\n\ndata: 2\n", &["1", "2"]),
    ("no line end at the end", "data: 1\n\ndata: 2", &["1", "2"]),
    ("a lone CR at the end", "data: 1\r", &["1"]),
    ("comments", ": hi\n\n:\ndata: 1\n: in between\ndata: 2\n\n: bye", &["1\n2"]),
    ("other fields", "id: 7\nretry: 5\ndatax: no\nDATA: no\ndata: 1\n\nid\n\n", &["1"]),
    ("events without data", "event: ping\n\n\n\ndata: 1\n\nevent: ping", &["1"]),
    ("characters of several bytes", "data: grüße 🦀 \u{2028}\n\n", &["grüße 🦀 \u{2028}"]),
    ("[DONE]", "data: 1\n\ndata: [DONE]\n\n", &["1", "[DONE]"]),
    ("nothing", "", &[]),
];

#[test]
fn every_stream_is_read_alike_at_every_split() {
    for &(name, text, expected) in STREAMS {
        assert_eq!(reference(text), expected, "{name}: the reference");
        let bytes = text.as_bytes();
        assert_eq!(data([bytes]), expected, "{name}: in one read");
        assert_eq!(data(bytes.chunks(1)), expected, "{name}: byte by byte");
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let reads = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(data(reads), expected, "{name}: split at {first} and {second}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_in_any_reads_is_what_the_standard_says(
        text in proptest::collection::vec(
            prop_oneof![
                Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"), Just("data"), Just(":"),
                Just(" "), Just("data: "), Just("event: x"), Just("é"), Just("🦀"),
                Just("\u{feff}"), Just("{\"a\":1}"), Just("\0"), Just("id: 1"),
            ],
            0..40,
        ),
        sizes in proptest::collection::vec(1_usize..9, 1..20),
    ) {
        let text = text.concat();
        let mut rest = text.as_bytes();
        let mut reads = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (read, later) = rest.split_at((*size).min(rest.len()));
            reads.push(read);
            rest = later;
        }
        prop_assert_eq!(data(reads), reference(&text));
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..20) {
        let _ = run(bytes.chunks(size), 64);
    }
}

#[test]
fn an_event_above_the_limit_ends_the_stream_with_an_error() {
    let too_large = || Err(Error::TooLarge { max: 20 });
    let good = b"data: 12345678901234\n\n".as_slice();
    assert_eq!(run([good], 20), [Ok("12345678901234".to_owned())]);
    for (name, bad) in [
        ("one line", "data: 123456789012345\n\n"),
        ("one line, unfinished", "data: 123456789012345"),
        ("many lines", "data: 1234\ndata: 1234\ndata: 1234\n\n"),
        ("a comment", ": 2345678901234567890"),
    ] {
        for size in [1, 5, 100] {
            let reads = [good].into_iter().chain(bad.as_bytes().chunks(size)).chain([good]);
            assert_eq!(run(reads, 20), [Ok("12345678901234".to_owned()), too_large()], "{name}");
        }
    }
}

#[test]
fn comments_do_not_add_up_to_an_event() {
    let comments = b": keepalive\n".repeat(100);
    assert_eq!(run([&comments[..], b"data: 1\n\n"], 20), [Ok("1".to_owned())]);
}

#[test]
fn a_body_above_the_limit_ends_the_stream_with_an_error() {
    let reads: Vec<Read> = ["data: 1\n\n", ": hi\n", ": hi\n", ": hi\n", "data: 2\n\n"]
        .map(|read| Ok(read.as_bytes().to_vec()))
        .into();
    let got = |body| -> Vec<_> {
        let limits = Limits { event: 20, body };
        events(stream::iter(reads.clone()), limits).collect().now_or_never().expect("all is read")
    };
    assert_eq!(got(33), [Ok("1".to_owned()), Ok("2".to_owned())]);
    for max in [9, 20, 32] {
        assert_eq!(got(max), [Ok("1".to_owned()), Err(Error::TooLong { max })]);
    }
    assert_eq!(got(8), [Err(Error::TooLong { max: 8 })]);
}

#[test]
fn data_that_is_not_utf8_ends_the_stream_with_an_error() {
    for bad in [b"data: \xff\n\n".as_slice(), b"data: \xf0\x9f\n\n", b"data: \xe2\x82"] {
        let reads = [b"data: 1\n\n", bad, b"\n\ndata: 2\n\n"];
        assert_eq!(run(reads, LIMIT), [Ok("1".to_owned()), Err(Error::NotUtf8)], "{bad:?}");
    }
}

#[test]
fn a_failing_body_ends_the_stream_without_its_unfinished_event() {
    let body = stream::iter([Ok(b"data: 1\n\ndata: 2\n".as_slice()), Err("cut"), Ok(b"\n")]);
    let got: Vec<_> =
        events(body, limits(LIMIT)).collect().now_or_never().expect("nothing is pending");
    assert_eq!(got, [Ok("1".to_owned()), Err(Error::Body("cut"))]);
}

#[test]
fn the_events_of_one_read_come_without_waiting_in_between() {
    let mut reads = VecDeque::from([Bytes::from(b"data: x\n\n".repeat(1000))]);
    let body = stream::poll_fn(|_| match reads.pop_front() {
        Some(read) => Poll::Ready(Some(Ok::<_, Infallible>(read))),
        None => Poll::Pending,
    });
    let mut events = events(body, limits(LIMIT));
    for _ in 0..1000 {
        assert_eq!(events.next().now_or_never(), Some(Some(Ok("x".to_owned()))));
    }
    assert_eq!(events.next().now_or_never(), None);
}

#[test]
fn a_huge_line_and_a_huge_number_of_lines_come_out_whole() {
    let huge_line = "x".repeat(4 << 20);
    let many_lines = "x\n".repeat(100_000) + "x";
    for data in [huge_line, many_lines] {
        let lines: Vec<String> = data.split('\n').map(|line| format!("data: {line}\n")).collect();
        let body = lines.concat() + "\n";
        let got = run(body.as_bytes().chunks(1000), 8 << 20);
        assert!(got == [Ok(data)]);
    }
}

#[test]
fn data_that_comes_in_one_read_is_not_copied_and_not_held_on_to() {
    let read = Bytes::from(b"event: a\ndata: one\n\ndata: two\n\n".to_vec());
    let place = read.as_ptr_range();
    let mut reads = VecDeque::from([read.clone()]);
    let body = stream::poll_fn(|_| match reads.pop_front() {
        Some(read) => Poll::Ready(Some(Ok::<_, Infallible>(read))),
        None => Poll::Pending,
    });
    let mut events = events(body, limits(LIMIT));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for expected in ["one", "two"] {
        let Poll::Ready(Some(Ok(data))) = events.poll_event(&mut cx) else { panic!("no event") };
        assert_eq!(data, expected);
        assert!(place.contains(&data.as_ptr()));
    }
    assert!(events.poll_event(&mut cx).is_pending());
    assert!(read.is_unique());
}
