//! The daemon in odd circumstances.

use std::net::TcpStream;
use std::path::Path;

use serde_json::json;

use crate::support::home::Home;
use crate::support::program::{PROGRAM, until};

/// Puts something in the place of a file.
type Make<'a> = &'a dyn Fn(&Path);

#[test]
fn it_listens_on_ipv6() {
    let home = Home::new();
    let daemon = home.start(&["--listen", "[::1]:0", "serve", "--simulate"]).listening();
    assert!(daemon.address.starts_with("[::1]:"), "{}", daemon.address);
    home.run(&["health", "--listen", &daemon.address]).with(0, "answers at http://[::1]:");
    home.run(&["chat", "hi", "--listen", &daemon.address]).with(0, "");
}

/// It goes on when there are descriptors again.
#[cfg(unix)]
#[test]
fn it_outlives_a_time_without_descriptors() {
    const LIMIT: usize = 64;
    let home = Home::new();
    let script = format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"");
    let arguments = ["-c", &script, PROGRAM, "--listen", "127.0.0.1:0", "serve", "--simulate"];
    let daemon = home.spawn(home.command_of("/bin/sh", &arguments)).listening();
    let many: Vec<_> =
        (0..2 * LIMIT).map(|_| TcpStream::connect(&daemon.address).unwrap()).collect();
    daemon.wait_for("Too many open files");
    drop(many);
    until(|| home.run(&["health", "--listen", &daemon.address]).code == Some(0), || daemon.log());
    let lines = daemon.log().matches("Too many open files").count();
    assert!(lines < 50, "{lines} lines of log");
    assert_eq!(daemon.terminate(), Some(0));
}

/// Whatever stands in the place of the login, the daemon answers, says what is wrong, and ends.
#[cfg(unix)]
#[test]
fn no_login_file_however_odd_holds_the_daemon_up() {
    use std::os::unix::fs::symlink;

    let utf16: Vec<u8> = "{\"tokens\":{}}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let make_fifo = |path: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let files: [(&str, Make<'_>); 7] = [
        ("a FIFO", &make_fifo),
        ("endless", &|path| symlink("/dev/zero", path).unwrap()),
        ("a folder", &|path| std::fs::create_dir(path).unwrap()),
        ("a link to itself", &|path| symlink("auth.json", path).unwrap()),
        ("UTF-16", &|path| std::fs::write(path, &utf16).unwrap()),
        ("deep", &|path| std::fs::write(path, "[".repeat(100_000)).unwrap()),
        ("empty", &|path| std::fs::write(path, "").unwrap()),
    ];
    for (name, make) in files {
        let home = Home::new();
        make(&home.file());
        let daemon = home.daemon(&["serve"]);
        let health = home.run(&["health", "--json", "--listen", &daemon.address]).json();
        assert_eq!(
            (&health["running"], &health["credentials"]),
            (&json!(true), &json!(false)),
            "{name}"
        );
        let ended = home.run(&["chat", "hi", "--listen", &daemon.address]);
        assert_eq!(ended.code, Some(77), "{name}: {}", ended.err);
        assert!(ended.err.contains("auth.json"), "{name}: {}", ended.err);
        assert_eq!(daemon.terminate(), Some(0), "{name}");
    }
}
