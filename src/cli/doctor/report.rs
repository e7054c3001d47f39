//! The findings for people and for programs. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::finding::{Check, Finding, Level, worst};
use crate::printable::printable;

/// For people, with colours, which are taken out again where nobody wants them.
pub(super) fn to_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut topic = None;
    for finding in findings {
        if topic.replace(finding.topic) != Some(finding.topic) {
            let bold = Style::new().bold();
            let gap = if text.is_empty() { "" } else { "\n" };
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{gap}{bold}{}{bold:#}", title(finding.topic));
        }
        let (mark, style) = mark(finding.level);
        let _ = writeln!(text, "  {style}{mark:<7}{style:#} {}", indented(&finding.text));
        if let Some(mend) = &finding.fix {
            let _ = writeln!(text, "          → {}", indented(mend));
        }
    }
    let _ = writeln!(text, "\n{}", summary(findings));
    text
}

fn title(topic: Check) -> &'static str {
    match topic {
        Check::Settings => "Settings",
        Check::Login => "Login",
        Check::Address => "Address",
        Check::Network => "Network",
        Check::Backend => "Backend",
        Check::Clients => "Clients",
    }
}

/// A word, which means the same without its colour.
fn mark(level: Level) -> (&'static str, Style) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match level {
        Level::Good => ("ok", colour(AnsiColor::Green)),
        Level::Note => ("note", colour(AnsiColor::Cyan)),
        Level::Warning => ("warning", colour(AnsiColor::Yellow)),
        Level::Problem(_) => ("problem", colour(AnsiColor::Red).bold()),
    }
}

/// Further lines begin where the first one does.
fn indented(text: &str) -> String {
    printable(text.trim_end()).replace('\n', "\n          ")
}

fn summary(findings: &[Finding]) -> String {
    let count = |matches: fn(Level) -> bool| {
        findings.iter().filter(|finding| matches(finding.level)).count()
    };
    let problems = count(|level| matches!(level, Level::Problem(_)));
    let warnings = count(|level| level == Level::Warning);
    let counted = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    match (problems, warnings) {
        (0, 0) => "No problems found.".to_owned(),
        (0, warnings) => format!("It works; {}.", counted(warnings, "warning")),
        (problems, 0) => format!("{}.", counted(problems, "problem")),
        (problems, warnings) => {
            format!("{}, {}.", counted(problems, "problem"), counted(warnings, "warning"))
        }
    }
}

/// For programs.
pub(super) fn to_json(findings: &[Finding]) -> Value {
    let of = |finding: &Finding| {
        json!({
            "topic": finding.topic,
            "level": finding.level.name(),
            "code": finding.code,
            "text": finding.text,
            "mend": finding.fix,
        })
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "exit": worst(findings) as u8,
        "findings": findings.iter().map(of).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::good(Check::Settings, "a.a", "fine"),
            Finding::problem(Check::Login, Exit::NotSignedIn, "b.b", "bad\nworse").fix("mend it"),
            Finding::warning(Check::Login, "b.c", "hm"),
        ]
    }

    #[test]
    fn the_text_has_a_word_for_each_level_and_what_to_do() {
        let text = anstream::adapter::strip_str(&to_text(&findings())).to_string();
        let expected = "\
Settings
  ok      fine

Login
  problem bad
          worse
          → mend it
  warning hm

1 problem, 1 warning.
";
        assert_eq!(text, expected);
        for (findings, expected) in [
            (&findings()[..1], "No problems found."),
            (&findings()[2..], "It works; 1 warning."),
            (&findings()[1..2], "1 problem."),
        ] {
            assert_eq!(summary(findings), expected);
        }
    }

    #[test]
    fn the_json_has_the_same_and_the_exit_code() {
        let json = to_json(&findings());
        assert_eq!(json["exit"], 77);
        assert_eq!(json["findings"][0]["level"], "good");
        let expected = json!({"topic": "login", "level": "problem", "code": "b.b",
            "text": "bad\nworse", "mend": "mend it"});
        assert_eq!(json["findings"][1], expected);
    }
}
