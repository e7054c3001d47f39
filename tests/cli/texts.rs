//! What commands print that ask nobody: snippets, completions, the manual, help.

use std::process::Command;

use crate::support::home::Home;
use crate::support::secrets::KEY;

#[test]
fn snippets_hold_what_is_in_force() {
    let mut home = Home::new();
    let ended = home.run(&["snippet"]);
    ended.with(0, "python ").with(0, "open-webui ");
    let ended = home.run(&["snippet", "python", "--listen", "127.0.0.1:7", "--model", "gpt-5.5"]);
    ended.with(0, "base_url=\"http://127.0.0.1:7/v1\", api_key=\"any\"").with(0, "\"gpt-5.5\"");
    assert_eq!(ended.err, "", "notes are for those who look on");
    home.run(&["snippet", "emacs"]).with(64, "python");
    home.run(&["snippet", "python", "--model", "a\"b"]).with(64, "name");
    home.set("CODEX_PROXY_SERVER_API_KEYS", KEY);
    home.set("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:7");
    let ended = home.run(&["snippet", "curl"]);
    ended.with(0, "http://127.0.0.1:7/v1/chat/completions").with(0, "Bearer YOUR-KEY");
    assert!(!ended.out.contains(KEY));
    home.run(&["snippet", "curl", "--show-key"]).with(0, &format!("Bearer {KEY}"));
    home.run(&["snippet", "zed", "--listen", "unix:/run/s"]).with(64, "cannot use the Unix socket");
    home.run(&["snippet", "curl", "--listen", "unix:/run/s"]).with(0, "--unix-socket '/run/s'");
}

#[cfg(unix)]
#[test]
fn a_shell_takes_the_variables() {
    let home = Home::new();
    let script = "eval \"$(\"$0\" snippet env --show-key)\"; echo $OPENAI_BASE_URL $OPENAI_API_KEY";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_codex-proxy")]);
    shell.env("CODEX_PROXY_SERVER_API_KEYS", KEY).env("XDG_CONFIG_HOME", home.path());
    shell.env("HOME", home.path());
    let output = shell.output().unwrap();
    let expected = format!("http://127.0.0.1:10455/v1 {KEY}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn every_shell_has_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = home.run(&["completions", shell]);
        ended.with(0, "codex-proxy").with(0, "doctor").with(0, "offline");
        // The others complete no values.
        if ["bash", "zsh"].contains(&shell) {
            ended.with(0, "pydantic-ai");
        }
        // Those that are here must be able to read theirs.
        if ["bash", "zsh", "fish"].contains(&shell) {
            let file = home.path().join(shell);
            std::fs::write(&file, &ended.out).unwrap();
            if let Ok(output) = Command::new(shell).arg("-n").arg(&file).output() {
                assert!(output.status.success(), "{shell}: {output:?}");
            }
        }
    }
    home.run(&["completions", "dash"]).with(64, "bash");
}

#[test]
fn every_command_has_a_page_in_the_manual() {
    let home = Home::new();
    home.run(&["man"]).with(0, ".TH codex-proxy 1").with(0, ".SH \"EXIT STATUS\"");
    let folder = home.path().join("share/man1");
    let out = folder.to_str().unwrap();
    let ended = home.run(&["man", "--out", out]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""));
    let help = home.run(&["--help"]).out;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 15, "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = std::fs::read_to_string(folder.join(format!("codex-proxy-{name}.1"))).unwrap();
        assert!(page.contains(".SH \"EXAMPLES\"\n.nf\n"), "{name}");
        let ended = home.run(&[name, "--help"]);
        ended.with(0, "Examples:").with(0, "Usage: codex-proxy");
    }
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("man");
    home.run(&["man", "--out", below.to_str().unwrap()]).with(73, "cannot write");
}
