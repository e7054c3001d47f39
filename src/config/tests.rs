use super::*;

fn sources(file: &str, environment: &[(&str, &str)]) -> Sources {
    Sources {
        flags: Flags::default(),
        environment: environment.iter().copied().collect(),
        file: Some(File { path: PathBuf::from("/c.toml"), text: file.to_owned() }),
        home: Some(PathBuf::from("/home/jo")),
    }
}

fn loaded(file: &str, environment: &[(&str, &str)]) -> (Config, String) {
    let (config, effective) = Config::from_sources(&sources(file, environment)).unwrap();
    (config, effective.to_string())
}

fn problems(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    match Config::from_sources(&sources(file, environment)) {
        Ok(_) => Vec::new(),
        Err(Error::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

/// Every `key = value  # origin` line of the printed settings, by `section.key`.
fn printed(effective: &str) -> BTreeMap<String, (String, String)> {
    let mut section = "";
    let mut lines = BTreeMap::new();
    for line in effective.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((pair, origin)) = line.split_once("  # ") {
            let (key, value) = pair.split_once(" = ").unwrap();
            lines.insert(format!("{section}.{key}"), (value.to_owned(), origin.to_owned()));
        }
    }
    lines
}

#[test]
fn without_any_source_the_defaults_are_in_force() {
    let (config, _) = loaded("", &[]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:10455");
    assert_eq!(config.server.max_body_bytes, 128 * 1024 * 1024);
    assert_eq!(config.upstream.base_url.as_str(), "https://chatgpt.com/backend-api/codex");
    assert_eq!(config.upstream.public_url.as_str(), "https://api.openai.com/v1");
    assert_eq!(config.upstream.compression, Compression::Auto);
    assert_eq!(config.upstream.idle_timeout, Duration::from_secs(300));
    assert_eq!(config.upstream.connect_timeout, Duration::from_secs(15));
    assert!(config.upstream.prewarm);
    assert_eq!(config.upstream.originator, "codex-proxy");
    assert_eq!(config.upstream.user_agent, concat!("codex-proxy/", env!("CARGO_PKG_VERSION")));
    let cache = PathBuf::from("/home/jo/.codex/models_cache.json");
    assert_eq!(config.upstream.client_version, ClientVersion::Auto { cache });
    assert_eq!(config.upstream.session_headers, ["session-id", "thread-id", "x-client-request-id"]);
    assert!(config.upstream.headers.is_empty());
    assert_eq!(config.auth.issuer.as_str(), "https://auth.openai.com/");
    assert_eq!(config.auth.codex_home, Path::new("/home/jo/.codex"));
    assert!(!config.compat.strict);
    assert_eq!(config.compat.max_tokens, MaxTokens::Visible);
    assert_eq!(config.output.reasoning, Reasoning::ReasoningContent);
    assert_eq!(config.output.commentary, Commentary::Content);
    assert_eq!(config.models.unknown, UnknownModel::Reject);
    assert!(config.models.aliases.is_empty());
    assert_eq!(config.log.format, LogFormat::Text);
}

/// The values must agree and no key may be missing: a default's origin would give that away.
#[test]
fn the_example_file_spells_out_every_default() {
    let example = include_str!("../../config.example.toml");
    let (defaults, written) = (loaded("", &[]).1, loaded(example, &[]).1);
    let (defaults, written) = (printed(&defaults), printed(&written));
    assert!(defaults.len() > 15);
    for (key, (value, origin)) in &defaults {
        let (example_value, example_origin) = &written[key];
        assert_eq!(example_value, value, "{key}");
        assert_eq!(origin, "default", "{key}");
        assert!(example_origin.starts_with("/c.toml:"), "{key} is not in the example");
    }
    assert_eq!(written.len(), defaults.len());
    for table in ["[upstream.headers]", "[models.aliases]"] {
        assert!(example.contains(&format!("\n{table}\n")), "{table} is not in the example");
    }
}

#[test]
fn every_key_of_the_example_has_its_line_of_explanation() {
    let mut previous = "";
    for line in include_str!("../../config.example.toml").lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(previous.starts_with("# "), "{line} is not explained");
        }
        previous = line;
    }
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nmax_body_mib = 1\n[compat]\nstrict = true";
    let variables =
        [("CODEX_PROXY_SERVER_LISTEN", "127.0.0.1:2"), ("CODEX_PROXY_SERVER_MAX_BODY_MIB", "2")];
    let mut sources = sources(file, &variables);
    sources.flags =
        Flags::default().with("server", "listen", "--listen", Some("127.0.0.1:3".to_owned()));
    let (config, effective) = Config::from_sources(&sources).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.server.max_body_bytes, 2 << 20);
    assert!(config.compat.strict);
    let printed = printed(&effective.to_string());
    let origin = |key: &str| printed[key].1.as_str();
    assert_eq!(origin("server.listen"), "flag --listen");
    assert_eq!(
        origin("server.max_body_mib"),
        "environment variable CODEX_PROXY_SERVER_MAX_BODY_MIB"
    );
    assert_eq!(origin("compat.strict"), "/c.toml:5");
    assert_eq!(origin("log.format"), "default");
}

#[test]
fn variables_hold_lists_and_tables() {
    let file = "[models.aliases]\nlost = \"x\"";
    let variables = [
        ("CODEX_PROXY_UPSTREAM_SESSION_HEADERS", "session-id, x-mine"),
        ("CODEX_PROXY_UPSTREAM_HEADERS", "x-a=1,x-b=2=3"),
        ("CODEX_PROXY_MODELS_ALIASES", "gpt-4o=gpt-5.5, fast = gpt-5.5-low"),
        ("CODEX_PROXY_COMPAT_STRICT", "true"),
        ("CODEX_PROXY_OUTPUT_REASONING", "think"),
    ];
    let (config, _) = loaded(file, &variables);
    assert_eq!(config.upstream.session_headers, ["session-id", "x-mine"]);
    assert_eq!(config.upstream.headers["x-a"], "1");
    assert_eq!(config.upstream.headers["x-b"], "2=3");
    let aliases: Vec<_> = config.models.aliases.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(aliases, [("fast", "gpt-5.5-low"), ("gpt-4o", "gpt-5.5")]);
    assert!(config.compat.strict);
    assert_eq!(config.output.reasoning, Reasoning::Think);
}

#[test]
fn codex_home_follows_the_codex_cli_unless_set() {
    let home = |file, environment: &[_]| loaded(file, environment).0.auth.codex_home;
    let set = "[auth]\ncodex_home = \"~/elsewhere\"";
    assert_eq!(home("", &[]), Path::new("/home/jo/.codex"));
    assert_eq!(home("", &[("CODEX_HOME", "/srv/codex")]), Path::new("/srv/codex"));
    assert_eq!(home("", &[("CODEX_HOME", "")]), Path::new("/home/jo/.codex"));
    assert_eq!(home(set, &[("CODEX_HOME", "/srv/codex")]), Path::new("/home/jo/elsewhere"));
    let empty = "[auth]\ncodex_home = \"\"";
    assert_eq!(home(empty, &[("CODEX_HOME", "/srv/codex")]), Path::new("/srv/codex"));
    let shown = loaded("", &[("CODEX_HOME", "/srv/codex")]).1;
    assert_eq!(printed(&shown)["auth.codex_home"].1, "environment variable CODEX_HOME");

    let mut homeless = sources("", &[]);
    homeless.home = None;
    let error = Config::from_sources(&homeless).unwrap_err().to_string();
    assert!(error.contains("[auth] codex_home: ~ cannot be expanded: there is no home"), "{error}");
}

#[test]
fn a_wrong_value_names_its_place_its_key_and_what_is_allowed() {
    // The file, and pieces of the one problem with it.
    let cases: &[(&str, &[&str])] = &[
        (
            "[server]\n\nlistne = 1",
            &["/c.toml:3: [server] listne: unknown key; allowed: api_keys, "],
        ),
        ("[sever]", &["/c.toml:1: [sever]: unknown section; allowed: [auth], "]),
        ("server = 1", &["/c.toml:1: [server]: expected a table, found integer"]),
        ("listen = \"127.0.0.1:1\"", &["/c.toml:1: [listen]: unknown section"]),
        (
            "[server]\nmax_body_mib = \"big\"",
            &[
                "/c.toml:2: [server] max_body_mib: expected a whole number, found string; allowed: 1 to",
            ],
        ),
        ("[server]\nmax_body_mib = 0", &[":2: ", "0 is out of range; allowed: 1 to 2047"]),
        ("[server]\nmax_body_mib = -1", &[":2: ", "expected a whole number"]),
        ("[server]\nlisten = \"here\"", &["\"here\" is not an address with a port; allowed: "]),
        ("[server]\nlisten = \"unix:\"", &["the socket's path is missing"]),
        (
            "[server]\nlisten = \"0.0.0.0:1\"",
            &["/c.toml:2: ", "from other machines", "codex-proxy key new"],
        ),
        ("[server]\nlisten = \"[::]:1\"", &["from other machines"]),
        ("[server]\napi_keys = [\"0123456789abcdef01234\"]", &["an API key is too easy to guess"]),
        ("[server]\napi_keys = [\"aaaaaaaaaaaaaaaaaaaaaaaaaa\"]", &["too easy to guess"]),
        ("[server]\napi_keys = [\"0123456789abcdef 0123456789\"]", &["that clients cannot send"]),
        (
            "[server]\nlisten = \"0.0.0.0:1\"\napi_keys = [\"short\"]",
            &["/c.toml:3: [server] api_keys: an API key is too easy to guess"],
        ),
        ("[server]\nallowed_hosts = [\"http://a.example\"]", &["is not a host name"]),
        ("[server]\nallowed_hosts = [\"*.example\"]", &["is not a host name"]),
        ("[server]\nallowed_origins = [\"*\"]", &["\"*\" is not an origin"]),
        ("[server]\nallowed_origins = [\"null\"]", &["is not an origin"]),
        ("[server]\nallowed_origins = [\"https://*.example\"]", &["is not an origin"]),
        ("[server]\nallowed_origins = [\"https://a.example/\"]", &["is not an origin"]),
        ("[server]\nallowed_origins = [\"a.example\"]", &["is not an origin"]),
        (
            "[compat]\nstrict = \"yes\"",
            &[":2: [compat] strict: expected true or false, found string"],
        ),
        (
            "[compat]\nmax_tokens = \"all\"",
            &["\"all\" is not known; allowed: \"visible\", \"ignore\""],
        ),
        ("[upstream]\nbase_url = \"http://example.com\"", &["unencrypted", "allowed: an https://"]),
        ("[upstream]\nbase_url = \"ftp://example.com\"", &["scheme \"ftp\""]),
        ("[upstream]\nbase_url = \"chatgpt.com\"", &["not a URL"]),
        ("[upstream]\nbase_url = \"https://a.example/?b=c\"", &["query"]),
        ("[upstream]\nbase_url = \"https://a.example/v1/responses/\"", &["leave out"]),
        (
            "[auth]\nissuer = \"http://127.0.0.1.example.com\"",
            &[":2: [auth] issuer: ", "unencrypted"],
        ),
        ("[upstream]\nclient_version = \"1.0\"", &["MAJOR.MINOR.PATCH"]),
        ("[upstream]\nclient_version = \"1.0.0.0\"", &["MAJOR.MINOR.PATCH"]),
        (
            "[upstream]\ncompression = \"gzip\"",
            &["\"gzip\" is not known; allowed: \"auto\", \"on\", \"off\""],
        ),
        ("[upstream]\noriginator = \"a\\nb\"", &["[upstream] originator: it contains characters"]),
        ("[upstream]\nsession_headers = [1]", &["expected a list of strings, found array"]),
        ("[upstream]\nsession_headers = [\"a b\"]", &["\"a b\" is not a header name"]),
        (
            "[upstream.headers]\nx-a = \"1\"\nAuthorization = \"Bearer sk-secret\"",
            &["/c.toml:3: [upstream.headers] Authorization: \"authorization\" may not be set here"],
        ),
        ("[upstream.headers]\nx-a = 1", &["/c.toml:2: [upstream.headers] x-a: expected a string"]),
        ("[upstream]\nheaders = \"x\"", &["/c.toml:2: [upstream] headers: expected a table"]),
        ("[models.aliases]\n\"\" = \"gpt-5.5\"", &["alias or its model is empty"]),
        (
            "[models]\nunknown = 1",
            &["expected a string, found integer; allowed: \"reject\", \"default\""],
        ),
        ("[server]\nlisten = ", &["/c.toml:2: invalid TOML: "]),
        ("[log]\nformat = \"text\"\nformat = \"json\"", &["/c.toml:3: invalid TOML: "]),
    ];
    for (file, pieces) in cases {
        let found = problems(file, &[]);
        assert_eq!(found.len(), 1, "{file:?}: {found:?}");
        for piece in *pieces {
            assert!(found[0].contains(piece), "{file:?}: {:?} lacks {piece:?}", found[0]);
        }
    }
}

#[test]
fn a_wrong_variable_is_named() {
    let cases = [
        (
            "SERVER_MAX_BODY_MIB",
            "lots",
            "[server] max_body_mib: expected a whole number; allowed: 1",
        ),
        ("SERVER_LISTNE", "x", "unknown setting; allowed: CODEX_PROXY_SERVER_API_KEYS, "),
        ("MODELS_ALIASES", "a,b", "[models] aliases: expected a table of strings"),
        ("COMPAT_STRICT", "yes", "[compat] strict: expected true or false"),
    ];
    for (name, value, message) in cases {
        let name = format!("CODEX_PROXY_{name}");
        let found = problems("", &[(&name, value)]);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        let start = format!("environment variable {name}: {message}");
        assert!(found[0].starts_with(&start), "{:?} lacks {start:?}", found[0]);
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let file = "[server]\nlisten = 1\nfoo = 2\n[upstream]\nbase_url = \"x\"\n[upstream.headers]\n\
                \"a b\" = \"1\"\nhost = \"x\"\n[nope]";
    let found = problems(file, &[("CODEX_PROXY_LOG_FORMAT", "xml")]);
    assert_eq!(found.len(), 7, "{found:#?}");
    let mut sources = sources("", &[]);
    sources.flags = Flags::default().with("server", "listen", "--listen", Some("x".to_owned()));
    let error = Config::from_sources(&sources).unwrap_err().to_string();
    assert!(error.contains("\n  flag --listen: [server] listen: \"x\" is not"), "{error}");
}

#[test]
fn variables_of_others_are_left_alone() {
    assert_eq!(problems("", &[("CODEX_PROXY_CORPUS", "x"), ("CODEX_PROXY", "y")]), [""; 0]);
}

#[test]
fn an_open_address_is_fine_with_a_key() {
    let key = "kx3-09Zqv_T1bWm4RsYd7A";
    let file = "[server]\nlisten = \"0.0.0.0:1\"";
    for (file, environment) in [
        (format!("{file}\napi_keys = [\"{key}\"]"), vec![]),
        (format!("{file}\napi_key_file = \"~/keys\""), vec![]),
        (file.to_owned(), vec![("CODEX_PROXY_SERVER_API_KEYS", key)]),
    ] {
        let (config, effective) = loaded(&file, &environment);
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:1");
        assert!(!effective.contains(key), "{effective}");
        assert!(!format!("{config:?}").contains(key));
    }
    let (config, _) = loaded("[server]\nlisten = \"unix:~/run/api.sock\"", &[]);
    assert_eq!(config.server.listen, Listen::Unix("/home/jo/run/api.sock".into()));
}

#[test]
fn hosts_and_origins_are_kept_as_clients_send_them() {
    let file = "[server]\nallowed_hosts = [\"AI.Example.com\", \"192.168.1.5\", \"[::1]\"]\n\
                allowed_origins = [\"https://Chat.Example.com\", \"app://obsidian.md\"]";
    let server = loaded(file, &[]).0.server;
    assert_eq!(server.allowed_hosts, ["ai.example.com", "192.168.1.5", "[::1]"]);
    assert_eq!(server.allowed_origins, ["https://chat.example.com", "app://obsidian.md"]);
}

#[test]
fn plain_http_is_for_this_machine_only() {
    for url in
        ["http://localhost:1/x", "http://127.1.2.3/", "http://[::1]:8080", "https://a.example"]
    {
        let file = format!("[upstream]\nbase_url = \"{url}\"");
        assert_eq!(problems(&file, &[]), [""; 0], "{url}");
    }
    let (config, _) = loaded("[upstream]\nbase_url = \"http://localhost:1/a/b//\"", &[]);
    assert_eq!(config.upstream.base_url.as_str(), "http://localhost:1/a/b");
    assert_eq!(config.upstream.public_url.as_str(), "http://localhost:1/a/b");
}

#[test]
fn secrets_show_neither_when_printed_nor_in_debug_output_nor_in_problems() {
    let headers = "[upstream.headers]\nx-api-key = \"hush-1\"\nCookie = \"hush-2\"\n\
                   x-session-token = \"hush-3\"\nx-plain = \"shown\"";
    let (config, effective) = loaded(headers, &[]);
    assert_eq!(config.upstream.headers["x-api-key"], "hush-1");
    assert!(effective.contains("x-plain = \"shown\"  # /c.toml:5"), "{effective}");
    assert!(effective.contains("x-api-key = \"***\"  # /c.toml:2"), "{effective}");
    assert!(!effective.contains("hush"), "{effective}");
    assert!(!format!("{config:?}").contains("hush"));

    let wrong = [
        "[upstream]\nbase_url = \"https://jo:hush@a.example\"",
        "[upstream.headers]\nx-api-key = \"hush\\u0000\"",
        "[upstream.headers]\nx-api-key = \"hush",
        "[upstream.headers]\nauthorization = \"hush\"",
    ];
    for file in wrong {
        let found = problems(file, &[]).join("\n");
        assert!(!found.is_empty() && !found.contains("hush"), "{file:?}: {found}");
    }
    let environment = sources("", &[("TOKEN", "hush")]).environment;
    assert!(!format!("{environment:?}").contains("hush"));
}

#[test]
fn what_is_printed_is_itself_a_settings_file_with_the_same_meaning() {
    let file = "[models.aliases]\n\"gpt 4\" = \"gpt-5.5\"\n[server]\nlisten = \"127.0.0.1:7\"";
    let (_, first) = loaded(file, &[]);
    let (_, second) = loaded(&first, &[]);
    let values =
        |text| printed(text).into_iter().map(|(key, line)| (key, line.0)).collect::<Vec<_>>();
    assert_eq!(values(&first), values(&second));
}

#[test]
fn a_named_file_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let error = load(Some(&missing), Flags::default()).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if *path == missing), "{error}");

    let there = folder.path().join("some.toml");
    std::fs::write(&there, "[server]\nmax_body_mib = 5").unwrap();
    let (config, _) = load(Some(&there), Flags::default()).unwrap();
    assert_eq!(config.server.max_body_bytes, 5 << 20);
}

#[test]
fn clients_are_told_an_address_that_can_be_called() {
    for (address, expected) in
        [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
    {
        assert_eq!(callable(address.parse().unwrap()).to_string(), expected);
    }
}
