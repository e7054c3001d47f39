//! Being told to stop, once or twice.

use std::io;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
#[cfg(windows)]
use tokio::signal::windows::{CtrlBreak as Terminate, CtrlC as Interrupt};
use tokio::sync::oneshot;

#[cfg(unix)]
type Interrupt = tokio::signal::unix::Signal;
#[cfg(unix)]
type Terminate = tokio::signal::unix::Signal;

/// What tells this process to stop: SIGINT and SIGTERM, on Windows Ctrl-C and Ctrl-Break.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Interrupt,
    terminate: Terminate,
}

impl Signals {
    /// Takes them from now on. Until then they end the process.
    #[cfg(unix)]
    pub(super) fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Takes them from now on. Until then they end the process.
    #[cfg(windows)]
    pub(super) fn install() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()? })
    }

    /// Waits for the next one, which may have come already.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
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
