//! Dependencies point one way: which module may name which, as the table in `src/lib.rs` says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

type Names = BTreeSet<String>;

/// The modules that each module may name, from the table in `lib.rs`. A row names modules above
/// it only.
fn table() -> BTreeMap<String, Names> {
    let text = std::fs::read_to_string(Path::new(SRC).join("lib.rs")).unwrap();
    let mut table = BTreeMap::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("//! | [`")) {
        let (module, rest) = row.split_once("`]").unwrap();
        let uses = rest.trim_end().trim_end_matches('|').rsplit('|').next().unwrap();
        let listed: Names = uses.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let above: Names = table.keys().cloned().collect();
        assert!(listed.is_subset(&above), "{module} uses what is not above it: {listed:?}");
        let allowed = match uses.trim() {
            uses if uses.starts_with("all above") => &above - &listed,
            _ => listed,
        };
        assert!(table.insert(module.to_owned(), allowed).is_none(), "{module} is there twice");
    }
    table
}

#[test]
fn modules_name_only_what_lies_below_them() {
    let table = table();
    let mut found = BTreeMap::<String, Names>::new();
    let mut wrong = Vec::new();
    visit(Path::new(SRC), &mut |path| {
        let relative = path.strip_prefix(SRC).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            return;
        }
        let allowed = table.get(module).unwrap_or_else(|| panic!("{module} is not in the table"));
        for (number, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
            for named in names(line).into_iter().filter(|named| named != module) {
                if !allowed.contains(&named) {
                    wrong.push(format!("{}:{}: {named}", relative.display(), number + 1));
                }
                found.entry(module.to_owned()).or_default().insert(named);
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What is allowed is needed, or the table would say more than is so.
    for (module, allowed) in
        table.iter().filter(|(module, _)| !matches!(&***module, "server" | "cli"))
    {
        let unused: Vec<_> = allowed.difference(found.entry(module.clone()).or_default()).collect();
        assert!(unused.is_empty(), "{module} does not use {unused:?}");
    }
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
