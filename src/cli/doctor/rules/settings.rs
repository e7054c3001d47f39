//! The settings, and the keys of clients.

use super::super::facts::{Keys, Settings};
use super::super::finding::{Check, Finding};
use crate::cli::exit::Exit;

const TOPIC: Check = Check::Settings;
/// About three months, in days. A version of the Codex CLI comes out every few days, and models that
/// need a new one every few weeks.
const OLD: i64 = 92;

pub(super) fn judge(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![file(settings)];
    findings.extend(settings.problems.iter().map(|problem| {
        Finding::problem(TOPIC, Exit::Config, "settings.wrong", problem).fix(
            "correct it; config.example.toml lists every setting, and `codex-proxy config` shows \
             the current values",
        )
    }));
    if !settings.changed.is_empty() {
        let text = format!("overridden: {}", settings.changed.join(", "));
        findings.push(Finding::note(TOPIC, "settings.changed", text));
    }
    findings.extend(age(settings));
    findings
}

/// Whether the version that is named to the backend is so old that models may be missing for it.
fn age(settings: &Settings) -> Option<Finding> {
    let (version, as_of) = settings.client_version.as_ref()?;
    let days = (settings.now.as_second() - as_of.as_second()) / (24 * 60 * 60);
    let text = format!(
        "the backend is told version {version} of the Codex CLI, which was the newest {days} \
         days ago: newer models may not be available"
    );
    let mend = "update the Codex CLI or codex-proxy, or set `[upstream] client_version`";
    (days > OLD).then(|| Finding::warning(TOPIC, "settings.old-version", text).fix(mend))
}

fn file(settings: &Settings) -> Finding {
    let Some(file) = &settings.file else {
        let text = "this system has no settings folder; use flags and variables";
        return Finding::note(TOPIC, "settings.no-folder", text);
    };
    if settings.file_exists {
        Finding::good(TOPIC, "settings.file", format!("read from {}", file.display()))
    } else {
        let text = format!("{} does not exist: using the defaults", file.display());
        Finding::good(TOPIC, "settings.defaults", text)
    }
}

pub(super) fn judge_keys(keys: &Keys, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(problem) = &keys.problem {
        // The message says what to do.
        findings.push(Finding::problem(TOPIC, Exit::Config, "keys.file", problem));
    } else if keys.are_needed {
        findings.push(Finding::good(TOPIC, "keys.needed", "clients must send an API key"));
    }
    let in_file =
        settings.file.iter().filter(|_| keys.are_in_settings_file && settings.file_is_open);
    for file in keys.open_file.iter().chain(in_file) {
        let file = file.display();
        let text = format!("other users of this machine can read the API keys in {file}");
        let finding = Finding::warning(TOPIC, "keys.open", text);
        findings.push(finding.fix(format!("chmod 600 {file}")));
    }
    findings
}
