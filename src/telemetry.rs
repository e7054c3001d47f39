//! Logs on standard error. By default they contain no content and no secrets: this program never
//! logs them, and other crates, which might, are limited to warnings.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal as _};

use anstyle::Style;
use tracing::Subscriber;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{Listen, LogFormat, callable};
use crate::credentials::Summary;
use crate::printable::{printable, printable_line};

/// The default filter without `RUST_LOG`.
const FILTER: &str = "warn,codex_proxy=info";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another subscriber is already installed in this process.
    #[error("cannot set up the log: {0}")]
    Taken(#[from] TryInitError),
}

/// Sends the logs of this process to standard error, filtered by `RUST_LOG`, and logs panics.
pub fn init(format: LogFormat) -> Result<(), Error> {
    let (filter, mistake) = filter(std::env::var("RUST_LOG").ok().as_deref());
    let is_colourful = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let layer = lines(format, is_colourful, std::io::stderr);
    tracing_subscriber::registry().with(filter).with(layer).try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        // The message may quote content, so only the location is logged.
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked; this is a bug in codex-proxy");
    }));
    if let Some(mistake) = mistake {
        tracing::warn!(%mistake, "invalid RUST_LOG, ignored; example: {FILTER}");
    }
    Ok(())
}

/// The filter from `RUST_LOG`, or the default one and the error in it.
fn filter(wish: Option<&str>) -> (EnvFilter, Option<ParseError>) {
    match wish.filter(|wish| !wish.trim().is_empty()).map(EnvFilter::try_new) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(mistake)) => (EnvFilter::new(FILTER), Some(mistake)),
        None => (EnvFilter::new(FILTER), None),
    }
}

fn lines<S, W>(format: LogFormat, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A line that cannot be written is lost. Reporting that on standard error would panic if it is
    // closed, as after its terminal has closed.
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => layer
            .fmt_fields(debug_fn(text_field).delimited(" "))
            .with_ansi(ansi)
            .with_target(false)
            .boxed(),
        LogFormat::Json => layer
            .map_writer(PrintableLines)
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

/// Writes lines of JSON with terminal control characters escaped, in addition to JSON's own
/// escapes.
struct PrintableLines<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for PrintableLines<W> {
    type Writer = PrintableLines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        PrintableLines(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for PrintableLines<W> {
    /// The buffer is one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Formats a field like the crate's own formatter, with terminal control characters and line breaks
/// escaped.
fn text_field(out: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = printable_line(&value);
    match (field.name(), out.has_ansi_escapes()) {
        ("message", _) => write!(out, "{value}"),
        (name, false) => write!(out, "{name}={value}"),
        (name, true) => {
            let (italic, dim) = (Style::new().italic(), Style::new().dimmed());
            write!(out, "{italic}{name}{italic:#}{dim}={dim:#}{value}")
        }
    }
}

/// The content of the start banner.
#[derive(Debug, Clone)]
pub struct Banner<'a> {
    /// Where the daemon listens: the real port, not 0.
    pub address: &'a Listen,
    /// The displayable part of the login.
    pub login: &'a Summary,
    /// Whether the answers come from the simulated backend.
    pub simulated: bool,
    /// Whether clients must send an API key.
    pub needs_key: bool,
}

/// Logs that the daemon is up, its account, and the settings for clients.
pub fn banner(banner: &Banner<'_>) {
    let Banner { address, login, simulated, needs_key } = banner;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "codex-proxy is listening");
    if *simulated {
        tracing::warn!(
            "SIMULATED BACKEND: the answers are not real and nothing leaves this machine"
        );
    } else if login.signed_in {
        let account = login.email.as_deref().unwrap_or("unknown");
        let plan = login.plan.as_deref().unwrap_or("unknown");
        tracing::info!(account, plan, "signed in");
    } else {
        tracing::warn!(
            "not signed in: run `codex-proxy login` or `codex login`; a restart is not needed"
        );
    }
    let key = if *needs_key { "one of the daemon's API keys" } else { "any API key" };
    match address {
        Listen::Tcp(address) => {
            let page = format!("http://{}/", callable(*address));
            let base_url = format!("{page}v1");
            tracing::info!(base_url, "set your client to base_url = \"{base_url}\" and {key}");
            tracing::info!(page, "status page and chat: {page}");
        }
        Listen::Unix(path) => {
            let (path, base_url) = (path.display(), "http://localhost/v1");
            tracing::info!(base_url, "try it: curl --unix-socket {path} {base_url}/models");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::sync::Arc;

    use super::*;

    fn logged(format: LogFormat, wish: Option<&str>, log: impl FnOnce()) -> String {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let layer = lines(format, false, Arc::clone(&file));
        let subscriber = tracing_subscriber::registry().with(filter(wish).0).with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let mut text = String::new();
        (&*file).rewind().unwrap();
        (&*file).read_to_string(&mut text).unwrap();
        text
    }

    fn start(login: &Summary, simulated: bool, needs_key: bool) -> String {
        let address = Listen::Tcp("127.0.0.1:10455".parse().unwrap());
        start_on(&address, login, simulated, needs_key)
    }

    fn start_on(address: &Listen, login: &Summary, simulated: bool, needs_key: bool) -> String {
        let start = Banner { address, login, simulated, needs_key };
        logged(LogFormat::Text, None, || banner(&start))
    }

    #[test]
    fn a_socket_is_shown_with_the_way_to_use_it() {
        let address = Listen::Unix("/run/api.sock".into());
        let text = start_on(&address, &Summary::default(), true, false);
        for piece in [
            "address=unix:/run/api.sock",
            "curl --unix-socket /run/api.sock http://localhost/v1/models",
        ] {
            assert!(text.contains(piece), "{piece} is not in {text}");
        }
    }

    #[test]
    fn the_banner_tells_for_whom_and_how_to_connect() {
        let login = Summary {
            signed_in: true,
            plan: Some("pro".to_owned()),
            email: Some("j***@example.com".to_owned()),
            ..Summary::default()
        };
        let text = start(&login, false, false);
        for piece in [
            concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
            "address=127.0.0.1:10455",
            "account=\"j***@example.com\" plan=\"pro\"",
            "status page and chat: http://127.0.0.1:10455/",
            "base_url = \"http://127.0.0.1:10455/v1\" and any API key",
        ] {
            assert!(text.contains(piece), "{piece} is not in {text}");
        }
        assert!(!text.contains("WARN"), "{text}");
        let text = start(&login, false, true);
        assert!(text.contains("and one of the daemon's API keys"), "{text}");
    }

    #[test]
    fn a_simulated_backend_and_a_missing_login_are_loud() {
        let simulated = start(&Summary::default(), true, false);
        assert!(simulated.contains("WARN SIMULATED BACKEND"), "{simulated}");
        assert!(!simulated.contains("signed in"), "{simulated}");
        let missing = start(&Summary::default(), false, false);
        assert!(missing.contains("WARN not signed in: run `codex-proxy login`"), "{missing}");
    }

    #[test]
    fn json_lines_are_objects() {
        let text = logged(LogFormat::Json, None, || {
            tracing::info!(model = "gpt-5.5", "done");
            tracing::warn!("twice");
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["model"], "gpt-5.5");
        assert_eq!(lines[0]["message"], "done");
        assert_eq!(lines[1]["level"], "WARN");
    }

    #[test]
    fn no_field_steers_a_terminal_or_begins_another_line() {
        let odd = "a\u{1b}[2Jb\n2026 INFO forged\u{9b}31m\u{202e}\u{7f}";
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, None, || {
                let list = [odd];
                let error = io::Error::other(odd);
                tracing::warn!(plain = odd, shown = %odd, debugged = ?list, %error, "said: {odd}");
                tracing::warn!(error = &error as &dyn std::error::Error, "next");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(steers), "{text:?}");
            assert_eq!(text.matches("forged").count(), 6, "{text}");
        }
    }

    #[test]
    fn colours_are_those_of_the_crates_own_lines() {
        let lines = |fields: bool| {
            let file = Arc::new(tempfile::tempfile().unwrap());
            let plain = tracing_subscriber::fmt::layer().with_writer(Arc::clone(&file));
            let plain = plain.without_time().with_ansi(true).with_target(false);
            let layer: Box<dyn Layer<_> + Send + Sync> = if fields {
                plain.fmt_fields(debug_fn(text_field).delimited(" ")).boxed()
            } else {
                plain.boxed()
            };
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(number = 7, text = "a b", shown = %"a b", "said");
            });
            let mut text = String::new();
            (&*file).rewind().unwrap();
            (&*file).read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(lines(true), lines(false));
    }

    #[test]
    fn others_are_heard_only_when_they_warn_unless_rust_log_says_otherwise() {
        let log = || {
            tracing::info!("ours");
            tracing::debug!("detail");
            tracing::info!(target: "hyper", "theirs");
            tracing::warn!(target: "hyper", "danger");
        };
        let cases: &[(Option<&str>, &[&str])] = &[
            (None, &["ours", "danger"]),
            (Some(" "), &["ours", "danger"]),
            (Some("hyper=info"), &["theirs", "danger"]),
            (Some("codex_proxy=debug"), &["ours", "detail"]),
            (Some("=nonsense="), &["ours", "danger"]),
        ];
        for (wish, expected) in cases {
            let text = logged(LogFormat::Text, *wish, log);
            let words: Vec<_> =
                text.lines().filter_map(|line| line.split_whitespace().last()).collect();
            assert_eq!(words, *expected, "{wish:?}");
        }
        assert!(filter(Some("=nonsense=")).1.is_some());
    }
}
