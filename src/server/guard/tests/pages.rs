//! The page of the daemon's own, and the pages of others that would like to be taken for it.

use reqwest::Url;

use super::super::host::HostMatch;
use super::*;

#[test]
fn names_of_the_settings_stand_apart_from_the_daemon_s_own() {
    use HostMatch::{Any, Listed, Own};
    let hosts = Hosts::new(&["ai.example.com".to_owned(), "127.0.0.9".to_owned()]);
    for (arrival, host, expected) in [
        (tcp("127.0.0.1"), "localhost:10455", Ok(Own)),
        (tcp("127.0.0.1"), "127.0.0.1", Ok(Own)),
        (tcp("127.0.0.1"), "127.0.0.9", Ok(Listed)),
        (tcp("192.168.1.5"), "192.168.1.5:80", Ok(Own)),
        (tcp("192.168.1.5"), "ai.example.com", Ok(Listed)),
        (tcp("192.168.1.5"), "evil.example", Err(GuardError::UnknownHost)),
        (PeerInfo::Unix, "localhost:8080", Ok(Own)),
        (PeerInfo::Unix, "ai.example.com", Ok(Listed)),
        (PeerInfo::Unix, "192.168.1.5", Ok(Any)),
        (PeerInfo::Unix, "evil.example", Ok(Any)),
        (PeerInfo::Unix, "", Ok(Any)),
    ] {
        let found = hosts.check(&hosted(arrival, host.as_bytes()));
        assert_eq!(found, expected, "{host:?} over {arrival:?}");
    }
}

#[test]
fn a_page_of_the_daemon_s_own_may_ask_and_no_page_beside_it() {
    let guard = guard(SETTINGS);
    // The Host, the Origin, what `Sec-Fetch-Site` says if anything, and whether it may.
    let cases: &[(&str, &str, &[&str], bool)] = &[
        ("localhost:10455", "http://localhost:10455", &["same-origin"], true),
        ("localhost:10455", "http://localhost:10455", &[], true),
        ("127.0.0.1:10455", "http://127.0.0.1:10455", &["same-origin"], true),
        ("[::1]:10455", "http://[::1]:10455", &["same-origin"], true),
        ("192.168.1.5:10455", "http://192.168.1.5:10455", &[], true),
        // Through a tunnel or a container's published port.
        ("localhost:8080", "http://localhost:8080", &["same-origin"], true),
        ("localhost", "http://localhost", &["same-origin"], true),
        // With TLS before it, which must be in the settings.
        ("ai.example.com", "https://ai.example.com", &["same-origin"], true),
        ("ai.example.com:8443", "https://ai.example.com:8443", &[], true),
        ("ai.example.com", "http://ai.example.com", &[], true),
        ("10.0.0.7", "https://10.0.0.7", &["same-origin"], true),
        ("localhost:10455", "https://localhost:10455", &["same-origin"], false),
        ("192.168.1.5:10455", "https://192.168.1.5:10455", &[], false),
        // Another port, which is another program.
        ("localhost:10455", "http://localhost:10456", &["same-site"], false),
        ("localhost:10455", "http://localhost:10456", &["same-origin"], false),
        ("localhost:10455", "http://localhost:1045", &[], false),
        ("localhost:10455", "http://localhost", &["same-site"], false),
        ("localhost", "http://localhost:10455", &["same-site"], false),
        ("localhost:80", "http://localhost", &["same-origin"], false),
        ("localhost", "http://localhost:80", &["same-origin"], false),
        ("ai.example.com", "https://ai.example.com:8443", &["same-site"], false),
        // Another name for the same place, which is another page to browsers.
        ("127.0.0.1:10455", "http://localhost:10455", &["cross-site"], false),
        ("localhost:10455", "http://127.0.0.1:10455", &["cross-site"], false),
        ("[::1]:10455", "http://127.0.0.1:10455", &[], false),
        ("localhost.:10455", "http://localhost:10455", &[], false),
        ("localhost:10455", "http://LOCALHOST:10455", &[], false),
        // Another site, or the same site without TLS.
        ("ai.example.com", "http://ai.example.com", &["cross-site"], false),
        ("ai.example.com", "http://ai.example.com", &["same-site"], false),
        ("localhost:10455", "http://localhost:10455", &["none"], false),
        ("localhost:10455", "http://localhost:10455", &["same-origin", "cross-site"], false),
        ("localhost:10455", "http://localhost:10455", &[""], false),
        // Names that only begin or end so.
        ("localhost:10455", "http://localhost:10455.evil.example", &[], false),
        ("localhost:10455", "http://evil.localhost:10455", &[], false),
        ("localhost:10455", "http://localhost:10455/", &[], false),
        ("localhost:10455", "http://evil@localhost:10455", &[], false),
        ("localhost:10455", "http://localhost:10455 http://evil.example", &[], false),
        // Other schemes.
        ("localhost:10455", "HTTP://localhost:10455", &[], false),
        ("localhost:10455", "ws://localhost:10455", &[], false),
        ("localhost:10455", "localhost:10455", &[], false),
        ("localhost:10455", "//localhost:10455", &[], false),
        ("localhost:10455", "null", &["same-origin"], false),
        ("localhost:10455", "", &["same-origin"], false),
    ];
    for (host, origin, sites, expected) in cases {
        let mut headers = vec![("host", host.as_bytes()), ("origin", origin.as_bytes())];
        headers.extend(sites.iter().map(|site| ("sec-fetch-site", site.as_bytes())));
        for line in ["POST /v1/chat/completions", "GET /health", "POST /", "OPTIONS /nope"] {
            let parts = head(Some(tcp("192.168.1.5")), Version::HTTP_11, line, &headers);
            let verdict = if *expected { Ok(()) } else { Err(GuardError::ForeignPage) };
            assert_eq!(guard.check_source(&parts), verdict, "{line} {origin} at {host} {sites:?}");
        }
    }
    // A name that was made to lead here is known before anything is compared with it.
    for host in ["evil.example:10455", "evil.example", "0.0.0.0:10455", "192.168.1.6:10455"] {
        let origin = format!("http://{host}");
        let headers = [("host", host.as_bytes()), ("origin", origin.as_bytes())];
        let parts = head(Some(tcp("192.168.1.5")), Version::HTTP_11, "POST /", &headers);
        assert_eq!(guard.check_source(&parts), Err(GuardError::UnknownHost), "{host}");
    }
    // Two hosts or two origins are as bad as none.
    let (host, origin) = (("host", &b"localhost"[..]), ("origin", &b"http://localhost"[..]));
    for (headers, refusal) in [
        (&[host, host, origin][..], GuardError::UnclearHost),
        (&[origin], GuardError::UnclearHost),
        (&[host, origin, origin], GuardError::ForeignPage),
    ] {
        let parts = head(Some(tcp("127.0.0.1")), Version::HTTP_11, "POST /", headers);
        assert_eq!(guard.check_source(&parts), Err(refusal), "{headers:?}");
    }
}

#[test]
fn over_a_socket_file_only_a_good_name_makes_a_page_the_daemon_s_own() {
    let guard = guard(SETTINGS);
    for (host, origin, expected) in [
        ("localhost:8080", "http://localhost:8080", true),
        ("localhost:8080", "https://localhost:8080", false),
        ("ai.example.com", "https://ai.example.com", true),
        ("evil.example", "http://evil.example", false),
        ("evil.example", "https://evil.example", false),
        ("192.168.1.5", "http://192.168.1.5", false),
        ("", "http://", false),
    ] {
        let headers = [("host", host.as_bytes()), ("origin", origin.as_bytes())];
        let parts = head(Some(PeerInfo::Unix), Version::HTTP_11, "POST /v1/x", &headers);
        let verdict = if expected { Ok(()) } else { Err(GuardError::ForeignPage) };
        assert_eq!(guard.check_source(&parts), verdict, "{origin} at {host:?}");
    }
}

#[test]
fn links_of_other_sites_lead_to_the_page_and_nowhere_else() {
    let guard = guard(SETTINGS);
    let (mode, dest) = (("sec-fetch-mode", &b"navigate"[..]), ("sec-fetch-dest", &b"document"[..]));
    for site in [&b"cross-site"[..], b"same-site"] {
        let site = ("sec-fetch-site", site);
        for line in ["GET /", "GET /?x=y", "GET http://localhost/", "GET http://localhost"] {
            let parts = local(line, &[site, mode, dest]);
            assert_eq!(guard.check_source(&parts), Ok(()), "{line}");
        }
        for (line, headers) in [
            // In a frame, an object, an image, a script; by a program; unsaid.
            ("GET /", &[site, mode, ("sec-fetch-dest", b"iframe")][..]),
            ("GET /", &[site, mode, ("sec-fetch-dest", b"object")]),
            ("GET /", &[site, ("sec-fetch-mode", b"no-cors"), dest]),
            ("GET /", &[site, ("sec-fetch-mode", b"cors"), ("sec-fetch-dest", b"empty")]),
            ("GET /", &[site, mode]),
            ("GET /", &[site, dest]),
            ("GET /", &[site]),
            ("GET /", &[site, mode, mode, dest]),
            ("GET /", &[site, mode, dest, ("sec-fetch-dest", b"iframe")]),
            ("GET /", &[site, ("sec-fetch-mode", b"Navigate"), dest]),
            // With an origin it is no link.
            ("GET /", &[site, mode, dest, ("origin", b"https://evil.example")]),
            ("GET /", &[site, mode, dest, ("origin", b"null")]),
            ("POST /", &[site, mode, dest]),
            ("HEAD /", &[site, mode, dest]),
            ("GET //", &[site, mode, dest]),
            ("GET /health", &[site, mode, dest]),
            ("GET /v1/models", &[site, mode, dest]),
            ("GET /ui/app.js", &[site, mode, dest]),
            ("GET /ui/icon.svg", &[site, mode, dest]),
        ] {
            let parts = local(line, headers);
            let verdict = guard.check_source(&parts);
            assert_eq!(verdict, Err(GuardError::ForeignPage), "{line} {headers:?}");
        }
    }
}

#[test]
fn the_page_can_be_seen_without_a_key_and_nothing_beside_it() {
    let guard = guard(SETTINGS);
    let verdict = |line: &str| guard.check_caller(&local(line, &[]));
    for line in ["GET /", "HEAD /", "GET /?key=x", "GET /ui/app.js", "GET /ui/style.css"] {
        assert_eq!(verdict(line), Ok(Caller::Anonymous), "{line}");
    }
    for line in [
        "POST /",
        "PUT /",
        "OPTIONS /",
        "POST /ui/app.js",
        "GET //",
        "GET /ui",
        "GET /ui/",
        "GET /ui/nope.js",
        "GET /ui/app.js/",
        "GET /ui/../v1/models",
        "GET /ui/%2e%2e/v1/models",
        "GET /ui/app.js/../../v1/models",
        "GET /v1/",
        "GET /v1/models",
        "GET /v1/usage",
        "GET /v1/activity",
    ] {
        assert_eq!(verdict(line), Err(GuardError::NoKey), "{line}");
    }
}

proptest! {
    #[test]
    fn no_page_passes_that_browsers_hold_for_another_one(
        host in select(&[
            "localhost", "localhost:80", "localhost:443", "localhost:10455", "127.0.0.1:10455",
            "ai.example.com", "ai.example.com:443", "ai.example.com:8443", "[::1]:10455",
            "evil.example", "evil.example:10455",
        ][..]),
        scheme in select(&["http://", "https://", "HTTP://", "ftp://", ""][..]),
        named in proptest::option::of(select(&[
            "localhost", "127.0.0.1:10455", "[::1]:10455", "ai.example.com", "evil.example",
            "evil.example@localhost", "localhost#", "LOCALHOST:10455", "10455",
        ][..])),
        rest in select(&["", "", "", ":80", ":443", ":10455", ":1", "/", ".", "@evil.example"][..]),
        site in proptest::option::of(select(&["same-origin", "same-site", "cross-site", "none"][..])),
    ) {
        let origin = format!("{scheme}{}{rest}", named.unwrap_or(host));
        let mut headers = vec![("host", host.as_bytes()), ("origin", origin.as_bytes())];
        headers.extend(site.map(|site| ("sec-fetch-site", site.as_bytes())));
        let parts = head(Some(tcp("127.0.0.1")), Version::HTTP_11, "POST /v1/x", &headers);
        let is_let_in = guard(SETTINGS).check_source(&parts).is_ok();
        // What a browser would take the origins of the page and of the request's target for.
        let page = Url::parse(&origin).ok().map(|url| url.origin());
        let target = |scheme: &str| Url::parse(&format!("{scheme}://{host}")).unwrap().origin();
        let plain = page == Some(target("http"));
        let encrypted = page == Some(target("https")) && host.starts_with("ai.");
        let is_own = !host.starts_with("evil") && (plain || encrypted);
        let is_said = site.is_none_or(|site| site == "same-origin");
        prop_assert!(!is_let_in || (is_own && is_said), "{origin:?} passed at {host:?}");
        // Browsers write neither the port that is the scheme's nor anything behind it.
        let is_as_written = named.is_none() && rest.is_empty();
        let is_browsers = page.is_some_and(|page| page.ascii_serialization() == origin);
        if is_as_written && is_browsers && is_own && is_said {
            prop_assert!(is_let_in, "{origin:?} was refused at {host:?}");
        }
    }
}
