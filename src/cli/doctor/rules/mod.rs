//! What the facts mean. Pure: every finding is a function of them.

mod address;
mod backend;
mod clients;
mod login;
mod network;
mod settings;
#[cfg(test)]
mod tests;

use super::facts::{Facts, Rest};
use super::finding::{Check, Finding};

/// All there is to say, topic by topic.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = settings::judge(&facts.settings);
    let Some(rest) = &facts.rest else {
        let text = "the other checks need valid settings and were skipped";
        findings.push(Finding::note(Check::Settings, "settings.unfinished", text));
        return findings;
    };
    let Rest { keys, login, address, network, backend, clients } = rest;
    findings.extend(settings::judge_keys(keys, &facts.settings));
    findings.extend(login::judge(login));
    findings.extend(address::judge(address));
    if let Some(network) = network {
        let is_accepted = backend.as_ref().is_some_and(|backend| backend.models.is_ok());
        findings.extend(network::judge(network, is_accepted));
    }
    if let Some(backend) = backend {
        findings.extend(backend::judge(backend, login.now));
    }
    findings.extend(clients::judge(clients));
    findings
}

/// The time from one moment to another in its largest unit: `2 h`, `8 days`.
fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
