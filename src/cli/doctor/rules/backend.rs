//! What the backend says to the login.

use jiff::Timestamp;

use super::super::facts::{Asked, Backend, Call, Window};
use super::super::finding::{Check, Finding};
use super::span;
use crate::cli::exit::Exit;

const TOPIC: Check = Check::Backend;
/// So much of a limit may be used before it is worth a warning, in percent.
const MUCH: f64 = 90.0;

pub(super) fn judge(backend: &Backend, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![models(&backend.models)];
    match &backend.limits {
        None => {}
        Some(Ok(windows)) => findings.extend(windows.iter().map(|window| limit(window, now))),
        Some(Err((_, message))) => {
            let text = format!("the plan's limits are not known: {message}");
            findings.push(Finding::note(TOPIC, "backend.limits", text));
        }
    }
    findings.extend(backend.call.as_ref().map(call));
    findings
}

fn models(models: &Asked<usize>) -> Finding {
    match models {
        Ok(0) => {
            let text = "the backend offers no models";
            let mend = "check the plan, and `[upstream] client_version`";
            Finding::problem(TOPIC, Exit::Unavailable, "backend.no-models", text).fix(mend)
        }
        Ok(count) => {
            let text = format!("the login is accepted; {count} models are available");
            Finding::good(TOPIC, "backend.models", text)
        }
        // The message says what to do.
        Err((exit, message)) => Finding::problem(TOPIC, *exit, "backend.refused", message),
    }
}

fn limit(window: &Window, now: Timestamp) -> Finding {
    let used = window.used_percent;
    let anew = window.begins_anew.map(|at| at.as_second() - now.as_second());
    let anew = anew.filter(|left| *left > 0).map(|left| span(left.unsigned_abs()));
    let rest = anew.map(|left| format!(", resets in {left}")).unwrap_or_default();
    let text = format!("{used:.0} % of {} used{rest}", length(window.length.as_secs()));
    if used >= 100.0 {
        let mend = "wait until then, or use a key of the OpenAI platform: `[upstream] mode = \
                    \"api_key\"`";
        Finding::problem(TOPIC, Exit::Unavailable, "backend.used-up", text).fix(mend)
    } else if used >= MUCH {
        Finding::warning(TOPIC, "backend.nearly-used-up", text)
    } else {
        Finding::good(TOPIC, "backend.limit", text)
    }
}

fn length(seconds: u64) -> String {
    match seconds {
        ..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn call(call: &Asked<Call>) -> Finding {
    match call {
        Ok(Call { model, took }) => {
            let text = format!("{model} answered in {:.1} s", took.as_secs_f32());
            Finding::good(TOPIC, "backend.call", text)
        }
        Err((exit, message)) => Finding::problem(TOPIC, *exit, "backend.call-failed", message),
    }
}
