//! A request body with an idle timeout and a minimum rate.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The required pace of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The idle timeout.
    pub(super) silence: Duration,
    /// How long it may be slower than `bytes_per_second`.
    pub(super) grace: Duration,
    /// The minimum rate after that, on average; higher for a body that would not end in time.
    pub(super) bytes_per_second: u32,
    /// The timeout of the whole body.
    pub(super) total: Duration,
}

/// The body arrived too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request body arrived too slowly")]
pub(crate) struct TooSlow;

/// A body with a required pace. Only the time spent waiting for the client counts: if the daemon
/// does not read for lack of memory, that is not the client's fault.
pub(super) struct Paced<B> {
    body: B,
    pace: Pace,
    received: u64,
    /// The total waiting time, without the current wait.
    waited: Duration,
    /// The start of the current wait.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B: Body> Paced<B> {
    /// A body of known length has all of its memory reserved, so its rate must suffice for the
    /// timeout: slow bodies would block that memory.
    pub(super) fn new(body: B, mut pace: Pace) -> Self {
        let announced = body.size_hint().exact().unwrap_or(0);
        let needed = announced / pace.total.as_secs().max(1);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        pace.bytes_per_second = pace.bytes_per_second.max(needed);
        Self { body, pace, received: 0, waited: Duration::ZERO, since: None, timer: None }
    }

    /// The time left for the next part.
    fn patience(&self) -> Duration {
        let Pace { silence, grace, bytes_per_second, total } = self.pace;
        let paid = Duration::from_millis(
            self.received.saturating_mul(1000) / u64::from(bytes_per_second.max(1)),
        );
        let allowed = grace.saturating_add(paid).min(total);
        silence.min(allowed.saturating_sub(self.waited))
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(since) = this.since.take() {
                this.waited += since.elapsed();
            }
            if let Some(Ok(frame)) = &frame {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.received += u64::try_from(length).unwrap_or(u64::MAX);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let begins = this.since.is_none();
        let patience = this.patience();
        let deadline = *this.since.get_or_insert_with(Instant::now) + patience;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if begins {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::BodyExt as _;
    use tokio::time::sleep;

    use super::*;

    const PACE: Pace = Pace {
        silence: Duration::from_secs(30),
        grace: Duration::from_secs(60),
        bytes_per_second: 100,
        total: Duration::from_secs(600),
    };

    /// Pieces of so many bytes, each so many seconds after the one before, and the length that was
    /// announced.
    struct Pieces(VecDeque<(u64, usize)>, Option<Pin<Box<Sleep>>>, Option<u64>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = hyper::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
            let Some(&(seconds, length)) = self.0.front() else { return Poll::Ready(None) };
            let pause = self.1.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(seconds))));
            ready!(pause.as_mut().poll(cx));
            self.1 = None;
            self.0.pop_front();
            Poll::Ready(Some(Ok(Frame::data(vec![0; length].into()))))
        }

        fn size_hint(&self) -> SizeHint {
            self.2.map_or_else(SizeHint::new, SizeHint::with_exact)
        }
    }

    /// How a body of these pieces ends, and after how many seconds.
    async fn outcome(
        pieces: &[(u64, usize)],
        announced: Option<u64>,
        reader_pauses: u64,
    ) -> (bool, u64) {
        let begin = Instant::now();
        let pieces = pieces.iter().copied().collect();
        let mut body = Paced::new(Pieces(pieces, None, announced), PACE);
        loop {
            match body.frame().await {
                None => return (true, begin.elapsed().as_secs()),
                Some(Ok(_)) => sleep(Duration::from_secs(reader_pauses)).await,
                Some(Err(error)) => {
                    assert!(error.is::<TooSlow>(), "{error}");
                    return (false, begin.elapsed().as_secs());
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_come_at_a_pace() {
        for (what, pieces, expected) in [
            ("nothing", vec![], (true, 0)),
            ("all at once", vec![(0, 1 << 20)], (true, 0)),
            ("slow, but not for long", vec![(20, 1), (20, 1), (19, 1)], (true, 59)),
            ("silence", vec![(0, 1 << 20), (31, 1)], (false, 30)),
            ("drops", vec![(20, 1); 100], (false, 60)),
            ("a pace that is just enough", vec![(20, 2000); 20], (true, 400)),
            ("a pace that is too slow", vec![(20, 1000); 100], (false, 110)),
            (
                "first fast, then drops",
                [vec![(0, 10_000)], vec![(20, 1); 100]].concat(),
                (false, 160),
            ),
            ("without end", vec![(20, 10_000); 1000], (false, 600)),
        ] {
            assert_eq!(outcome(&pieces, None, 0).await, expected, "{what}");
        }
        // Time in which nobody reads does not count.
        assert_eq!(outcome(&[(20, 1); 3], None, 1000).await, (true, 3060));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_body_has_to_come_as_fast_as_its_end_needs() {
        // 600,000 bytes in 600 s are 1000 in every second.
        for (pieces, expected) in [
            (vec![(20, 20_000); 30], (true, 600)),
            (vec![(20, 2000); 300], (false, 66)),
            (vec![(0, 600_000)], (true, 0)),
        ] {
            assert_eq!(outcome(&pieces, Some(600_000), 0).await, expected);
        }
    }
}
