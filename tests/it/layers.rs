//! Dependencies point one way: which module may name which, as `src/lib.rs` says.

use std::collections::BTreeMap;
use std::path::Path;

#[test]
#[expect(clippy::too_many_lines, reason = "the table")]
fn modules_name_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = [
        ("effort", &[][..]),
        ("dated", &[]),
        ("steps", &[]),
        ("platform", &[]),
        ("allocator", &[]),
        ("excerpt", &[]),
        ("json", &[]),
        ("limits", &[]),
        ("plain_file", &[]),
        ("printable", &[]),
        ("capture", &["plain_file"]),
        ("chat", &["json", "effort", "dated", "steps", "excerpt"]),
        ("responses", &["json", "effort"]),
        ("translate", &["json", "chat", "responses", "effort", "platform", "steps", "excerpt"]),
        ("sse", &[]),
        ("single_flight", &[]),
        ("retry_after", &[]),
        ("config", &["plain_file", "translate", "platform"]),
        ("credentials", &["plain_file", "config", "platform", "single_flight", "retry_after"]),
        (
            "upstream",
            &[
                "plain_file",
                "responses",
                "sse",
                "config",
                "credentials",
                "limits",
                "platform",
                "capture",
                "retry_after",
            ],
        ),
        (
            "models",
            &[
                "plain_file",
                "responses",
                "upstream",
                "config",
                "effort",
                "dated",
                "excerpt",
                "single_flight",
            ],
        ),
        ("continuity", &["config", "translate"]),
        ("simulator", &["responses", "capture"]),
        ("telemetry", &["printable", "config", "credentials"]),
        (
            "server",
            &[
                "plain_file",
                "json",
                "chat",
                "responses",
                "translate",
                "sse",
                "config",
                "continuity",
                "credentials",
                "upstream",
                "models",
                "effort",
                "excerpt",
                "limits",
                "platform",
                "capture",
            ],
        ),
        (
            "cli",
            &[
                "plain_file",
                "printable",
                "config",
                "credentials",
                "limits",
                "server",
                "simulator",
                "telemetry",
                "upstream",
                "responses",
                "sse",
                "models",
                "effort",
                "platform",
                "capture",
            ],
        ),
        ("main", &["cli"]),
        ("lib", &[]),
    ]
    .into();
    let mut wrong = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path| {
        let relative = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let below = allowed.get(module).unwrap_or_else(|| panic!("{module} is not in the table"));
        for (number, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
            for named in names(line) {
                if named != module && !below.contains(&named.as_str()) {
                    wrong.push(format!("{}:{}: {named}", relative.display(), number + 1));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&path);
        }
    }
}

/// The modules behind every `crate::` of a line of code.
fn names(line: &str) -> Vec<String> {
    let code = line.trim_start();
    if code.starts_with("//") {
        return Vec::new();
    }
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
        let parts = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for part in parts {
            let name: String =
                part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() && name != "self" {
                names.push(name);
            }
        }
    }
    names
}
