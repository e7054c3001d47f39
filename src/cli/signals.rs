//! Stop signals, once or twice.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// What tells this process to stop: SIGINT, SIGTERM, SIGHUP, which comes when its terminal closes,
/// and SIGQUIT; on Windows Ctrl-C, Ctrl-Break, a console that closes and the end of the session.
/// None of them may interrupt a renewal of the login.
pub(super) struct Signals {
    streams: [Stream; 4],
}

#[cfg(unix)]
type Stream = tokio::signal::unix::Signal;

/// One of the console's events, each of which has a type of its own.
#[cfg(windows)]
type Stream = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<()>> + Send>;

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

impl Signals {
    /// Takes them from now on. Until then they end the process.
    #[cfg(unix)]
    pub(super) fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            streams: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::quit())?,
            ],
        })
    }

    /// Takes them from now on. Until then they end the process.
    #[cfg(windows)]
    pub(super) fn install() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        let (mut interrupt, mut terminate) = (ctrl_c()?, ctrl_break()?);
        let (mut close, mut shutdown) = (ctrl_close()?, ctrl_shutdown()?);
        Ok(Self {
            streams: [
                Box::new(move |cx| interrupt.poll_recv(cx)),
                Box::new(move |cx| terminate.poll_recv(cx)),
                Box::new(move |cx| close.poll_recv(cx)),
                Box::new(move |cx| shutdown.poll_recv(cx)),
            ],
        })
    }

    /// Waits for the next one, which may have come already.
    pub(super) async fn next(&mut self) {
        poll_fn(|cx| {
            let came = self.streams.iter_mut().any(|stream| poll(stream, cx).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Runs what ends by itself after the first signal, of which it is told by the future that it
    /// gets. At the second signal it is dropped, and there is no result.
    pub(super) async fn stop<F: Future>(
        &mut self,
        run: impl FnOnce(BoxFuture<'static, ()>) -> F,
    ) -> Option<F::Output> {
        let (tell, told) = oneshot::channel();
        let running = run(told.map(|_| ()).boxed());
        let twice = async {
            self.next().await;
            let _ = tell.send(());
            self.next().await;
        };
        tokio::select! {
            result = running => Some(result),
            () = twice => None,
        }
    }
}

#[cfg(unix)]
fn poll(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Option<()>> {
    stream.poll_recv(cx)
}

#[cfg(windows)]
fn poll(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Option<()>> {
    stream(cx)
}
