//! For every finding, the facts that lead to it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::cli::daemon::{Details, Health};
use crate::cli::doctor::facts::{
    Address, Answer, Backend, Call, ClientKey, Clients, Found, Holder, Keys, Login, Network,
    NoAnswer, Proxy, Roots, Route, Settings, State, Window, Writable,
};
use crate::cli::doctor::finding::{Level, worst};
use crate::cli::exit::Exit;
use crate::credentials;
use crate::platform::Platform;

const NOW: i64 = 1_000_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn plan(ends: Option<i64>, is_renewable: bool) -> State {
    State::Plan {
        account: Some("j***@example.com".to_owned()),
        plan: Some("plus".to_owned()),
        ends: ends.map(|left| at(NOW + left)),
        has_expired: ends.is_some_and(|left| left <= 0),
        is_renewable,
        clock_skew: None,
    }
}

fn health(version: &str, credentials: bool, simulated: bool) -> Found {
    let details =
        Details { version: version.to_owned(), credentials, simulated, login_error: None };
    Found::Daemon(Health { status: "ok".to_owned(), details: Some(details) })
}

fn route(target: &str) -> Route {
    Route {
        target: target.to_owned(),
        is_encrypted: true,
        proxy: None,
        resolved: Ok(vec![[192, 0, 2, 1].into()]),
        connected: Some(Ok(Duration::from_millis(12))),
        answered: Some(Ok(Answer {
            status: 401,
            is_page: false,
            clocks: Some((at(NOW), at(NOW))),
        })),
    }
}

fn window(used_percent: f64) -> Window {
    Window { used_percent, length: Duration::from_secs(18_000), begins_anew: Some(at(NOW + 3600)) }
}

/// A machine on which all is well.
fn well() -> Facts {
    Facts {
        settings: Settings { file: Some("/c.toml".into()), ..Settings::default() },
        rest: Some(Rest {
            keys: Keys::default(),
            login: Login {
                path: "/home/jo/.codex/auth.json".into(),
                is_shared: true,
                state: plan(Some(864_000), true),
                mode: Some(0o100_600),
                writable: Writable::Folder,
                is_mounted_alone: false,
                codex_store: None,
                now: at(NOW),
            },
            address: Address {
                place: "http://127.0.0.1:10455".to_owned(),
                found: health(env!("CARGO_PKG_VERSION"), true, false),
                holder: Some(Holder { pid: 7, program: "codex-proxy".to_owned() }),
            },
            network: Some(Network {
                roots: None,
                backend: route("chatgpt.com:443"),
                issuer: Some(route("auth.openai.com:443")),
            }),
            backend: Some(Backend {
                models: Ok(5),
                limits: Some(Ok(vec![window(4.0)])),
                call: Some(Ok(Call { model: "gpt".to_owned(), took: Duration::from_secs(1) })),
            }),
            clients: Clients {
                bases: vec!["http://127.0.0.1:10455".to_owned()],
                ..Clients::default()
            },
        }),
    }
}

/// Something that is changed about it.
type Change = Box<dyn Fn(&mut Rest)>;

fn rest(change: impl Fn(&mut Rest) + 'static) -> Change {
    Box::new(change)
}

fn login(change: impl Fn(&mut Login) + 'static) -> Change {
    rest(move |rest| change(&mut rest.login))
}

fn found(found: Found) -> Change {
    rest(move |rest| rest.address.found = found.clone())
}

fn network(change: impl Fn(&mut Network) + 'static) -> Change {
    rest(move |rest| change(rest.network.as_mut().unwrap()))
}

fn backend(change: impl Fn(&mut Backend) + 'static) -> Change {
    rest(move |rest| change(rest.backend.as_mut().unwrap()))
}

fn clients(variables: &'static [(&'static str, &'static str)], key: ClientKey) -> Change {
    rest(move |rest| {
        let variables = variables.iter().map(|&(name, value)| (name, value.to_owned()));
        rest.clients.variables = variables.collect();
        rest.clients.key = key;
    })
}

fn no_answer(while_connecting: bool) -> Result<Answer, NoAnswer> {
    Err(NoAnswer { while_connecting, cause: "cause".to_owned() })
}

fn clocks(ours: i64) -> Answer {
    Answer { status: 401, is_page: false, clocks: Some((at(NOW), at(ours))) }
}

fn turn_away(route: &mut Route) {
    route.answered = Some(Ok(Answer { status: 403, is_page: true, clocks: None }));
}

const OURS: (&str, &str) = ("OPENAI_BASE_URL", "http://localhost:10455/v1/");

/// The findings of the settings alone.
fn day(date: &str) -> Timestamp {
    format!("{date}T00:00:00Z").parse().unwrap()
}

#[test]
fn a_version_is_old_after_three_months() {
    for (now, is_old) in [
        ("2026-11-20", false),
        // A clock that is behind makes nothing older.
        ("2026-01-01", false),
        ("2027-02-20", false),
        ("2027-02-21", true),
        ("2028-01-01", true),
    ] {
        let settings = Settings {
            client_version: Some(("0.171.0".to_owned(), day("2026-11-20"))),
            now: day(now),
            ..Settings::default()
        };
        let findings = findings(&Facts { settings, rest: None });
        let old = findings.iter().find(|finding| finding.code == "settings.old-version");
        assert_eq!(old.is_some(), is_old, "{now}");
        assert!(old.is_none_or(|finding| finding.text.contains("0.171.0")));
    }
}

fn of_settings() -> Vec<(&'static str, Level, Settings)> {
    let file = || Settings { file: Some("/c.toml".into()), ..Settings::default() };
    vec![
        ("settings.defaults", Level::Good, file()),
        ("settings.file", Level::Good, Settings { file_exists: true, ..file() }),
        ("settings.no-folder", Level::Note, Settings::default()),
        (
            "settings.wrong",
            Level::Problem(Exit::Config),
            Settings {
                problems: vec!["/c.toml:2: [server] listne: unknown key".to_owned()],
                ..file()
            },
        ),
        (
            "settings.changed",
            Level::Note,
            Settings { changed: vec!["[server] listen (flag --listen)".to_owned()], ..file() },
        ),
        (
            "settings.old-version",
            Level::Warning,
            Settings {
                client_version: Some(("0.171.0".to_owned(), day("2026-11-20"))),
                now: day("2027-02-21"),
                ..file()
            },
        ),
    ]
}

/// Every other finding, and a change that brings it about.
#[expect(clippy::too_many_lines, reason = "a table")]
fn of_the_rest() -> Vec<(&'static str, Level, Change)> {
    use Level::{Good, Note, Problem, Warning};
    let down = Problem(Exit::Unavailable);
    let out = Problem(Exit::NotSignedIn);
    let text = || "cause".to_owned();
    vec![
        (
            "keys.file",
            Problem(Exit::Config),
            rest(|rest| rest.keys.problem = Some("unreadable".to_owned())),
        ),
        ("keys.needed", Good, rest(|rest| rest.keys.are_needed = true)),
        ("keys.open", Warning, rest(|rest| rest.keys.open_file = Some("/keys".into()))),
        (
            "login.none",
            out,
            login(|login| {
                let path = login.path.clone();
                login.state = State::None(credentials::Error::Missing { path });
            }),
        ),
        ("login.no-key", out, login(|login| login.state = State::NoKey("no key".to_owned()))),
        ("login.key", Good, login(|login| login.state = State::Key)),
        ("login.plan", Good, rest(|_| {})),
        ("login.lasts", Good, rest(|_| {})),
        ("login.no-end", Note, login(|login| login.state = plan(None, true))),
        ("login.due", Note, login(|login| login.state = plan(Some(0), true))),
        ("login.ended", out, login(|login| login.state = plan(Some(0), false))),
        (
            "login.clock",
            Warning,
            login(|login| {
                let State::Plan { clock_skew, .. } = &mut login.state else { panic!("a plan") };
                *clock_skew = Some(7200);
            }),
        ),
        ("login.ends", Note, login(|login| login.state = plan(Some(864_000), false))),
        ("login.ends", Warning, login(|login| login.state = plan(Some(3600), false))),
        ("login.read-only", Warning, login(|login| login.writable = Writable::Nothing)),
        (
            "login.read-only",
            out,
            login(|login| {
                login.writable = Writable::Nothing;
                login.state = plan(Some(-1), true);
            }),
        ),
        ("login.folder", Warning, login(|login| login.writable = Writable::FileOnly)),
        ("login.mounted-alone", Warning, login(|login| login.is_mounted_alone = true)),
        ("login.open", Warning, login(|login| login.mode = Some(0o100_640))),
        ("login.elsewhere", Warning, login(|login| login.codex_store = Some("keyring".to_owned()))),
        ("address.daemon", Good, rest(|_| {})),
        ("address.other-version", Warning, found(health("0.0.1", true, false))),
        ("address.simulated", Note, found(health("0.0.1", true, true))),
        ("address.not-signed-in", Warning, found(health("0.0.1", false, false))),
        ("address.login-ended", out, {
            let mut answer = health("0.0.1", false, false);
            if let Found::Daemon(Health { details: Some(details), .. }) = &mut answer {
                details.login_error = Some("it has ended".to_owned());
            }
            found(answer)
        }),
        (
            "address.other-key",
            Warning,
            found(Found::Daemon(Health { status: "ok".to_owned(), details: None })),
        ),
        ("address.taken", down, found(Found::Stranger(text()))),
        ("address.silent", down, found(Found::Silent(text()))),
        ("address.free", Note, found(Found::Free)),
        ("address.unusable", down, found(Found::Unusable(text()))),
        ("address.any", Note, found(Found::AnyPort)),
        (
            "network.certificates",
            Good,
            network(|network| {
                let (variable, path) = ("SSL_CERT_FILE", "/roots.pem".into());
                network.roots = Some(Roots { variable, path, problem: None });
            }),
        ),
        (
            "network.bad-certificates",
            Problem(Exit::Config),
            network(|network| {
                let (variable, path) = ("SSL_CERT_FILE", "/roots.pem".into());
                let problem = Some("/roots.pem holds no usable PEM certificate".to_owned());
                network.roots = Some(Roots { variable, path, problem });
            }),
        ),
        ("network.proxy", Note, network(|network| network.backend.proxy = Some(proxy("http")))),
        (
            "network.socks",
            Problem(Exit::Config),
            network(|network| network.backend.proxy = Some(proxy("socks5"))),
        ),
        (
            "network.dns",
            down,
            network(|network| network.backend.resolved = Err("unknown".to_owned())),
        ),
        (
            "network.connect",
            down,
            network(|network| network.backend.connected = Some(Err("refused".to_owned()))),
        ),
        ("network.tls", down, network(|network| network.backend.answered = Some(no_answer(true)))),
        (
            "network.tunnel",
            down,
            network(|network| {
                network.backend.proxy = Some(proxy("http"));
                network.backend.answered = Some(no_answer(true));
            }),
        ),
        (
            "network.http",
            down,
            network(|network| network.backend.answered = Some(no_answer(false))),
        ),
        (
            "network.blocked",
            Warning,
            rest(|rest| {
                rest.backend = None;
                turn_away(&mut rest.network.as_mut().unwrap().backend);
            }),
        ),
        ("network.answers", Good, rest(|_| {})),
        ("network.clock", Good, rest(|_| {})),
        (
            "network.clock-odd",
            Warning,
            network(|network| network.backend.answered = Some(Ok(clocks(NOW + 31)))),
        ),
        (
            "network.clock-wrong",
            Problem(Exit::Internal),
            network(|network| network.backend.answered = Some(Ok(clocks(NOW - 301)))),
        ),
        (
            "network.issuer",
            Warning,
            network(|network| {
                network.issuer.as_mut().unwrap().resolved = Err("unknown".to_owned());
            }),
        ),
        ("backend.models", Good, rest(|_| {})),
        ("backend.no-models", down, backend(|backend| backend.models = Ok(0))),
        (
            "backend.refused",
            out,
            backend(|backend| backend.models = Err((Exit::NotSignedIn, "m".to_owned()))),
        ),
        ("backend.limit", Good, rest(|_| {})),
        (
            "backend.nearly-used-up",
            Warning,
            backend(|backend| backend.limits = Some(Ok(vec![window(90.0)]))),
        ),
        (
            "backend.used-up",
            down,
            backend(|backend| backend.limits = Some(Ok(vec![window(100.0)]))),
        ),
        (
            "backend.limits",
            Note,
            backend(|backend| {
                backend.limits = Some(Err((Exit::Unavailable, "m".to_owned())));
            }),
        ),
        ("backend.call", Good, rest(|_| {})),
        (
            "backend.call-failed",
            down,
            backend(|backend| backend.call = Some(Err((Exit::Unavailable, "m".to_owned())))),
        ),
        ("clients.nothing", Good, rest(|_| {})),
        ("clients.base", Good, clients(&[OURS], ClientKey::Absent)),
        (
            "clients.other-base",
            Warning,
            clients(&[("OPENAI_API_BASE", "https://jo:hush@a.example")], ClientKey::Absent),
        ),
        (
            "clients.no-key",
            Warning,
            rest(|rest| {
                clients(&[OURS], ClientKey::Absent)(rest);
                rest.clients.keys_are_needed = true;
            }),
        ),
        (
            "clients.other-key",
            Warning,
            rest(|rest| {
                clients(&[OURS], ClientKey::Unknown)(rest);
                rest.clients.keys_are_needed = true;
            }),
        ),
        ("clients.any-key", Note, clients(&[OURS], ClientKey::Absent)),
        ("clients.unneeded-key", Note, clients(&[OURS], ClientKey::Unknown)),
        (
            "clients.proxy",
            Warning,
            clients(&[("ALL_PROXY", "http://jo:hush@proxy.example:1")], ClientKey::Absent),
        ),
    ]
}

fn proxy(scheme: &str) -> Proxy {
    Proxy { scheme: scheme.to_owned(), place: "proxy.example:3128".to_owned() }
}

fn with(change: &Change) -> Vec<Finding> {
    let mut facts = well();
    change(facts.rest.as_mut().unwrap());
    findings(&facts)
}

#[test]
fn where_all_is_well_nothing_is_to_be_done() {
    let findings = findings(&well());
    assert_eq!(worst(&findings), Exit::Ok);
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:#?}");
}

#[test]
fn every_finding_follows_from_its_facts() {
    for (code, level, settings) in of_settings() {
        let findings = findings(&Facts { settings, ..well() });
        let found = findings.iter().find(|finding| finding.code == code);
        assert_eq!(found.map(|finding| finding.level), Some(level), "{code}: {findings:#?}");
    }
    for (code, level, change) in of_the_rest() {
        let findings = with(&change);
        let found = findings.iter().find(|finding| finding.code == code);
        assert_eq!(found.map(|finding| finding.level), Some(level), "{code}: {findings:#?}");
    }
}

#[test]
fn every_problem_and_warning_says_what_to_do() {
    // Their texts are messages of other parts, which say it themselves.
    let others =
        ["keys.file", "login.none", "login.no-key", "backend.refused", "backend.call-failed"];
    for (code, level, change) in of_the_rest() {
        if matches!(level, Level::Problem(_) | Level::Warning) && !others.contains(&code) {
            let findings = with(&change);
            let finding = findings.iter().find(|f| f.code == code && f.level == level).unwrap();
            assert!(finding.fix.is_some() || code == "backend.nearly-used-up", "{finding:?}");
        }
    }
}

#[test]
fn no_finding_shows_what_variables_hold() {
    for (_, _, change) in of_the_rest() {
        for finding in with(&change) {
            assert!(!format!("{finding:?}").contains("hush"), "{finding:?}");
        }
    }
}

/// The codes are what programs match on, and each has its place in the tables above.
#[test]
fn no_finding_is_without_a_test() {
    let sources = [
        include_str!("settings.rs"),
        include_str!("login.rs"),
        include_str!("address.rs"),
        include_str!("network.rs"),
        include_str!("backend.rs"),
        include_str!("clients.rs"),
    ];
    let topics = ["settings.", "keys.", "login.", "address.", "network.", "backend.", "clients."];
    let written: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.split('"'))
        .filter(|text| topics.iter().any(|topic| text.starts_with(topic)))
        .filter(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b"-.".contains(&b)))
        .collect();
    let settings = of_settings();
    let rest = of_the_rest();
    let tested: BTreeSet<&str> =
        settings.iter().map(|row| row.0).chain(rest.iter().map(|row| row.0)).collect();
    assert_eq!(written, tested);
}

#[test]
fn wrong_settings_leave_the_rest_alone() {
    let settings =
        Settings { problems: vec!["p".to_owned(), "q".to_owned()], ..Settings::default() };
    let findings = findings(&Facts { settings, rest: None });
    assert_eq!(worst(&findings), Exit::Config);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
    let wrong = "settings.wrong";
    assert_eq!(codes, ["settings.no-folder", wrong, wrong, "settings.unfinished"]);
}

#[test]
fn keys_in_the_settings_file_are_for_its_owner() {
    for (are_in_file, is_open, expected) in
        [(true, true, true), (true, false, false), (false, true, false)]
    {
        let mut facts = well();
        facts.settings.file_is_open = is_open;
        facts.rest.as_mut().unwrap().keys.are_in_settings_file = are_in_file;
        let found = findings(&facts).iter().any(|finding| finding.code == "keys.open");
        assert_eq!(found, expected, "{are_in_file} {is_open}");
    }
}

#[test]
fn a_login_of_ones_own_is_not_the_codex_clis() {
    let change = login(|login| {
        login.codex_store = Some("keyring".to_owned());
        login.is_shared = false;
    });
    assert!(with(&change).iter().all(|finding| finding.code != "login.elsewhere"));
    let change = login(|login| login.codex_store = Some("file".to_owned()));
    assert!(with(&change).iter().all(|finding| finding.code != "login.elsewhere"));
}

#[test]
fn the_sign_in_service_is_told_from_the_backend() {
    let change = network(|network| {
        network.issuer.as_mut().unwrap().connected = Some(Err("refused".to_owned()));
    });
    let findings = with(&change);
    assert_eq!(worst(&findings), Exit::Ok, "a login lives without it for days");
    let finding = findings.iter().find(|finding| finding.code == "network.issuer").unwrap();
    assert!(finding.text.starts_with("sign-in service: "), "{finding:?}");
}

#[test]
fn pages_for_strangers_are_no_matter_where_the_login_is_accepted() {
    let change = network(|network| {
        turn_away(&mut network.backend);
        turn_away(network.issuer.as_mut().unwrap());
    });
    let findings = with(&change);
    assert!(findings.iter().all(|finding| finding.level == Level::Good), "{findings:#?}");
}

#[test]
fn exceptions_keep_clients_off_proxies() {
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(Variables, bool); 7] = [
        (&[], false),
        (&[("HTTP_PROXY", "http://p:1")], true),
        (&[("http_proxy", "http://p:1")], true),
        (&[("http_proxy", "http://p:1"), ("NO_PROXY", "127.0.0.1")], false),
        (&[("ALL_PROXY", "http://p:1"), ("no_proxy", "127.0.0.0/8")], false),
        (&[("ALL_PROXY", "http://p:1"), ("no_proxy", "corp.example")], true),
        (&[("ALL_PROXY", "http://p:1"), ("no_proxy", "*")], false),
    ];
    for (variables, expected) in cases {
        let findings = with(&clients(variables, ClientKey::Absent));
        let found = findings.iter().any(|finding| finding.code == "clients.proxy");
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[test]
fn addresses_that_mean_the_daemon_are_its_own() {
    for (address, expected) in [
        ("http://127.0.0.1:10455/v1", true),
        ("http://127.0.0.1:10455", true),
        ("http://LOCALHOST:10455/v1/", true),
        ("http://127.0.0.1:1/v1", false),
        ("https://127.0.0.1:10455/v1", false),
        ("https://api.openai.com/v1", false),
    ] {
        let change = rest(move |rest| {
            rest.clients.variables = [("OPENAI_BASE_URL", address.to_owned())].into();
        });
        let findings = with(&change);
        let is_ours = findings.iter().any(|finding| finding.code == "clients.base");
        assert_eq!(is_ours, expected, "{address}");
    }
}

#[test]
fn a_key_of_the_platforms_own_is_not_remarked_on() {
    let change = rest(|rest| {
        clients(&[OURS], ClientKey::Unknown)(rest);
        rest.clients.platform = Platform::OpenAiApi;
    });
    assert!(with(&change).iter().all(|finding| finding.code != "clients.unneeded-key"));
}
