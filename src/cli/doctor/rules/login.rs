//! The login: whether there is one, whether it lasts, and who else can get at it.

use jiff::Timestamp;

use super::super::facts::{Login, State, Writable};
use super::super::finding::{Check, Finding};
use super::span;
use crate::cli::exit::Exit;

const TOPIC: Check = Check::Login;
/// A login that ends this soon, and cannot be renewed, is worth a warning.
const SOON: i64 = 24 * 60 * 60;

pub(super) fn judge(login: &Login) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &login.state {
        // Both messages say what to do.
        State::None(error) => {
            let text = error.to_string();
            findings.push(Finding::problem(TOPIC, Exit::NotSignedIn, "login.none", text));
            return findings;
        }
        State::NoKey(text) => {
            findings.push(Finding::problem(TOPIC, Exit::NotSignedIn, "login.no-key", text));
            return findings;
        }
        State::Key => {
            let text = "a key of the OpenAI platform: each request is billed to it";
            findings.push(Finding::good(TOPIC, "login.key", text));
        }
        State::Plan { account, plan, ends, has_expired, is_renewable, clock_skew } => {
            let account = account.as_deref().unwrap_or("an account without an e-mail address");
            let plan = plan.as_deref().unwrap_or("unknown");
            let whose = if login.is_shared { ", shared with the Codex CLI" } else { "" };
            let text = format!("{account}, plan {plan} ({}{whose})", login.path.display());
            findings.push(Finding::good(TOPIC, "login.plan", text));
            findings.push(ending(*ends, *has_expired, *is_renewable, login.now));
            findings.extend(clock_skew.map(clock));
            findings.extend(writing(login, *has_expired, *is_renewable));
        }
    }
    findings.extend(access(login));
    findings.extend(elsewhere(login));
    findings
}

fn ending(
    ends: Option<Timestamp>,
    has_expired: bool,
    is_renewable: bool,
    now: Timestamp,
) -> Finding {
    let left = ends.map(|ends| ends.as_second() - now.as_second());
    let sign_in = "run `codex-proxy login`";
    match (left, is_renewable) {
        (None, _) => Finding::note(TOPIC, "login.no-end", "the token has no expiry time"),
        (Some(_), true) if has_expired => {
            Finding::note(TOPIC, "login.due", "the token has expired; the next request renews it")
        }
        (Some(_), false) if has_expired => {
            let text = "the token has expired and cannot be renewed";
            Finding::problem(TOPIC, Exit::NotSignedIn, "login.ended", text).fix(sign_in)
        }
        (Some(..=0), _) => {
            let text = "the token is still valid, though by this machine's clock it has expired";
            Finding::good(TOPIC, "login.lasts", text)
        }
        (Some(left), true) => {
            let text = format!("the token expires in {}; it is renewed automatically", of(left));
            Finding::good(TOPIC, "login.lasts", text)
        }
        (Some(left), false) => {
            let text = format!("the token expires in {} and cannot be renewed", of(left));
            let finding = if left < SOON { Finding::warning } else { Finding::note };
            finding(TOPIC, "login.ends", text).fix(sign_in)
        }
    }
}

/// Tokens seem to end early by a clock that is ahead.
fn clock(ahead: i64) -> Finding {
    let text = format!(
        "this machine's clock was {} ahead of the sign-in service's when the login was renewed",
        of(ahead)
    );
    Finding::warning(TOPIC, "login.clock", text).fix("set the clock, or enable NTP")
}

fn of(seconds: i64) -> String {
    span(seconds.unsigned_abs())
}

/// Whether a renewed login could be written: without that it is not renewed.
fn writing(login: &Login, has_expired: bool, is_renewable: bool) -> Option<Finding> {
    if !is_renewable {
        return None;
    }
    let file = login.path.display();
    match login.writable {
        Writable::Nothing => {
            let text = format!(
                "neither {file} nor its folder is writable, so the login cannot be renewed"
            );
            let mend = "make the folder writable for the daemon's user; for a container, mount \
                        the folder without `:ro`";
            let code = "login.read-only";
            let finding = if has_expired {
                Finding::problem(TOPIC, Exit::NotSignedIn, code, text)
            } else {
                Finding::warning(TOPIC, code, text)
            };
            Some(finding.fix(mend))
        }
        Writable::FileOnly => {
            let text = format!(
                "no file can be created next to {file}: a renewed login is written in place, and \
                 a crash during the write loses it"
            );
            let mend = "make the folder writable for the daemon's user";
            Some(Finding::warning(TOPIC, "login.folder", text).fix(mend))
        }
        Writable::Folder if login.is_mounted_alone => {
            let text = format!(
                "{file} is mounted as a single file: it cannot be replaced, and the Codex CLI \
                 outside does not see a renewed login if it replaces its own"
            );
            let mend = "mount the folder instead of the file";
            Some(Finding::warning(TOPIC, "login.mounted-alone", text).fix(mend))
        }
        Writable::Folder => None,
    }
}

/// Who else can read the login.
fn access(login: &Login) -> Option<Finding> {
    let mode = login.mode.filter(|mode| mode & 0o077 != 0)?;
    let file = login.path.display();
    let text = format!("other users of this machine can access {file} (mode {:03o})", mode & 0o777);
    Some(Finding::warning(TOPIC, "login.open", text).fix(format!("chmod 600 {file}")))
}

/// Whether the Codex CLI keeps its login elsewhere by now.
fn elsewhere(login: &Login) -> Option<Finding> {
    let store = login.codex_store.as_deref().filter(|store| *store != "file")?;
    if !login.is_shared {
        return None;
    }
    let text = format!(
        "the Codex CLI's config.toml says cli_auth_credentials_store = \"{store}\", which \
         codex-proxy does not read: {} may be an old login",
        login.path.display()
    );
    let mend = "set it to \"file\" and run `codex login` again, or use a separate login with \
                `[auth] store = \"own\"` and `codex-proxy login`";
    Some(Finding::warning(TOPIC, "login.elsewhere", text).fix(mend))
}
