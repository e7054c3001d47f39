//! The signals that a command gets in place of the process that runs it.

#[cfg(not(unix))]
pub(super) use self::other::{Passed, pass};
#[cfg(unix)]
pub(super) use self::unix::{Passed, pass};

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal as _};

    use futures_util::FutureExt as _;
    use futures_util::future::select_all;
    use rustix::process::{Pid, Signal, kill_process};
    use tokio::process::Child;
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    /// The signals that the command gets in place of this process.
    pub(in crate::cli::run) struct Passed {
        streams: [(Stream, Signal); 6],
    }

    impl Passed {
        pub(in crate::cli::run) fn install() -> io::Result<Self> {
            let of = |kind, passed| io::Result::Ok((signal(kind)?, passed));
            let streams = [
                of(SignalKind::terminate(), Signal::TERM)?,
                of(SignalKind::hangup(), Signal::HUP)?,
                of(SignalKind::user_defined1(), Signal::USR1)?,
                of(SignalKind::user_defined2(), Signal::USR2)?,
                of(SignalKind::interrupt(), Signal::INT)?,
                of(SignalKind::quit(), Signal::QUIT)?,
            ];
            Ok(Self { streams })
        }

        /// The next one to pass on. What is typed at a terminal goes to the command as well as to
        /// this process, and must not come twice.
        pub(in crate::cli::run) async fn next(&mut self) -> Option<Signal> {
            let waits = self.streams.iter_mut().map(|(stream, signal)| {
                async {
                    stream.recv().await;
                    *signal
                }
                .boxed()
            });
            let (signal, ..) = select_all(waits).await;
            let is_typed = matches!(signal, Signal::INT | Signal::QUIT);
            (!is_typed || !io::stdin().is_terminal()).then_some(signal)
        }
    }

    pub(in crate::cli::run) fn pass(signal: Option<Signal>, child: &Child) {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let (Some(signal), Some(id)) = (signal, id) {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(id, signal);
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;

    use tokio::process::Child;

    /// The console tells the command as well as this process, which only must not end of it.
    pub(in crate::cli::run) struct Passed;

    impl Passed {
        pub(in crate::cli::run) fn install() -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::cli::run) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(in crate::cli::run) fn pass(_: (), _: &Child) {}
}
