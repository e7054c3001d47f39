//! The program as a shell sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod chat;
mod daemon;
mod doctor;
mod health;
mod launch;
mod models;
mod texts;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a home of its own, where nothing is set.
fn run(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_codex-proxy"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_and_version_go_to_standard_output() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = texts(&run(home.path(), &["--help"], &[]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("codex-proxy serve --simulate"), "{out}");
    assert!(out.contains("codex-proxy key new"), "{out}");
    let (code, out, _) = texts(&run(home.path(), &["--version"], &[]));
    assert_eq!((code, out), (0, format!("codex-proxy {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let home = tempfile::tempdir().unwrap();
    for arguments in [
        &["--nope"][..],
        &["dance"],
        &["--log-format", "xml"],
        &["simulate", "--listen", "here"],
        &["config", "--simulate"],
    ] {
        let (code, out, err) = texts(&run(home.path(), arguments, &[]));
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn config_prints_what_is_in_force_and_where_it_is_from() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    std::fs::write(&file, "[upstream.headers]\nx-api-key = \"hush\"\n").unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["config", "--config", file, "--listen", "127.0.0.1:1"];
    let (code, out, err) =
        texts(&run(home.path(), &arguments, &[("CODEX_PROXY_COMPAT_STRICT", "true")]));
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "listen = \"127.0.0.1:1\"  # flag --listen".to_owned(),
        "max_body_mib = 128  # default".to_owned(),
        "strict = true  # environment variable CODEX_PROXY_COMPAT_STRICT".to_owned(),
        format!("x-api-key = \"***\"  # {file}:2"),
        format!("codex_home = \"{}/.codex\"  # default", home.path().display()),
    ] {
        assert!(out.lines().any(|found| found == line), "{line} is not in:\n{out}");
    }
    assert!(!out.contains("hush"));
}

#[test]
fn the_default_file_is_read_if_it_is_there() {
    let home = tempfile::tempdir().unwrap();
    let settings = home.path().join("settings");
    let variables = [("XDG_CONFIG_HOME", settings.to_str().unwrap())];
    let (code, out, _) = texts(&run(home.path(), &["config"], &variables));
    assert_eq!(code, 0);
    if cfg!(target_os = "linux") {
        assert!(out.contains("settings/codex-proxy/config.toml (does not exist)"), "{out}");
        std::fs::create_dir_all(settings.join("codex-proxy")).unwrap();
        std::fs::write(settings.join("codex-proxy/config.toml"), "[compat]\nstrict = true")
            .unwrap();
        let (_, out, _) = texts(&run(home.path(), &["config"], &variables));
        assert!(out.contains("strict = true  # "), "{out}");
    }
}

#[test]
fn wrong_settings_stop_the_start_with_every_mistake() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bad.toml");
    std::fs::write(&file, "[server]\nlistne = 1\n[compat]\nstrict = \"yes\"\n").unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["--config", file, "--listen", "0.0.0.0:80"];
    let (code, out, err) =
        texts(&run(home.path(), &arguments, &[("CODEX_PROXY_LOG_FORMAT", "xml")]));
    assert_eq!((code, out.as_str()), (78, ""));
    for piece in [
        format!("{file}:2: [server] listne: unknown key"),
        format!("{file}:4: [compat] strict: expected true or false"),
        "flag --listen: [server] listen: 0.0.0.0:80 can be reached from other machines".to_owned(),
        "environment variable CODEX_PROXY_LOG_FORMAT: [log] format: \"xml\" is not known"
            .to_owned(),
    ] {
        assert!(err.contains(&piece), "{piece} is not in:\n{err}");
    }
}

#[test]
fn a_named_file_that_is_not_there_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) = texts(&run(home.path(), &["config", "--config", "/no/such.toml"], &[]));
    assert_eq!(code, 78);
    assert!(err.contains("/no/such.toml"), "{err}");
}

#[test]
fn an_address_that_others_can_reach_needs_a_key() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("open.toml");
    std::fs::write(&file, "[server]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let from_file = format!("{}:2", file.display());
    for (arguments, variables, place) in [
        (&["--listen", "0.0.0.0:0"][..], &[][..], "flag --listen"),
        (&["serve", "--simulate", "--listen", "[::]:0"], &[], "flag --listen"),
        (&["config", "--listen", "192.0.2.1:80"], &[], "flag --listen"),
        (&[], &[("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:0")], "CODEX_PROXY_SERVER_LISTEN"),
        (&["--config", file.to_str().unwrap()], &[], &from_file),
    ] {
        let (code, out, err) = texts(&run(home.path(), arguments, variables));
        assert_eq!((code, out.as_str()), (78, ""), "{arguments:?}\n{err}");
        assert!(err.contains(place) && err.contains("codex-proxy key new"), "{err}");
    }
    let variables = [
        ("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:0"),
        ("CODEX_PROXY_SERVER_API_KEYS", "sk-cp-0123456789abcdefghijklmnop"),
    ];
    let (code, out, err) = texts(&run(home.path(), &["config"], &variables));
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("0123456789abc"), "{out}");
}

#[test]
fn in_a_container_the_way_to_set_a_key_is_another_one() {
    let home = tempfile::tempdir().unwrap();
    let command = "docker run … -e CODEX_PROXY_SERVER_API_KEYS IMAGE";
    let open = ("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:0");
    let (code, _, err) = texts(&run(home.path(), &[], &[open, ("container", "podman")]));
    assert_eq!(code, 78);
    assert!(err.contains(command), "{err}");
    // Where something else is wrong, it would not help.
    let wrong = [("CODEX_PROXY_SERVER_LISTEN", "here"), ("container", "podman")];
    let (code, _, err) = texts(&run(home.path(), &[], &wrong));
    assert_eq!(code, 78);
    assert!(!err.contains("docker"), "{err}");
}

#[test]
fn what_does_not_listen_needs_no_key() {
    let home = tempfile::tempdir().unwrap();
    let open = [("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:0")];
    for arguments in [&["status"][..], &["logout", "--shared"]] {
        let (code, _, err) = texts(&run(home.path(), arguments, &open));
        assert_eq!(code, 77, "{arguments:?}: {err}");
    }
}

#[test]
fn a_file_without_keys_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("keys");
    let path = file.to_str().unwrap();
    for (content, told) in [
        (None, "cannot read"),
        (Some("# none yet\n\n"), "no API key in the file"),
        (Some("\nhush-hush\n"), "keys:2: an API key is too easy to guess"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        for command in [&["serve"][..], &["serve", "--simulate"]] {
            let arguments = [command, &["--listen", "127.0.0.1:0"]].concat();
            let variables = [("CODEX_PROXY_SERVER_API_KEY_FILE", path)];
            let (code, _, err) = texts(&run(home.path(), &arguments, &variables));
            assert_eq!(code, 78, "{err}");
            assert!(err.contains(path) && err.contains(told), "{err}");
            assert!(!err.contains("hush"), "{err}");
        }
    }
}

#[test]
fn key_new_prints_a_new_key_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    // Even if the settings are wrong for want of one.
    let variables = [("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:0")];
    let new = || texts(&run(home.path(), &["key", "new"], &variables));
    let ((code, one, err), (_, two, _)) = (new(), new());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_ne!(one, two);
    let key = one.strip_suffix('\n').unwrap();
    assert_eq!(key.strip_prefix("sk-cp-").map(str::len), Some(43), "{key}");
    assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{key}");
    let variables = [variables[0], ("CODEX_PROXY_SERVER_API_KEYS", key)];
    assert_eq!(texts(&run(home.path(), &["config"], &variables)).0, 0);
}
