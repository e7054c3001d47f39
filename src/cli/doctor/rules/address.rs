//! Where the daemon listens, and who is there.

use super::super::facts::{Address, Found, Holder};
use super::super::finding::{Check, Finding};
use crate::cli::exit::Exit;

const TOPIC: Check = Check::Address;

pub(super) fn judge(address: &Address) -> Vec<Finding> {
    let Address { place, found, holder } = address;
    let by = by(holder.as_ref());
    let another = "stop that program, or let codex-proxy listen on another address: --listen, or \
                   `[server] listen`";
    let taken =
        |code, text: String| Finding::problem(TOPIC, Exit::Unavailable, code, text).fix(another);
    match found {
        Found::Daemon(health) => daemon(place, health, &by),
        Found::Stranger(what) => {
            vec![taken(
                "address.taken",
                format!("{place} is in use by another program{by}: {what}"),
            )]
        }
        Found::Silent(what) => {
            vec![taken(
                "address.silent",
                format!("{place} is in use{by} but does not answer: {what}"),
            )]
        }
        Found::Free => {
            let text = format!("{place} is free; no daemon is running there");
            let mend = "start it with `codex-proxy` or `codex-proxy service start`";
            vec![Finding::note(TOPIC, "address.free", text).fix(mend)]
        }
        Found::Unusable(cause) => {
            let text = format!("cannot listen on {place}: {cause}");
            let mend = "choose another address: --listen, or `[server] listen`";
            vec![Finding::problem(TOPIC, Exit::Unavailable, "address.unusable", text).fix(mend)]
        }
        Found::AnyPort => {
            let text = "the system chooses the daemon's port, so its address is not known";
            let mend = "set a port: --listen, or `[server] listen`";
            vec![Finding::note(TOPIC, "address.any", text).fix(mend)]
        }
    }
}

fn daemon(place: &str, health: &crate::cli::daemon::Health, by: &str) -> Vec<Finding> {
    let Some(details) = &health.details else {
        let text = format!("a daemon answers at {place}{by} but rejects the key of these settings");
        let mend = "restart it with these settings, or use those it was started with";
        return vec![Finding::warning(TOPIC, "address.other-key", text).fix(mend)];
    };
    let text = format!("codex-proxy {} answers at {place}{by}", details.version);
    let mut findings = vec![Finding::good(TOPIC, "address.daemon", text)];
    if details.version != env!("CARGO_PKG_VERSION") {
        let text = format!(
            "the daemon is version {}, this program is version {}",
            details.version,
            env!("CARGO_PKG_VERSION")
        );
        let finding = Finding::warning(TOPIC, "address.other-version", text);
        findings.push(finding.fix("restart the daemon"));
    }
    if details.simulated {
        let text = "the daemon uses a simulated backend: its answers are not real";
        let mend = "for real answers restart it without `--simulate`";
        findings.push(Finding::note(TOPIC, "address.simulated", text).fix(mend));
    } else if let Some(error) = &details.login_error {
        let text = format!("the daemon cannot use its login: {error}");
        let finding = Finding::problem(TOPIC, Exit::NotSignedIn, "address.login-ended", text);
        findings.push(finding.fix("run `codex-proxy login` as the user of the daemon"));
    } else if !details.credentials {
        let text = "the daemon has no login";
        let mend = "run `codex-proxy login` as the user of the daemon, with its settings";
        findings.push(Finding::warning(TOPIC, "address.not-signed-in", text).fix(mend));
    }
    findings
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|Holder { pid, program }| format!(" ({program}, process {pid})")).unwrap_or_default()
}
