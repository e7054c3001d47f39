//! What clients that are started from this environment would do.

use axum::http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::super::facts::{ClientKey, Clients};
use super::super::finding::{Check, Finding};
use crate::platform::Platform;

const TOPIC: Check = Check::Clients;
/// Where clients look for the API: the SDKs in the first, older programs in the second.
const BASES: [&str; 2] = ["OPENAI_BASE_URL", "OPENAI_API_BASE"];

pub(super) fn judge(clients: &Clients) -> Vec<Finding> {
    let mut findings = Vec::new();
    let set: Vec<_> =
        BASES.into_iter().filter(|name| clients.variables.contains_key(name)).collect();
    for name in &set {
        findings.push(base(clients, name));
    }
    if !set.is_empty() {
        findings.extend(key(clients));
    }
    findings.extend(proxy(clients));
    if findings.is_empty() {
        let text = "no environment variable points clients to another server";
        let finding = Finding::good(TOPIC, "clients.nothing", text);
        findings.push(finding.fix("`codex-proxy snippet` prints the settings for your client"));
    }
    findings
}

fn base(clients: &Clients, name: &str) -> Finding {
    let value = clients.variables.get(name).map(String::as_str).unwrap_or_default();
    let base = normal(value);
    if clients.bases.iter().any(|ours| normal(ours) == base) {
        return Finding::good(TOPIC, "clients.base", format!("{name} is this daemon's address"));
    }
    // The value is not shown: it may hold a password.
    let text =
        format!("{name} is not this daemon's address: clients that read it connect elsewhere");
    let mend = match clients.bases.first() {
        Some(ours) => format!("export {name}={ours}/v1"),
        None => format!("unset {name}"),
    };
    Finding::warning(TOPIC, "clients.other-base", text).fix(mend)
}

/// An address in the form in which those that mean the same are equal.
fn normal(address: &str) -> String {
    let address = address.trim().trim_end_matches('/').to_ascii_lowercase();
    let address = address.strip_suffix("/v1").unwrap_or(&address);
    address.replacen("//localhost:", "//127.0.0.1:", 1)
}

fn key(clients: &Clients) -> Option<Finding> {
    let mend = "set OPENAI_API_KEY to one of the daemon's keys (`codex-proxy snippet env \
                --show-key`)";
    match (clients.key, clients.keys_are_needed) {
        (ClientKey::Absent, true) => {
            let text = "OPENAI_API_KEY is not set, but this daemon requires one of its keys";
            Some(Finding::warning(TOPIC, "clients.no-key", text).fix(mend))
        }
        (ClientKey::Unknown, true) => {
            let text = "OPENAI_API_KEY is not one of this daemon's keys";
            Some(Finding::warning(TOPIC, "clients.other-key", text).fix(mend))
        }
        (ClientKey::Absent, false) => {
            let text = "OPENAI_API_KEY is not set: this daemon needs no key, but most clients \
                        require one";
            Some(Finding::note(TOPIC, "clients.any-key", text).fix("export OPENAI_API_KEY=any"))
        }
        (ClientKey::Unknown, false) if clients.platform == Platform::Codex => {
            let text = "OPENAI_API_KEY is set: this daemon ignores it and never forwards it";
            Some(Finding::note(TOPIC, "clients.unneeded-key", text))
        }
        // To the platform it may be the daemon's own.
        (ClientKey::Known, _) | (ClientKey::Unknown, false) => None,
    }
}

/// Whether clients that follow the proxy variables would look for this machine behind a proxy.
fn proxy(clients: &Clients) -> Option<Finding> {
    let base = clients.bases.first()?;
    let target: Uri = base.parse().ok()?;
    let value = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| clients.variables.get(name));
        found.cloned().unwrap_or_default()
    };
    let exceptions = value(["NO_PROXY", "no_proxy"]);
    // Clients take it for everything; the matcher takes it for every name.
    if exceptions.trim() == "*" {
        return None;
    }
    let matcher = Matcher::builder()
        .all(value(["ALL_PROXY", "all_proxy"]))
        .http(value(["http_proxy", "HTTP_PROXY"]))
        .no(exceptions)
        .build();
    matcher.intercept(&target)?;
    let text = "HTTP_PROXY or ALL_PROXY is set without an exception for this machine: clients \
                send requests for the daemon to the proxy";
    let host = target.host().unwrap_or("127.0.0.1").trim_matches(['[', ']']).to_owned();
    let hosts = if host == "127.0.0.1" { "127.0.0.1,localhost".to_owned() } else { host };
    Some(
        Finding::warning(TOPIC, "clients.proxy", text).fix(format!(
            "export NO_PROXY={hosts} (and no_proxy), in addition to existing entries"
        )),
    )
}
