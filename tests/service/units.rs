//! What systemd itself thinks of the units, where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::fine;

/// The exposure that a unit may have at most, in systemd's own reckoning from 0 to 10.
const EXPOSURE: f64 = 2.0;

/// Runs systemd-analyze, if there is one.
fn analyze(arguments: &[&str], files: &[PathBuf]) -> Option<String> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no systemd-analyze (apt-get install systemd)");
        return None;
    }
    let output = Command::new("systemd-analyze").args(arguments).args(files).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    // A setting that it does not know is a warning only.
    assert!(!err.contains("codex-proxy"), "{err}");
    Some(out)
}

/// Installs into a folder, and gives the units there.
fn install(home: &Path, root: &Path, arguments: &[&str], units: &Path) -> Vec<PathBuf> {
    let first = ["install", "--manager", "systemd", "--root", root.to_str().unwrap()];
    let out = fine(home, &[&first, arguments].concat(), &[]);
    assert!(out.contains("Wrote "), "{out}");
    let again = fine(home, &[&first, arguments].concat(), &[]);
    assert!(again.contains("Unchanged: ") && !again.contains("Wrote "), "{again}");
    let entries = std::fs::read_dir(root.join(units.strip_prefix("/").unwrap())).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn judge(units: &[PathBuf]) {
    // systemd-analyze itself gets on with plain names only.
    let folder = tempfile::tempdir().unwrap();
    let plain = |unit: &PathBuf| {
        let copy = folder.path().join(unit.file_name().unwrap());
        std::fs::copy(unit, &copy).unwrap();
        copy
    };
    let units: Vec<_> = units.iter().map(plain).collect();
    let Some(_) = analyze(&["verify", "--man=no"], &units) else { return };
    let services: Vec<_> = units
        .iter()
        .filter(|unit| unit.extension().is_some_and(|extension| extension == "service"))
        .cloned()
        .collect();
    let out = analyze(&["security", "--offline=yes", "--no-pager"], &services).unwrap();
    let line = out.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let level = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
    eprintln!("{line}");
    assert!(level <= EXPOSURE, "{out}");
}

#[test]
fn a_users_units_are_sound_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    // Names as people have them.
    let home = folder.path().join("my home: 100% \"mine\" {{paths}}");
    std::fs::create_dir(&home).unwrap();
    let root = folder.path().join("root");
    let units = home.join(".config/systemd/user");
    let found = install(&home, &root, &[], &units);
    assert_eq!(found.len(), 1);
    judge(&found);
    let socket = format!("unix:{}/run/api.sock", home.display());
    let found = install(&home, &root, &["--socket", "--listen", &socket], &units);
    assert_eq!(found.len(), 2);
    judge(&found);
    // The folder of the login is there from the start on, for this user alone.
    let login = root.join(home.strip_prefix("/").unwrap()).join(".codex");
    let mode = std::os::unix::fs::PermissionsExt::mode(&login.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_machines_units_are_sound_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let units = Path::new("/etc/systemd/system");
    let found = install(folder.path(), &folder.path().join("root"), &["--system"], units);
    assert_eq!(found.len(), 1);
    judge(&found);
    let root = folder.path().join("with-socket");
    let found = install(folder.path(), &root, &["--system", "--socket"], units);
    assert_eq!(found.len(), 2);
    judge(&found);
    assert!(root.join("etc/sysusers.d/codex-proxy.conf").exists());
}

#[test]
fn uninstalling_leaves_the_login_and_the_settings() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    let units = home.path().join(".config/systemd/user");
    install(home.path(), &root, &["--socket"], &units);
    let within = |path: &str| root.join(home.path().strip_prefix("/").unwrap()).join(path);
    std::fs::write(within(".codex/auth.json"), "{}").unwrap();
    std::fs::create_dir_all(within(".config/codex-proxy")).unwrap();
    std::fs::write(within(".config/codex-proxy/config.toml"), "").unwrap();
    let uninstall = ["uninstall", "--manager", "systemd", "--root", root.to_str().unwrap()];
    let out = fine(home.path(), &uninstall, &[]);
    assert_eq!(out.matches("Removed ").count(), 2, "{out}");
    assert_eq!(std::fs::read_dir(within(".config/systemd/user")).unwrap().count(), 0);
    assert!(within(".codex/auth.json").exists());
    assert!(within(".config/codex-proxy/config.toml").exists());
    let out = fine(home.path(), &uninstall, &[]);
    assert!(out.contains("No service is installed"), "{out}");
}
