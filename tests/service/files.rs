//! The files as they are, word by word. Where they are meant to change, write them anew:
//!
//! ```sh
//! CODEX_PROXY_TEST_BLESS=1 cargo nextest run --test service files
//! ```

use std::path::Path;

use crate::command::{fine, service};
use crate::support::program::PROGRAM;

/// What would be installed for somebody whose home need not be there, with the program where it
/// would be.
fn printed(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let arguments = [&["install", "--print"], arguments].concat();
    fine(Path::new("/home/jo"), &arguments, variables)
        .replace(PROGRAM, "/usr/local/bin/codex-proxy")
}

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/golden").join(name);
    if std::env::var_os("CODEX_PROXY_TEST_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, golden, "{name} is another one");
}

#[test]
fn systemd_for_a_user() {
    check("user", &printed(&["--manager", "systemd"], &[]));
}

#[test]
fn systemd_for_a_user_with_everything() {
    let arguments = [
        "--manager",
        "systemd",
        "--socket",
        "--listen",
        "unix:/run/user/1000/my api.sock",
        "--log-format",
        "json",
    ];
    let variables = [
        ("CODEX_HOME", "/home/jo/my \"codex\" 100%"),
        ("XDG_CONFIG_HOME", "/home/jo/a:b"),
        ("SSL_CERT_FILE", "/home/jo/$x.pem"),
    ];
    check("user-with-everything", &printed(&arguments, &variables));
}

#[test]
fn systemd_for_the_machine() {
    check("system", &printed(&["--manager", "systemd", "--system"], &[]));
    check("system-socket", &printed(&["--manager", "systemd", "--system", "--socket"], &[]));
}

#[test]
fn launchd() {
    check("agent", &printed(&["--manager", "launchd"], &[]));
    let arguments = ["--manager", "launchd", "--listen", "127.0.0.1:7"];
    check(
        "agent-with-everything",
        &printed(&arguments, &[("CODEX_HOME", "/Users/jo/R&D <codex>")]),
    );
}

#[test]
fn an_agent_has_what_launchd_needs() {
    let variables = [("CODEX_HOME", "/Users/jo/R&D <codex>")];
    let printed = printed(&["--manager", "launchd"], &variables);
    let file = printed.split_once("-->\n").unwrap().1;
    let agent = plist::Value::from_reader_xml(file.as_bytes()).unwrap();
    let agent = agent.as_dictionary().unwrap();
    let text = |key: &str| agent[key].as_string().unwrap();
    assert_eq!(text("Label"), "local.codex-proxy");
    let words: Vec<_> = agent["ProgramArguments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_string().unwrap())
        .collect();
    assert_eq!(words, ["/usr/local/bin/codex-proxy", "serve"]);
    assert_eq!(agent["RunAtLoad"].as_boolean(), Some(true));
    let keep_alive = agent["KeepAlive"].as_dictionary().unwrap();
    assert_eq!(keep_alive["SuccessfulExit"].as_boolean(), Some(false));
    assert_eq!(text("StandardErrorPath"), "/home/jo/Library/Logs/codex-proxy/codex-proxy.log");
    // Longer than answers may take to come to their ends.
    assert!(agent["ExitTimeOut"].as_unsigned_integer().unwrap() > 30);
    assert_eq!(agent["Umask"].as_unsigned_integer(), Some(0o077));
    let variables = agent["EnvironmentVariables"].as_dictionary().unwrap();
    assert_eq!(variables["CODEX_HOME"].as_string(), Some("/Users/jo/R&D <codex>"));
}

#[test]
fn what_cannot_be_a_service_is_refused_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    let root = root.to_str().unwrap();
    for (arguments, variables, told) in [
        (&["--config", "/none/such.toml"][..], &[][..], "/none/such.toml"),
        (&["--listen", "0.0.0.0:80"], &[], "so an API key is needed"),
        (&["--listen", "unix:api.sock"], &[], "must be an absolute path"),
        (&[], &[("CODEX_HOME", "relative")], "must be an absolute path"),
        (&[], &[("CODEX_HOME", "/with\nline")], "control characters"),
        (&["--listen", "unix:/x/blank "], &[], "trailing spaces"),
    ] {
        let arguments = [&["install", "--manager", "systemd", "--root", root], arguments].concat();
        let ended = service(home.path(), &arguments, variables);
        assert_eq!(ended.code, Some(78), "{arguments:?}: {ended:?}");
        assert!(ended.err.contains(told), "{told:?} is not in {ended:?}");
        assert!(!Path::new(root).exists(), "{arguments:?}");
    }
    for arguments in [
        ["install", "--manager", "launchd", "--system"],
        ["install", "--manager", "launchd", "--socket"],
    ] {
        let ended = service(home.path(), &[&arguments[..], &["--root", root]].concat(), &[]);
        assert_eq!(ended.code, Some(64), "{ended:?}");
    }
}

#[test]
fn the_page_on_containers_shows_the_compose_file() {
    let read =
        |name| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let compose = read("compose.yaml");
    let is_setting = |line: &&str| !line.trim_start().starts_with('#');
    let shown = compose.lines().filter(is_setting).collect::<Vec<_>>().join("\n");
    let page = read("docs/container.md");
    assert!(page.contains(&format!("```yaml\n{shown}\n```\n")), "{shown}");
}
