//! Nanoseconds per event of `sse::events`, and of `eventsource-stream` beside it.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use codex_proxy::sse;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource as _;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};

const EVENTS: usize = 2000;

const LIMITS: sse::Limits = sse::Limits { event: 16 << 20, body: usize::MAX };

fn event(n: usize) -> String {
    format!(
        "event: response.output_text.delta\n\
         data: {{\"type\":\"response.output_text.delta\",\"content_index\":0,\"delta\":\" word{n}\",\
         \"item_id\":\"msg_0123456789abcdef0123456789abcdef\",\"logprobs\":[],\
         \"obfuscation\":\"x0Yz9Ab3\",\"output_index\":0,\"sequence_number\":{n}}}\n\n"
    )
}

fn body(reads: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(reads.iter().cloned().map(Ok))
}

/// Polls the stream, which never waits, to its end.
fn drain<T>(stream: impl Stream<Item = T>) -> Option<usize> {
    stream
        .fold(0, async |n, event| n + usize::from(black_box(Some(event)).is_some()))
        .now_or_never()
}

/// The same, with the data lent.
fn lend(mut events: sse::Events<impl Stream<Item = Result<Bytes, Infallible>> + Unpin>) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Poll::Ready(Some(event)) = events.poll_event(&mut cx) {
        black_box(event).unwrap();
        count += 1;
    }
    count
}

fn compare(c: &mut Criterion, name: &str, reads: &[Bytes], events: usize) {
    let mut group = c.benchmark_group(format!("sse/{name}"));
    group.throughput(Throughput::Elements(events as u64));
    group.bench_function("sse", |b| {
        b.iter(|| assert_eq!(lend(sse::events(body(reads), LIMITS)), events));
    });
    group.bench_function("eventsource-stream", |b| {
        b.iter(|| assert_eq!(drain(body(reads).eventsource()), Some(events)));
    });
    group.finish();
}

fn cut(bytes: &[u8], size: usize) -> Vec<Bytes> {
    bytes.chunks(size).map(Bytes::copy_from_slice).collect()
}

fn benches(c: &mut Criterion) {
    let events: Vec<Bytes> = (0..EVENTS).map(|n| event(n).into()).collect();
    let whole = events.concat();
    compare(c, "one event per read", &events, EVENTS);
    compare(c, "16 KiB reads", &cut(&whole, 16 << 10), EVENTS);
    compare(c, "64 KiB reads", &cut(&whole, 64 << 10), EVENTS);

    let huge = [b"data: ".as_slice(), &vec![b'x'; 4 << 20], b"\n\n"].concat();
    compare(c, "one 4 MiB line in 16 KiB reads", &cut(&huge, 16 << 10), 1);
}

criterion_group! {
    name = sse;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(sse);
