//! What commands print that ask nobody: snippets, completions, the manual, help.

use std::process::Command;

use crate::world::{KEY, World};

#[test]
fn snippets_hold_what_is_in_force() {
    let mut world = World::new();
    let ended = world.run(&["snippet"]);
    ended.with(0, "python ").with(0, "open-webui ");
    let ended = world.run(&["snippet", "python", "--listen", "127.0.0.1:7", "--model", "gpt-5.5"]);
    ended.with(0, "base_url=\"http://127.0.0.1:7/v1\", api_key=\"any\"").with(0, "\"gpt-5.5\"");
    assert_eq!(ended.err, "", "notes are for those who look on");
    world.run(&["snippet", "emacs"]).with(64, "python");
    world.run(&["snippet", "python", "--model", "a\"b"]).with(64, "name");
    world.set("CODEX_PROXY_SERVER_API_KEYS", KEY);
    world.set("CODEX_PROXY_SERVER_LISTEN", "0.0.0.0:7");
    let ended = world.run(&["snippet", "curl"]);
    ended.with(0, "http://127.0.0.1:7/v1/chat/completions").with(0, "Bearer YOUR-KEY");
    assert!(!ended.out.contains(KEY));
    world.run(&["snippet", "curl", "--show-key"]).with(0, &format!("Bearer {KEY}"));
    world
        .run(&["snippet", "zed", "--listen", "unix:/run/s"])
        .with(64, "cannot use the Unix socket");
    world.run(&["snippet", "curl", "--listen", "unix:/run/s"]).with(0, "--unix-socket '/run/s'");
}

#[cfg(unix)]
#[test]
fn a_shell_takes_the_variables() {
    let world = World::new();
    let script = "eval \"$(\"$0\" snippet env --show-key)\"; echo $OPENAI_BASE_URL $OPENAI_API_KEY";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_codex-proxy")]);
    shell.env("CODEX_PROXY_SERVER_API_KEYS", KEY).env("XDG_CONFIG_HOME", world.home.path());
    shell.env("HOME", world.home.path());
    let output = shell.output().unwrap();
    let expected = format!("http://127.0.0.1:10455/v1 {KEY}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn every_shell_has_completions() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = world.run(&["completions", shell]);
        ended.with(0, "codex-proxy").with(0, "doctor").with(0, "offline");
        // The others complete no values.
        if ["bash", "zsh"].contains(&shell) {
            ended.with(0, "pydantic-ai");
        }
        // Those that are here must be able to read theirs.
        if ["bash", "zsh", "fish"].contains(&shell) {
            let file = world.home.path().join(shell);
            std::fs::write(&file, &ended.out).unwrap();
            if let Ok(output) = Command::new(shell).arg("-n").arg(&file).output() {
                assert!(output.status.success(), "{shell}: {output:?}");
            }
        }
    }
    world.run(&["completions", "dash"]).with(64, "bash");
}

#[test]
fn every_command_has_a_page_in_the_manual() {
    let world = World::new();
    world.run(&["man"]).with(0, ".TH codex-proxy 1").with(0, ".SH \"EXIT STATUS\"");
    let folder = world.home.path().join("share/man1");
    let out = folder.to_str().unwrap();
    let ended = world.run(&["man", "--out", out]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""));
    let help = world.run(&["--help"]).out;
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 15, "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = std::fs::read_to_string(folder.join(format!("codex-proxy-{name}.1"))).unwrap();
        assert!(page.contains(".SH \"EXAMPLES\"\n.nf\n"), "{name}");
        let ended = world.run(&[name, "--help"]);
        ended.with(0, "Examples:").with(0, "Usage: codex-proxy");
    }
    let file = world.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("man");
    world.run(&["man", "--out", below.to_str().unwrap()]).with(73, "cannot write");
}
