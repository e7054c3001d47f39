//! `codex-proxy status`

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output;
use super::serve::{keeping_renewals, runtime, store};
use crate::config::{self, Config, LoginStore};
use crate::credentials::{Location, Status, Store, Summary};
use crate::limits::{self, Credits, Limits, Told, Window};
use crate::platform::Platform;
use crate::printable::printable_line;
use crate::upstream::Client;

/// What to show.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show the full e-mail address and the account id
    #[arg(long)]
    show: bool,
    /// Get the plan's limits from the backend
    #[arg(long)]
    limits: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows who is signed in. The daemon is asked what it knows if the settings of `server` are good.
pub(super) fn run(
    config: &Config,
    server: Option<&config::Server>,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let store = store(config, Location::of(&config.auth))?;
    let report = runtime()?.block_on(async {
        let status = store.status().await?;
        let daemons_problem = daemons_problem(server).await;
        if !arguments.limits {
            return Ok(Report { status, limits: None, daemons_problem });
        }
        if status.login.platform == Platform::OpenAiApi {
            let message = "an API key has no plan limits to show; leave out --limits";
            return Err(Failure::new(Exit::Usage, message));
        }
        let limits = keeping_renewals(&store, limits(config, &store)).await??;
        // Asking may have renewed the login.
        let status = store.status().await?;
        Ok::<_, Failure>(Report { status, limits: Some(limits), daemons_problem })
    });
    let report = match report {
        Err(failure) if arguments.json => {
            output::say(&format!(
                "{}\n",
                json!({ "signed_in": false, "error": failure.to_string() })
            ));
            return Err(failure);
        }
        other => other?,
    };
    let location = store.location();
    let now = Timestamp::now();
    let text = if arguments.json {
        format!("{:#}\n", report.to_json(location, arguments.show, now))
    } else {
        report.to_text(location, arguments.show, now)
    };
    output::say(&text);
    // All has been said.
    if report.daemons_problem.is_some() { Err(Failure::silent(Exit::NotSignedIn)) } else { Ok(()) }
}

/// Why the login is of no more use, if the daemon of these settings has found that out. Without one
/// that runs, nobody has.
async fn daemons_problem(server: Option<&config::Server>) -> Option<String> {
    Daemon::of(server?).ok()?.health().await.ok()?.details?.login_error
}

async fn limits(config: &Config, store: &Store) -> Result<Limits, Failure> {
    let client = Client::new(&config.upstream, Arc::new(store.clone()))
        .map_err(|error| Failure::new(Exit::Config, error))?;
    client.usage().await.map_err(|failure| Failure::new(Exit::Unavailable, failure))
}

struct Report {
    status: Status,
    limits: Option<Limits>,
    /// Why the login is of no more use.
    daemons_problem: Option<String>,
}

impl Report {
    fn email(&self, show: bool) -> Option<String> {
        if show {
            self.status.login.email.clone()
        } else {
            Summary::from(&*self.status.login).email
        }
    }

    fn to_json(&self, location: &Location, show: bool, now: Timestamp) -> Value {
        let login = &self.status.login;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let mut report = json!({
            "signed_in": self.daemons_problem.is_none(),
            "kind": match login.platform {
                Platform::Codex => "chatgpt",
                Platform::OpenAiApi => "api_key",
            },
            "email": self.email(show),
            "plan": login.plan,
            "expires_at": time(end(&self.status)),
            "last_refresh": time(self.status.last_refresh),
            "renewable": self.status.is_renewable,
            "store": word(location.keeper),
            "file": location.place(),
        });
        if let Some(problem) = &self.daemons_problem {
            report["error"] = json!(problem);
        }
        if let Some(skew) = self.status.clock_skew {
            report["clock_ahead_secs"] = json!(skew);
        }
        if show {
            report["account_id"] = json!(login.account_id);
        }
        if let Some(limits) = &self.limits {
            report["limits"] = json!(limits::LimitsReport::new(limits.clone(), now.as_second()));
        }
        report
    }

    fn to_text(&self, location: &Location, show: bool, now: Timestamp) -> String {
        let login = &self.status.login;
        let unknown = || "unknown".to_owned();
        if login.platform == Platform::OpenAiApi {
            return format!(
                "{:<8} an API key of the OpenAI platform\n{:<8} {}\n",
                "account",
                "login",
                kept(location)
            );
        }
        let mut rows = vec![
            ("account", self.email(show).unwrap_or_else(unknown)),
            ("plan", login.plan.clone().unwrap_or_else(unknown)),
            (
                "token",
                match &self.daemons_problem {
                    Some(problem) => problem.clone(),
                    None => ending(&self.status, now),
                },
            ),
            ("renewed", self.status.last_refresh.map_or_else(unknown, |at| since(at, now))),
            ("login", kept(location)),
        ];
        if show {
            rows.insert(1, ("id", login.account_id.clone().unwrap_or_else(unknown)));
        }
        if let Some(limits) = &self.limits {
            rows.extend(limits.windows.iter().map(|known| ("limit", window(&known.told, now))));
            rows.extend(limits.credits.as_ref().and_then(credits).map(|text| ("credits", text)));
        }
        if let Some(skew) = self.status.clock_skew {
            let ahead = span(now, now + SignedDuration::from_secs(skew));
            rows.push(("clock", format!("{ahead} ahead when the login was renewed; set it")));
        }
        let mut text = String::new();
        for (name, value) in rows {
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "{name:<8} {}", printable_line(&value));
        }
        text
    }
}

fn word(keeper: LoginStore) -> &'static str {
    match keeper {
        LoginStore::Codex => "codex",
        LoginStore::Own => "own",
    }
}

fn kept(location: &Location) -> String {
    match location.access_token {
        Some(_) => location.place(),
        None => format!("{} ({})", location.place(), whose(location.keeper)),
    }
}

fn whose(keeper: LoginStore) -> &'static str {
    match keeper {
        LoginStore::Codex => "shared with the Codex CLI",
        LoginStore::Own => "codex-proxy only",
    }
}

fn end(status: &Status) -> Option<Timestamp> {
    Timestamp::from_second(status.login.expires_at?).ok()
}

fn ending(status: &Status, now: Timestamp) -> String {
    let renewal = if status.is_renewable { "renewed automatically" } else { "cannot be renewed" };
    match end(status) {
        None => format!("has no expiry time; {renewal}"),
        Some(_) if status.has_expired && status.is_renewable => {
            "has expired; the next request renews it".to_owned()
        }
        Some(_) if status.has_expired => format!("has expired; {renewal}"),
        // By the clock of the service that issued it.
        Some(end) if end <= now => {
            format!("still valid, though by this machine's clock it has expired; {renewal}")
        }
        Some(end) => format!("expires in {}; {renewal}", span(now, end)),
    }
}

fn since(at: Timestamp, now: Timestamp) -> String {
    if at > now { at.to_string() } else { format!("{} ago", span(at, now)) }
}

/// The time between two moments in its largest unit: `2 h`, `8 days`.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs();
    match seconds {
        ..60 => format!("{seconds} s"),
        60..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A window of the plan's limits, told by its length: either may stand in either place.
fn window(told: &Told, now: Timestamp) -> String {
    let Window { used_percent, minutes, resets_at } = told.window;
    let length = match minutes {
        None => told.slot.as_str().to_owned(),
        Some(minutes) if minutes % 60 != 0 => format!("{minutes} minutes"),
        Some(minutes) if minutes < 2880 => format!("{} hours", minutes / 60),
        Some(minutes) => format!("{} days", minutes / 1440),
    };
    let reset = resets_at
        .and_then(|at| Timestamp::from_second(at).ok())
        .map(|at| format!(", resets in {}", span(now, at)))
        .unwrap_or_default();
    let of = if told.is_main() {
        String::new()
    } else {
        format!("{}: ", told.name.as_ref().unwrap_or(&told.id))
    };
    format!("{of}{used_percent:.0} % of {length} used{reset}")
}

/// What can be used beyond the limits, if anything.
fn credits(credits: &Credits) -> Option<String> {
    if credits.unlimited {
        return Some("unlimited".to_owned());
    }
    credits.has_credits.then(|| credits.balance.clone().unwrap_or_else(|| "some".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Login;

    const NOW: i64 = 1_000_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn report() -> Report {
        let login = Login {
            platform: Platform::Codex,
            access_token: "hush".into(),
            account_id: Some("account-1".to_owned()),
            plan: Some("plus".to_owned()),
            email: Some("jo@example.com".to_owned()),
            fedramp: false,
            residency: None,
            expires_at: Some(1_000_003_600),
            issued_at: None,
        };
        let last_refresh = Timestamp::from_second(1_000_000_000 - 200_000).ok();
        let usage = json!({"rate_limit": {
                "primary_window": null,
                "secondary_window": {"used_percent": 4, "limit_window_seconds": 604_800},
            },
            "additional_rate_limits": [{"limit_name": "Spark", "metered_feature": "codex_spark",
                "rate_limit": {"primary_window": {"used_percent": 70.4,
                    "limit_window_seconds": 18_000, "reset_after_seconds": 9000}}}],
            "credits": {"has_credits": true, "unlimited": false, "balance": "12.5"}});
        let update = limits::document::usage(usage.to_string().as_bytes(), NOW).unwrap();
        let store = limits::Store::default();
        store.reporter(None).note(update, limits::Source::Usage, NOW);
        let limits = store.current(NOW);
        let status = Status {
            login: Arc::new(login),
            last_refresh,
            is_renewable: true,
            has_expired: false,
            clock_skew: None,
        };
        Report { status, limits: Some(limits), daemons_problem: None }
    }

    #[test]
    fn the_text_is_short_and_masked_unless_asked() {
        let location = Location::shared(std::path::Path::new("/home/jo/.codex"));
        let text = report().to_text(&location, false, now());
        let expected = "\
account  j***@example.com
plan     plus
token    expires in 60 min; renewed automatically
renewed  2 days ago
login    /home/jo/.codex/auth.json (shared with the Codex CLI)
limit    4 % of 7 days used
limit    Spark: 70 % of 5 hours used, resets in 2 h
credits  12.5
";
        assert_eq!(text, expected);
        let text = report().to_text(&location, true, now());
        assert!(text.contains("jo@example.com") && text.contains("account-1"), "{text}");
    }

    #[test]
    fn a_login_that_has_ended_does_not_look_well() {
        let location = Location::shared(std::path::Path::new("/home/jo/.codex"));
        let mut report = report();
        report.status.clock_skew = Some(7200);
        report.daemons_problem = Some("the login has expired; run `codex-proxy login`".to_owned());
        let text = report.to_text(&location, false, now());
        assert!(
            text.contains("token    the login has expired; run `codex-proxy login`\n"),
            "{text}"
        );
        assert!(text.contains("clock    2 h ahead when the login was renewed"), "{text}");
        let json = report.to_json(&location, false, now());
        assert_eq!(json["signed_in"], false);
        assert_eq!(json["error"], "the login has expired; run `codex-proxy login`");
        assert_eq!(json["clock_ahead_secs"], 7200);
    }

    #[test]
    fn an_api_key_is_told_from_a_plan() {
        let location = Location::shared(std::path::Path::new("/home/jo/.codex"));
        let login = Arc::new(Login::api_key("hush".into()));
        let status = Status {
            login,
            last_refresh: None,
            is_renewable: false,
            has_expired: false,
            clock_skew: None,
        };
        let report = Report { status, limits: None, daemons_problem: None };
        let text = report.to_text(&location, true, Timestamp::now());
        assert_eq!(
            text,
            "account  an API key of the OpenAI platform\n\
             login    /home/jo/.codex/auth.json (shared with the Codex CLI)\n"
        );
        let json = report.to_json(&location, true, now());
        assert_eq!(json["kind"], "api_key");
        assert!(!json.to_string().contains("hush"));
    }

    #[test]
    fn the_json_holds_no_token() {
        let location = Location::shared(std::path::Path::new("/home/jo/.codex"));
        let json = report().to_json(&location, true, now());
        assert_eq!(json["expires_at"], "2001-09-09T02:46:40Z");
        assert_eq!(json["account_id"], "account-1");
        assert!(!json.to_string().contains("hush"));
        assert_eq!(json["limits"]["limits"][1]["name"], "Spark");
        assert!(report().to_json(&location, false, now()).get("account_id").is_none());
    }
}
