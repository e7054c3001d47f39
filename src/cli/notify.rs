//! Notifications for systemd (`Type=notify`, `WatchdogSec=`). Without systemd they do nothing.

use std::time::Duration;

use crate::config::Listen;
use crate::credentials::LONGEST_RENEWAL;
use crate::server::Threads;

/// What the daemon may need after its last answer: for a renewal of the login that is on its way.
const AFTERWARDS: Duration = LONGEST_RENEWAL;

/// The daemon listens.
pub(super) fn ready(places: &[Listen]) {
    let places: Vec<_> = places.iter().map(ToString::to_string).collect();
    system::ready(&format!("Listening on {}", places.join(", ")));
}

/// The daemon is stopping, and requests in progress may take so long, perhaps longer than the
/// manager's timeout.
pub(super) fn stopping(limit: Duration) {
    let text = format!("Stopping: requests in progress have {} s to finish", limit.as_secs());
    system::stopping(&text, limit + AFTERWARDS);
}

/// Starts the watchdog notifications, at the manager's interval. A task of the runtime sends them
/// once all `threads` have answered: if one of them is stuck, they stop, and the manager restarts
/// the daemon. Needs a runtime.
pub(super) fn watchdog(threads: Threads) {
    system::watchdog(threads);
}

#[cfg(target_os = "linux")]
mod system {
    use std::time::Duration;

    use sd_notify::NotifyState;
    use tokio::time::{MissedTickBehavior, interval};

    use crate::server::Threads;

    pub(super) fn ready(status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn stopping(status: &str, limit: Duration) {
        let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status(status),
            NotifyState::ExtendTimeoutUsec(limit),
        ]);
    }

    pub(super) fn watchdog(threads: Threads) {
        let Some(patience) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
            return;
        };
        // Once would do; the second time is for a machine that is busy.
        let mut ticks = interval((patience / 2).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::spawn(async move {
            loop {
                ticks.tick().await;
                threads.answer().await;
                tell(&[NotifyState::Watchdog]);
            }
        });
    }

    /// Errors are not fatal.
    fn tell(state: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(state) {
            tracing::debug!(%error, "cannot notify the service manager");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    use crate::server::Threads;

    pub(super) fn ready(_status: &str) {}

    pub(super) fn stopping(_status: &str, _limit: Duration) {}

    pub(super) fn watchdog(_threads: Threads) {}
}
