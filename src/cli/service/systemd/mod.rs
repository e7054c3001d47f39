//! Units for systemd.
//!
//! They are templates next to this file, filled in here. Crates that support several service
//! managers leave out what matters most here: the sandbox.

mod control;
mod escape;

use std::path::{Path, PathBuf};

use super::definition::{Definition, STATE, Scope};
use super::files::File;
use crate::config::Listen;

pub(super) use self::control::{Systemd, lingers};

/// The unit of the daemon.
const SERVICE: &str = "codex-proxy.service";
/// The unit of its address.
const SOCKET: &str = "codex-proxy.socket";

const USER: &str = include_str!("user.service");
const SYSTEM: &str = include_str!("system.service");
const SANDBOX: &str = include_str!("sandbox.user");
const CALLS: &str = include_str!("sandbox.calls");
const ADDRESS: &str = include_str!("codex-proxy.socket");
const SYSUSERS: &str = include_str!("sysusers.conf");

/// How units differ besides what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnitOptions {
    /// Whether systemd listens and starts the daemon with the first connection.
    pub(super) socket: bool,
    /// Whether a user's service may have namespaces of its own.
    pub(super) sandbox: bool,
}

/// Where the units go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    service: PathBuf,
    socket: PathBuf,
    /// What makes the service's own user.
    sysusers: Option<PathBuf>,
}

impl Places {
    /// `settings` is the user's folder for settings.
    fn new(scope: Scope, settings: &Path) -> Self {
        let units = match scope {
            Scope::User => settings.join("systemd/user"),
            Scope::System => PathBuf::from("/etc/systemd/system"),
        };
        Self {
            service: units.join(SERVICE),
            socket: units.join(SOCKET),
            sysusers: match scope {
                Scope::User => None,
                Scope::System => Some("/etc/sysusers.d/codex-proxy.conf".into()),
            },
        }
    }
}

/// The files of the service.
fn files(definition: &Definition, shape: UnitOptions, places: &Places) -> Vec<File> {
    let service = File { path: places.service.clone(), content: service(definition, shape) };
    let mut files = vec![service];
    if shape.socket {
        files.push(File { path: places.socket.clone(), content: socket(definition) });
    }
    let sysusers = places.sysusers.clone();
    files.extend(sysusers.map(|path| File { path, content: SYSUSERS.to_owned() }));
    files
}

fn service(definition: &Definition, shape: UnitOptions) -> String {
    let command: Vec<_> = definition.command.iter().map(|word| escape::argument(word)).collect();
    let assignment = |(name, value): &(String, String)| escape::word(&format!("{name}={value}"));
    let mut environment: Vec<_> = definition
        .variables
        .iter()
        .map(|variable| format!("Environment={}", assignment(variable)))
        .collect();
    environment.push("# More variables, for example HTTPS_PROXY. The file is optional.".to_owned());
    environment.push(format!("EnvironmentFile=-{}", escape::line(&definition.environment_file)));
    let unit =
        if shape.socket { format!("Requires={SOCKET}\nAfter={SOCKET}") } else { String::new() };
    let wanted_by = match definition.scope {
        Scope::User => "default.target",
        Scope::System => "multi-user.target",
    };
    let install = if shape.socket {
        format!("\n[Install]\nAlso={SOCKET}\n")
    } else {
        format!("\n[Install]\nWantedBy={wanted_by}\n")
    };
    let (template, sandbox) = match definition.scope {
        Scope::User if shape.sandbox => (USER, format!("{SANDBOX}{CALLS}")),
        Scope::User => (USER, CALLS.to_owned()),
        Scope::System => (SYSTEM, String::new()),
    };
    let text = fill(template, &[("sandbox", &sandbox), ("calls", CALLS)]);
    fill(
        &text,
        &[
            ("unit", &unit),
            ("command", &command.join(" ")),
            ("environment", &environment.join("\n")),
            ("paths", &paths(definition)),
            ("install", &install),
        ],
    )
}

/// The lines that let it see and write what it has to.
fn paths(definition: &Definition) -> String {
    let list = |texts: &mut dyn Iterator<Item = &String>, write: &dyn Fn(&str) -> String| {
        texts.map(|text| write(text)).collect::<Vec<_>>().join(" ")
    };
    // systemd makes the state's folder by itself, writable.
    let mut written = definition.writable.iter().filter(|path| *path != STATE);
    let writable = list(&mut written, &escape::word);
    let mut lines = Vec::new();
    if definition.scope == Scope::User {
        // What is not there is not missed.
        let optional = |path: &str| format!("-{}", escape::bind(path));
        let readable = list(&mut definition.readable.iter(), &optional);
        lines.push(format!("BindReadOnlyPaths={readable}"));
        lines.push(format!("BindPaths={}", list(&mut definition.writable.iter(), &escape::bind)));
    }
    if !writable.is_empty() {
        lines.push(format!("ReadWritePaths={writable}"));
    }
    lines.join("\n")
}

fn socket(definition: &Definition) -> String {
    let listen = match &definition.listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => escape::line(&path.to_string_lossy()),
    };
    let owner = match definition.scope {
        Scope::User => "",
        Scope::System => "SocketUser=codex-proxy",
    };
    fill(ADDRESS, &[("listen", &listen), ("owner", owner)])
}

/// Puts the values in their places. Lines that stay empty go, and so do repeated empty lines. What a
/// value looks like does not matter: values are not looked through for places.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    for line in template.lines() {
        let filled = fill_line(line, values);
        if line.is_empty() || !filled.is_empty() {
            text.push_str(filled.trim_end_matches('\n'));
            text.push('\n');
        }
    }
    text
}

fn fill_line(line: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let value = after.split_once("}}").and_then(|(name, behind)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, behind))
        });
        // What is none of them may be a place for another time.
        let (value, behind) = value.unwrap_or((&"{{", after));
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// The command line of a unit that was installed, and where its socket listens.
fn command_of(service: &str) -> Option<Vec<String>> {
    let line = service.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    Some(escape::read_arguments(line))
}

/// Where a socket unit that was installed listens, as `--listen` has it.
fn listen_of(socket: &str) -> Option<String> {
    let line = socket.lines().find_map(|line| line.strip_prefix("ListenStream="))?;
    let place = escape::read_line(line);
    Some(if place.starts_with('/') { format!("unix:{place}") } else { place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_place_stays_what_it_is() {
        let values = [("paths", "/{{paths}}/{{install}}"), ("install", "$0 {{"), ("none", "")];
        for (template, expected) in [
            ("A={{paths}}\nB", "A=/{{paths}}/{{install}}\nB\n"),
            ("{{install}}{{paths}}", "$0 {{/{{paths}}/{{install}}\n"),
            ("a {{none}}b\n{{none}}\n\nc", "a b\n\nc\n"),
            ("{{other}} {{paths", "{{other}} {{paths\n"),
            ("{{{{install}}}}", "{{$0 {{}}\n"),
        ] {
            assert_eq!(fill(template, &values), expected, "{template}");
        }
    }
}
