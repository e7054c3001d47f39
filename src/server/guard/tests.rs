mod pages;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{Request, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::Config;
use crate::server::PeerInfo;

const SETTINGS: &str = r#"[server]
api_keys = ["sk-cp-0123456789abcdefghijklmnop"]
allowed_hosts = ["AI.example.com", "10.0.0.7", "[fd00::7]"]
allowed_origins = ["https://chat.example.com", "http://localhost:3000", "app://obsidian.md"]
"#;

/// Names and values.
type Headers<'h> = [(&'h str, &'h [u8])];

fn guard(settings: &str) -> Guard {
    Guard::new(&Config::from_toml(settings).unwrap().server).unwrap()
}

fn tcp(local: &str) -> PeerInfo {
    let local = SocketAddr::new(local.parse().unwrap(), 10455);
    PeerInfo::Tcp { local, peer: local }
}

/// The head of a request that came over `arrival`.
fn head(arrival: Option<PeerInfo>, version: Version, line: &str, headers: &Headers) -> Parts {
    let (method, target) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target).version(version);
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(arrival) = arrival {
        request = request.extension(arrival);
    }
    request.body(()).unwrap().into_parts().0
}

/// A request of a program on this machine, with these headers besides a good Host.
fn local(line: &str, headers: &Headers) -> Parts {
    let headers = [&[("host", &b"localhost"[..])], headers].concat();
    head(Some(tcp("127.0.0.1")), Version::HTTP_11, line, &headers)
}

fn hosted(arrival: PeerInfo, host: &[u8]) -> Parts {
    head(Some(arrival), Version::HTTP_11, "GET /health", &[("host", host)])
}

#[test]
fn loopback_names_the_address_in_use_and_allowed_names_are_answered() {
    use GuardError::{UnclearHost, UnknownHost};
    let guard = guard(SETTINGS);
    let lan = "192.168.1.5";
    // The address that the connection was accepted on, the Host, and what becomes of it.
    let cases: &[(&str, &str, Result<(), GuardError>)] = &[
        ("127.0.0.1", "localhost", Ok(())),
        ("127.0.0.1", "LocalHost:10455", Ok(())),
        ("127.0.0.1", "localhost.", Ok(())),
        ("127.0.0.1", "localhost.:10455", Ok(())),
        ("127.0.0.1", "localhost:", Ok(())),
        ("127.0.0.1", "localhost:1", Ok(())),
        ("127.0.0.1", "127.0.0.1:10455", Ok(())),
        ("127.0.0.1", "127.255.0.9", Ok(())),
        ("::1", "[::1]:10455", Ok(())),
        ("::1", "[0:0:0:0:0:0:0:1]", Ok(())),
        ("::1", "[::ffff:127.0.0.1]", Ok(())),
        ("::1", "[::FFFF:7F00:1]:80", Ok(())),
        ("127.0.0.1", "ai.example.com", Ok(())),
        ("127.0.0.1", "AI.EXAMPLE.COM:443", Ok(())),
        (lan, "10.0.0.7", Ok(())),
        (lan, "[fd00:0::7]:1", Ok(())),
        (lan, lan, Ok(())),
        (lan, "192.168.1.5:10455", Ok(())),
        (lan, "[::ffff:192.168.1.5]", Ok(())),
        ("::ffff:192.168.1.5", lan, Ok(())),
        ("fd00::5", "[fd00::5]", Ok(())),
        (lan, "localhost", Ok(())),
        (lan, "192.168.1.6", Err(UnknownHost)),
        ("127.0.0.1", lan, Err(UnknownHost)),
        ("fd00::5", "[fd00::6]", Err(UnknownHost)),
        ("127.0.0.1", "evil.example", Err(UnknownHost)),
        ("127.0.0.1", "localhost.evil.example", Err(UnknownHost)),
        ("127.0.0.1", "evil.localhost", Err(UnknownHost)),
        ("127.0.0.1", "localhost..", Err(UnknownHost)),
        ("127.0.0.1", "127.0.0.1.evil", Err(UnknownHost)),
        ("127.0.0.1", "127.0.0.1.", Err(UnknownHost)),
        ("127.0.0.1", "127.1", Err(UnknownHost)),
        ("127.0.0.1", "0x7f.1", Err(UnknownHost)),
        ("127.0.0.1", "2130706433", Err(UnknownHost)),
        ("127.0.0.1", "0177.0.0.1", Err(UnknownHost)),
        ("127.0.0.1", "0.0.0.0", Err(UnknownHost)),
        ("127.0.0.1", "[::]", Err(UnknownHost)),
        ("127.0.0.1", "[::127.0.0.1]", Err(UnknownHost)),
        ("127.0.0.1", "ai.example.com.", Err(UnknownHost)),
        ("127.0.0.1", "ai.example.com.evil.example", Err(UnknownHost)),
        ("127.0.0.1", "xai.example.com", Err(UnknownHost)),
        ("127.0.0.1", "", Err(UnclearHost)),
        ("127.0.0.1", ":80", Err(UnclearHost)),
        ("127.0.0.1", "localhost@evil.example", Err(UnclearHost)),
        ("127.0.0.1", "evil@localhost", Err(UnclearHost)),
        ("127.0.0.1", "localhost@localhost:80", Err(UnclearHost)),
        ("127.0.0.1", "localhost:evil.example", Err(UnclearHost)),
        ("127.0.0.1", "localhost:80:80", Err(UnclearHost)),
        ("127.0.0.1", "localhost:+80", Err(UnclearHost)),
        ("127.0.0.1", "localhost:65536", Err(UnclearHost)),
        ("127.0.0.1", "localhost,evil.example", Err(UnknownHost)),
        ("127.0.0.1", "localhost evil.example", Err(UnclearHost)),
        ("127.0.0.1", "localhost/evil", Err(UnclearHost)),
        ("127.0.0.1", "http://localhost", Err(UnclearHost)),
        ("127.0.0.1", "%6cocalhost", Err(UnclearHost)),
        ("127.0.0.1", "localhost%00.evil.example", Err(UnclearHost)),
        ("127.0.0.1", "ｌocalhost", Err(UnclearHost)),
        ("127.0.0.1", "127。0。0。1", Err(UnclearHost)),
        ("127.0.0.1", "::1", Err(UnclearHost)),
        ("127.0.0.1", "[::1", Err(UnclearHost)),
        ("127.0.0.1", "[::1]evil", Err(UnclearHost)),
        ("127.0.0.1", "[127.0.0.1]", Err(UnclearHost)),
        ("127.0.0.1", "[localhost]", Err(UnclearHost)),
        ("127.0.0.1", "[::1%25lo]", Err(UnclearHost)),
    ];
    for (address, host, expected) in cases {
        let parts = hosted(tcp(address), host.as_bytes());
        assert_eq!(guard.check_source(&parts), *expected, "{host:?} at {address}");
    }
}

#[test]
fn there_has_to_be_one_host_that_agrees_with_the_target() {
    use Version as V;
    let guard = guard(SETTINGS);
    let (here, evil) = (("host", &b"localhost:80"[..]), ("host", &b"evil.example"[..]));
    let cases: &[(Version, &str, &Headers, Result<(), GuardError>)] = &[
        (V::HTTP_11, "GET /health", &[], Err(GuardError::UnclearHost)),
        (V::HTTP_10, "GET /health", &[], Err(GuardError::UnclearHost)),
        (V::HTTP_10, "GET /health", &[here], Ok(())),
        (V::HTTP_11, "GET /health", &[here, here], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET /health", &[here, evil], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET http://localhost/health", &[here], Ok(())),
        (V::HTTP_11, "GET http://LOCALHOST:80/health", &[here], Ok(())),
        (V::HTTP_11, "GET http://localhost/health", &[], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET http://localhost/health", &[evil], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET http://evil.example/health", &[here], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET http://evil.example/health", &[evil], Err(GuardError::UnknownHost)),
        (V::HTTP_11, "GET http://evil@localhost/", &[here], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET http://localhost:81/", &[here], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "GET http://127.0.0.1/", &[here], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "CONNECT evil.example:443", &[here], Err(GuardError::UnclearHost)),
        (V::HTTP_11, "OPTIONS *", &[here], Ok(())),
    ];
    for (version, line, headers, expected) in cases {
        let parts = head(Some(tcp("127.0.0.1")), *version, line, headers);
        assert_eq!(guard.check_source(&parts), *expected, "{version:?} {line} {headers:?}");
    }
}

#[test]
fn a_socket_file_is_called_by_any_one_name_and_an_unknown_connection_by_few() {
    let guard = guard(SETTINGS);
    for host in [&b"docker"[..], b"", b"evil.example", b"/run/x.sock"] {
        assert_eq!(guard.check_source(&hosted(PeerInfo::Unix, host)), Ok(()));
    }
    for headers in [&[][..], &[("host", &b"a"[..]), ("host", b"a")]] {
        let parts = head(Some(PeerInfo::Unix), Version::HTTP_11, "GET /", headers);
        assert_eq!(guard.check_source(&parts), Err(GuardError::UnclearHost));
    }
    let page: &Headers = &[("host", b"docker"), ("origin", b"https://evil.example")];
    let parts = head(Some(PeerInfo::Unix), Version::HTTP_11, "GET /", page);
    assert_eq!(guard.check_source(&parts), Err(GuardError::ForeignPage));
    for (host, expected) in [
        ("localhost", Ok(())),
        ("0.0.0.0", Err(GuardError::UnknownHost)),
        ("ai.example.com", Ok(())),
    ] {
        let headers = [("host", host.as_bytes())];
        let parts = head(None, Version::HTTP_11, "GET /", &headers);
        assert_eq!(guard.check_source(&parts), expected, "{host}");
    }
}

#[test]
fn only_pages_of_the_allowed_origins_may_ask() {
    let listed = guard(SETTINGS);
    let cases: &[(&Headers, bool)] = &[
        (&[], true),
        (&[("origin", b"https://chat.example.com")], true),
        (&[("origin", b"http://localhost:3000")], true),
        (&[("origin", b"app://obsidian.md")], true),
        (&[("origin", b"https://chat.example.com"), ("sec-fetch-site", b"cross-site")], true),
        (&[("origin", b"https://evil.example")], false),
        (&[("origin", b"https://chat.example.com.evil.example")], false),
        (&[("origin", b"https://chat.example.com:8443")], false),
        (&[("origin", b"http://chat.example.com")], false),
        (&[("origin", b"https://chat.example.com/")], false),
        (&[("origin", b"http://localhost:3001")], false),
        (&[("origin", b"http://localhost:10455")], false),
        (&[("origin", b"http://127.0.0.1:10455")], false),
        (&[("origin", b"null")], false),
        (&[("origin", b"")], false),
        (&[("origin", b"*")], false),
        (&[("origin", b"https://chat.example.com https://evil.example")], false),
        (&[("origin", b"https://chat.example.com"), ("origin", b"https://evil.example")], false),
        (&[("origin", b"app://obsidian.md"), ("origin", b"app://obsidian.md")], false),
        (&[("origin", b"null"), ("sec-fetch-site", b"same-origin")], false),
        (&[("sec-fetch-site", b"cross-site")], false),
        (&[("sec-fetch-site", b"same-site")], false),
        (&[("sec-fetch-site", b"Cross-Site")], false),
        (&[("sec-fetch-site", b"none"), ("sec-fetch-site", b"cross-site")], false),
        (&[("sec-fetch-site", b"same-origin")], true),
        (&[("sec-fetch-site", b"none")], true),
        (&[("sec-fetch-mode", b"cors")], true),
    ];
    let bare = guard("");
    for (headers, expected) in cases {
        for line in ["GET /health", "POST /v1/chat/completions", "OPTIONS /nope", "DELETE /"] {
            let parts = local(line, headers);
            let verdict = if *expected { Ok(()) } else { Err(GuardError::ForeignPage) };
            assert_eq!(listed.check_source(&parts), verdict, "{line} {headers:?}");
            // Without a list no page may.
            let is_page = headers.iter().any(|(name, _)| *name == "origin");
            let verdict = if *expected && !is_page { Ok(()) } else { Err(GuardError::ForeignPage) };
            assert_eq!(bare.check_source(&parts), verdict, "{line} {headers:?}");
        }
    }
}

#[test]
fn posts_with_the_content_types_of_forms_are_refused_and_no_others() {
    let guard = guard("");
    let verdict = |line: &str, types: &[&str]| {
        let headers: Vec<_> = types.iter().map(|kind| ("content-type", kind.as_bytes())).collect();
        guard.check_caller(&local(line, &headers))
    };
    for kind in [
        "text/plain",
        "text/plain;charset=UTF-8",
        "Text/Plain ; x=y",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; a=\"application/json\"",
    ] {
        for path in ["/v1/chat/completions", "/health", "/nope"] {
            let line = format!("POST {path}");
            assert_eq!(verdict(&line, &[kind]), Err(GuardError::FormContentType), "{kind}");
        }
        assert_eq!(verdict("GET /health", &[kind]), Ok(Caller::Authenticated), "{kind}");
    }
    let both = ["application/json", "text/plain"];
    assert_eq!(verdict("POST /", &both), Err(GuardError::FormContentType));
    for kind in ["application/json", "application/json; charset=utf-8", "text/plain2", "", "*/*"] {
        assert_eq!(verdict("POST /", &[kind]), Ok(Caller::Authenticated), "{kind}");
    }
    assert_eq!(verdict("POST /", &[]), Ok(Caller::Authenticated));
}

#[test]
fn a_browser_has_to_say_what_it_sends_or_for_which_page() {
    let guard = guard("");
    let firefox = ("user-agent", &b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"[..]);
    let json = ("content-type", &b"application/json"[..]);
    let blank = ("content-type", &b" "[..]);
    let origin = ("origin", &b"http://localhost"[..]);
    let node = ("sec-fetch-mode", &b"cors"[..]);
    let curl = ("user-agent", &b"curl/8.14"[..]);
    let cases: &[(&Headers, bool)] = &[
        (&[], true),
        (&[blank], true),
        (&[curl], true),
        (&[node, ("user-agent", b"node")], true),
        (&[firefox, json], true),
        (&[firefox, origin], true),
        (&[firefox], false),
        (&[firefox, blank], false),
        (&[("referer", b"https://evil.example/")], false),
        // What says that it is no other site's has been judged by that.
        (&[firefox, ("sec-fetch-site", b"same-origin")], true),
        (&[firefox, node], false),
    ];
    for (headers, is_fine) in cases {
        let expected =
            if *is_fine { Ok(Caller::Authenticated) } else { Err(GuardError::FormContentType) };
        let found = guard.check_caller(&local("POST /v1/chat/completions", headers));
        assert_eq!(found, expected, "{headers:?}");
        // There is no body to be taken for something else.
        assert!(guard.check_caller(&local("GET /v1/models", headers)).is_ok(), "{headers:?}");
    }
}

#[test]
fn the_key_goes_before_the_content_type_and_health_is_for_everybody() {
    let guard = guard(SETTINGS);
    let form = ("content-type", &b"text/plain"[..]);
    let right = ("authorization", &b"Bearer sk-cp-0123456789abcdefghijklmnop"[..]);
    let wrong = ("authorization", &b"Bearer sk-cp-0123456789abcdefghijklmnoq"[..]);
    let verdict = |line: &str, headers: &[_]| guard.check_caller(&local(line, headers));
    assert_eq!(verdict("POST /v1/models", &[form]), Err(GuardError::NoKey));
    assert_eq!(verdict("POST /v1/models", &[form, wrong]), Err(GuardError::NoKey));
    assert_eq!(verdict("POST /v1/models", &[form, right]), Err(GuardError::FormContentType));
    assert_eq!(verdict("POST /v1/models", &[right]), Ok(Caller::Authenticated));
    for path in ["/health", "/health/", "/health//", "/health?x=/v1/models"] {
        let line = format!("GET {path}");
        assert_eq!(verdict(&line, &[]), Ok(Caller::Anonymous), "{path}");
        assert_eq!(verdict(&line, &[wrong]), Ok(Caller::Anonymous), "{path}");
        assert_eq!(verdict(&line, &[right]), Ok(Caller::Authenticated), "{path}");
    }
    for path in ["/v1/health", "/healthy", "//health", "/health/x", "/HEALTH", "/%68ealth"] {
        assert_eq!(verdict(&format!("GET {path}"), &[]), Err(GuardError::NoKey), "{path}");
    }
}

#[tokio::test]
async fn refusals_are_whole_error_objects_that_tell_strangers_nothing() {
    for (refusal, status, code, advice) in [
        (GuardError::UnclearHost, 400, "invalid_host", "one Host header"),
        (GuardError::UnknownHost, 421, "host_not_allowed", "[server] allowed_hosts"),
        (GuardError::ForeignPage, 403, "origin_not_allowed", "[server] allowed_origins"),
        (GuardError::NoKey, 401, "invalid_api_key", "Authorization: Bearer"),
        (GuardError::FormContentType, 415, "unsupported_content_type", "application/json"),
    ] {
        let response = refuse(refusal);
        assert_eq!(response.status(), status);
        assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
        let challenge = response.headers().get("www-authenticate");
        assert_eq!(challenge.is_some(), status == 401, "{refusal:?}");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let error = body["error"].as_object().unwrap();
        let names: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(names, ["code", "message", "param", "type"], "{refusal:?}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["code"], code);
        assert!(error["param"].is_null());
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(advice), "{message}");
        assert!(!message.contains(env!("CARGO_PKG_VERSION")), "{message}");
    }
}

/// What the documentation says of hosts, put in another way.
fn is_ours(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if let Some(literal) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        let Ok(address) = literal.parse::<Ipv6Addr>() else { return false };
        let own = ["::1", "fd00::7", "::ffff:192.168.1.5", "::ffff:10.0.0.7"];
        let is_own = own.iter().any(|own| own.parse() == Ok(address));
        return is_own || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback());
    }
    let names = ["localhost", "localhost.", "ai.example.com", "10.0.0.7", "192.168.1.5"];
    names.contains(&name.to_ascii_lowercase().as_str())
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() && address.is_loopback())
}

/// Pieces of hosts that mean to be taken for others.
const PIECES: [&str; 34] = [
    "localhost",
    "LOCALHOST",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "[::1]",
    "::1",
    "::",
    "[",
    "]",
    "ffff",
    "192.168.1.5",
    "10.0.0.7",
    "ai.example.com",
    "evil.example",
    "evil",
    "@",
    ":",
    ".",
    "80",
    "10455",
    "%",
    "%2e",
    "%00",
    "/",
    "\\",
    "?",
    "#",
    ",",
    " ",
    "\t",
    "ı",
    "。",
];

proptest! {
    #[test]
    fn no_spelling_of_another_host_passes(
        pieces in vec(select(&PIECES[..]), 1..6),
        is_page in any::<bool>(),
    ) {
        let host = pieces.concat();
        let arrival = tcp("192.168.1.5");
        let Ok(value) = HeaderValue::from_bytes(host.as_bytes()) else { return Ok(()) };
        let guard = guard(SETTINGS);
        let mut parts = hosted(arrival, b"");
        parts.headers.insert("host", value);
        if is_page {
            parts.headers.insert("origin", HeaderValue::from_static("app://obsidian.md"));
        }
        let verdict = guard.check_source(&parts);
        prop_assert!(verdict.is_err() || is_ours(&host), "{host:?} passed");
    }

    #[test]
    fn allowed_hosts_pass_with_any_port_in_any_case(
        name in select(&["localhost", "localhost.", "ai.example.com", "[::1]", "192.168.1.5"][..]),
        capitals in vec(any::<bool>(), 14),
        port in proptest::option::of(any::<u16>()),
    ) {
        let letters = name.chars().zip(capitals);
        let name: String = letters
            .map(|(letter, up)| if up { letter.to_ascii_uppercase() } else { letter })
            .collect();
        let host = port.map_or(name.clone(), |port| format!("{name}:{port}"));
        let parts = hosted(tcp("192.168.1.5"), host.as_bytes());
        prop_assert_eq!(guard(SETTINGS).check_source(&parts), Ok(()), "{}", host);
    }

    #[test]
    fn no_origin_but_the_listed_ones_passes(
        start in select(&["", "null", "https://", "http://", "HTTPS://", "app://"][..]),
        middle in select(&["chat.example.com", "localhost:3000", "obsidian.md", "x"][..]),
        rest in "[ -~]{0,4}",
        site in select(&["same-origin", "none", "cross-site"][..]),
    ) {
        let origin = format!("{start}{middle}{rest}");
        let parts = local("GET /", &[
            ("origin", origin.as_bytes()),
            ("sec-fetch-site", site.as_bytes()),
        ]);
        let listed = ["https://chat.example.com", "http://localhost:3000", "app://obsidian.md"];
        let verdict = guard(SETTINGS).check_source(&parts);
        prop_assert_eq!(verdict.is_ok(), listed.contains(&origin.as_str()), "{:?}", origin);
    }

    #[test]
    fn no_bytes_in_any_header_panic(
        line in select(&["GET /v1/models", "POST /", "OPTIONS *", "GET http://a@b:1/x"][..]),
        headers in vec((
            select(&["host", "origin", "sec-fetch-site", "authorization", "content-type"][..]),
            vec(any::<u8>(), 0..24),
        ), 0..8),
    ) {
        let headers: Vec<(&str, &[u8])> = headers
            .iter()
            .filter(|(_, value)| HeaderValue::from_bytes(value).is_ok())
            .map(|(name, value)| (*name, value.as_slice()))
            .collect();
        let parts = head(Some(tcp("127.0.0.1")), Version::HTTP_11, line, &headers);
        let guard = guard(SETTINGS);
        let _ = guard.check_source(&parts);
        prop_assert!(guard.check_caller(&parts).is_err());
    }
}
