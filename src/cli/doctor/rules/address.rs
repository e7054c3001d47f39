//! Where the daemon listens, and who is there.

use super::super::facts::{Address, Found, Holder};
use super::super::finding::{Check, Finding};
use crate::cli::exit::Exit;

const TOPIC: Check = Check::Address;

pub(super) fn judge(address: &Address) -> Vec<Finding> {
    let Address { place, found, holder } = address;
    let by = by(holder.as_ref());
    let another = "stop that program, or have codex-proxy listen elsewhere: --listen, or \
                   `[server] listen`";
    let taken =
        |code, text: String| Finding::problem(TOPIC, Exit::Unavailable, code, text).fix(another);
    match found {
        Found::Daemon(health) => daemon(place, health, &by),
        Found::Stranger(what) => {
            vec![taken("address.taken", format!("{place} is taken by another program{by}: {what}"))]
        }
        Found::Silent(what) => {
            vec![taken(
                "address.silent",
                format!("{place} is taken{by} and nobody answers: {what}"),
            )]
        }
        Found::Free => {
            let text = format!("{place} is free; no daemon runs there");
            let mend = "start it with `codex-proxy` or `codex-proxy service start`";
            vec![Finding::note(TOPIC, "address.free", text).fix(mend)]
        }
        Found::Unusable(cause) => {
            let text = format!("{place} cannot be listened on: {cause}");
            let mend = "choose another one: --listen, or `[server] listen`";
            vec![Finding::problem(TOPIC, Exit::Unavailable, "address.unusable", text).fix(mend)]
        }
        Found::AnyPort => {
            let text = "the system chooses the daemon's port, so that nobody can tell where it is";
            let mend = "name a port: --listen, or `[server] listen`";
            vec![Finding::note(TOPIC, "address.any", text).fix(mend)]
        }
    }
}

fn daemon(place: &str, health: &crate::cli::daemon::Health, by: &str) -> Vec<Finding> {
    let Some(details) = &health.details else {
        let text = format!(
            "a daemon answers at {place}{by} and does not take the key of these \
                            settings"
        );
        let mend = "start it again with these settings, or use those that it was started with";
        return vec![Finding::warning(TOPIC, "address.other-key", text).fix(mend)];
    };
    let text = format!("codex-proxy {} answers at {place}{by}", details.version);
    let mut findings = vec![Finding::good(TOPIC, "address.daemon", text)];
    if details.version != env!("CARGO_PKG_VERSION") {
        let text = format!(
            "the daemon is {}, and this program is {}",
            details.version,
            env!("CARGO_PKG_VERSION")
        );
        let finding = Finding::warning(TOPIC, "address.other-version", text);
        findings.push(finding.fix("start the daemon again"));
    }
    if details.simulated {
        let text = "the daemon has a made-up backend: its answers are not real";
        let mend = "for real ones start it without `--simulate`";
        findings.push(Finding::note(TOPIC, "address.simulated", text).fix(mend));
    } else if let Some(error) = &details.login_error {
        let text = format!("the daemon cannot use its login: {error}");
        let finding = Finding::problem(TOPIC, Exit::NotSignedIn, "address.login-ended", text);
        findings.push(finding.fix("run `codex-proxy login` as the user of the daemon"));
    } else if !details.credentials {
        let text = "the daemon finds no login";
        let mend = "run `codex-proxy login` as the user of the daemon, with its settings";
        findings.push(Finding::warning(TOPIC, "address.not-signed-in", text).fix(mend));
    }
    findings
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|Holder { pid, program }| format!(" ({program}, process {pid})")).unwrap_or_default()
}
