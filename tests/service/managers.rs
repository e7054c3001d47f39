//! What service managers are asked, in which order: they are played by a script that writes down
//! its arguments.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::command::service;
use crate::support::program::{Ended, Program};

/// Answers as the manager would, by what is in its folder: `active-UNIT`, `no-bus`, `no-namespaces`.
const PLAYER: &str = r#"#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> "$PLAY/asked"
for last; do :; done
case "$name $*" in
    systemctl*UnitPath*)
        [ -e "$PLAY/no-bus" ] && { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
        echo "/etc/systemd/user $HOME/.config/systemd/user" ;;
    systemctl*is-active*) [ -e "$PLAY/active-$last" ] ;;
    systemctl*ActiveState*)
        if [ -e "$PLAY/active-codex-proxy.service" ]; then
            printf 'ActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=7\nStatusText=Listening\n'
        else
            printf 'ActiveState=failed\nSubState=failed\nUnitFileState=enabled\nMainPID=0\nStatusText=Old\n'
        fi ;;
    systemctl*" start "*) : > "$PLAY/active-$last" ;;
    systemctl*" stop "*) rm "$PLAY/active-$last" ;;
    systemd-run*) [ ! -e "$PLAY/no-namespaces" ] ;;
    loginctl*) echo no ;;
    launchctl*bootstrap*|launchctl*kickstart*) : > "$PLAY/loaded" ;;
    launchctl*bootout*) rm "$PLAY/loaded" ;;
    launchctl*print*)
        [ -e "$PLAY/loaded" ] || exit 113
        printf 'gui/0/local.codex-proxy = {\n\tstate = running\n\tpid = 7\n\t\tstate = deeper\n}\n' ;;
esac
"#;

struct Play {
    folder: TempDir,
    manager: &'static str,
}

impl Play {
    fn new(manager: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let player = folder.path().join("player");
        fs::write(&player, PLAYER).unwrap();
        fs::set_permissions(&player, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["systemctl", "systemd-run", "loginctl", "journalctl", "launchctl", "tail"] {
            std::os::unix::fs::symlink(&player, folder.path().join(name)).unwrap();
        }
        Self { folder, manager }
    }

    fn service(&self, arguments: &[&str]) -> Ended {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let play = self.folder.path().to_str().unwrap();
        let variables = [("PATH", path.as_str()), ("PLAY", play)];
        service(self.folder.path(), &[arguments, &["--manager", self.manager]].concat(), &variables)
    }

    /// Runs it, which has to go well, and gives what the manager was asked to change.
    fn asked(&self, arguments: &[&str]) -> Vec<String> {
        let ended = self.service(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        self.changes()
    }

    fn changes(&self) -> Vec<String> {
        let asked = self.folder.path().join("asked");
        let lines = fs::read_to_string(&asked).unwrap_or_default();
        let _ = fs::remove_file(asked);
        let is_question = |line: &&str| {
            ["is-active", " show", "systemd-run", "loginctl", " print "]
                .iter()
                .any(|word| line.contains(word))
        };
        lines.lines().filter(|line| !is_question(line)).map(str::to_owned).collect()
    }

    fn note(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").unwrap();
    }

    fn unit(&self) -> PathBuf {
        self.folder.path().join(".config/systemd/user/codex-proxy.service")
    }
}

#[test]
fn a_service_is_installed_changed_and_removed() {
    let play = Play::new("systemd");
    let fresh =
        ["daemon-reload", "enable --quiet codex-proxy.service", "start codex-proxy.service"]
            .map(|words| format!("systemctl --user {words}"));
    assert_eq!(play.asked(&["install"]), fresh);
    // Nothing has changed: what runs goes on running.
    assert_eq!(play.asked(&["install"]), fresh);

    let changed = play.asked(&["install", "--log-format", "json"]);
    let stop = "systemctl --user stop codex-proxy.service".to_owned();
    assert_eq!(changed, [&fresh[..2], &[stop], &fresh[2..]].concat());
    assert!(fs::read_to_string(play.unit()).unwrap().contains("serve --log-format json"));

    let with_socket = play.asked(&["install", "--socket"]);
    let expected = [
        "daemon-reload",
        "disable --quiet codex-proxy.service",
        "enable --quiet codex-proxy.socket",
        "stop codex-proxy.service",
        "start codex-proxy.socket",
    ]
    .map(|words| format!("systemctl --user {words}"));
    assert_eq!(with_socket, expected);
    assert_eq!(play.asked(&["stop"]), ["systemctl --user stop codex-proxy.socket"]);
    assert_eq!(play.asked(&["start"]), ["systemctl --user start codex-proxy.socket"]);
    assert_eq!(play.asked(&["restart"]), ["systemctl --user restart codex-proxy.service"]);

    let without = play.asked(&["install", "--no-start"]);
    let expected = ["disable --now codex-proxy.socket", "daemon-reload"]
        .map(|words| format!("systemctl --user {words}"));
    assert_eq!(without[..2], expected);
    assert!(!play.unit().with_extension("socket").exists());

    play.asked(&["start"]);
    let removed = play.asked(&["uninstall"]);
    let expected = [
        "stop codex-proxy.socket",
        "stop codex-proxy.service",
        "disable --quiet codex-proxy.service",
        "daemon-reload",
    ]
    .map(|words| format!("systemctl --user {words}"));
    assert_eq!(removed, expected);
    assert!(!play.unit().exists());
    for action in ["start", "stop", "restart", "status"] {
        let ended = play.service(&[action]);
        assert_eq!(ended.code, Some(69), "{ended:?}");
        assert!(ended.err.contains("codex-proxy service install"), "{ended:?}");
    }
}

#[test]
fn where_there_is_no_systemd_nothing_is_written() {
    let play = Play::new("systemd");
    play.note("no-bus");
    let ended = play.service(&["install"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    for piece in ["No medium found", "su and sudo do not count", "--print"] {
        assert!(ended.err.contains(piece), "{piece:?} is not in {ended:?}");
    }
    assert!(!play.unit().exists());
    // Not even a program of that name.
    let nowhere = [("PATH", "/nowhere")];
    let ended = service(play.folder.path(), &["install", "--manager", "systemd"], &nowhere);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.err.contains("systemctl not found"), "{ended:?}");
    assert!(!play.unit().exists());
}

#[test]
fn where_a_user_may_have_no_namespaces_the_unit_has_none_and_that_is_told() {
    let play = Play::new("systemd");
    let ended = play.service(&["install"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.out.contains("loginctl enable-linger"), "{ended:?}");
    assert!(fs::read_to_string(play.unit()).unwrap().contains("PrivateUsers=yes"));
    play.note("no-namespaces");
    let ended = play.service(&["install"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("without the sandbox options"), "{ended:?}");
    let unit = fs::read_to_string(play.unit()).unwrap();
    assert!(unit.contains("NoNewPrivileges=yes") && unit.contains("SystemCallFilter="), "{unit}");
    for option in ["PrivateUsers", "CapabilityBoundingSet", "Protect", "Bind", "ReadWritePaths"] {
        assert!(!unit.contains(option), "{option} is in {unit}");
    }
}

#[test]
fn variables_that_a_service_does_not_see_are_named() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    let install = ["install", "--manager", "systemd", "--root", root.to_str().unwrap()];
    let variables = [("CODEX_PROXY_COMPAT_STRICT", "true"), ("https_proxy", "http://hush@x")];
    let ended = service(home.path(), &install, &variables);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("does not see CODEX_PROXY_COMPAT_STRICT, https_proxy"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hush"));
}

#[test]
fn status_tells_what_the_manager_says_and_whether_the_daemon_answers() {
    let play = Play::new("systemd");
    let daemon = Program::simulating(&[]);
    let address = daemon.url().replace("http://", "");
    play.asked(&["install", "--listen", &address]);
    let ended = play.service(&["status"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "state    active (running), enabled".to_owned(),
        "says     Listening".to_owned(),
        format!("health   answers on {address}"),
    ] {
        assert!(ended.out.lines().any(|found| found == line), "{line} is not in {ended:?}");
    }
    // It answers, but it is not the one that is asked for.
    play.asked(&["stop"]);
    let ended = play.service(&["status"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.out.contains("state    failed (failed), enabled"), "{ended:?}");
    assert!(!ended.out.contains("Old"), "{ended:?}");
    // It runs and does not answer.
    play.asked(&["start"]);
    daemon.stop();
    let ended = play.service(&["status"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.out.contains(&format!("no answer on {address}: ")), "{ended:?}");
}

#[test]
fn with_a_socket_it_is_asked_where_the_manager_listens() {
    let play = Play::new("systemd");
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    play.asked(&["install", "--socket", "--listen", &address.to_string()]);
    let unit = play.unit().with_extension("socket");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace(&address.to_string(), "/run/my 100%%/x.sock")).unwrap();
    let ended = play.service(&["status"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.out.contains("no answer on unix:/run/my 100%/x.sock: "), "{ended:?}");
}

#[test]
fn logs_are_those_of_the_service() {
    let play = Play::new("systemd");
    let unit = "--unit codex-proxy.service";
    assert_eq!(
        play.asked(&["logs"]),
        [format!("journalctl --user {unit} --lines 100 --no-hostname --no-pager")]
    );
    assert_eq!(
        play.asked(&["logs", "--system", "-f", "-n", "5"]),
        [format!("journalctl {unit} --lines 5 --no-hostname --follow")]
    );
    let play = Play::new("launchd");
    let log = play.folder.path().join("Library/Logs/codex-proxy/codex-proxy.log");
    assert_eq!(play.asked(&["logs", "--follow"]), [format!("tail -n 100 -F {}", log.display())]);
}

#[test]
fn an_agent_is_installed_changed_and_removed() {
    let play = Play::new("launchd");
    let agent = play.folder.path().join("Library/LaunchAgents/local.codex-proxy.plist");
    let domain = format!("gui/{}", rustix::process::getuid().as_raw());
    let target = format!("{domain}/local.codex-proxy");
    let load = [
        format!("launchctl enable {target}"),
        format!("launchctl bootstrap {domain} {}", agent.display()),
    ];
    assert_eq!(play.asked(&["install"]), load);
    assert_eq!(play.asked(&["install"]), [format!("launchctl kickstart {target}")]);
    let changed = play.asked(&["install", "--log-format", "json"]);
    assert_eq!(changed, [&[format!("launchctl bootout {target}")], &load[..]].concat());
    assert!(play.folder.path().join("Library/Logs/codex-proxy").is_dir());
    assert_eq!(play.asked(&["stop"]), [format!("launchctl kill SIGTERM {target}")]);
    assert_eq!(play.asked(&["start"]), [format!("launchctl kickstart {target}")]);
    assert_eq!(play.asked(&["restart"]), [format!("launchctl kickstart -k {target}")]);
    let ended = play.service(&["status"]);
    assert!(ended.out.contains("state    running\nprocess  7\n"), "{ended:?}");
    assert_eq!(play.asked(&["uninstall"]), [format!("launchctl bootout {target}")]);
    assert!(!agent.exists());
}
