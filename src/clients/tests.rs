use std::path::Path;

use super::*;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The settings as the documents have them.
fn documented(client: &Client) -> String {
    fill(client.text, "http://127.0.0.1:10455", ANY, "gpt-5.5")
}

fn rendered(name: &str) -> String {
    fill(find(name).unwrap().text, "http://127.0.0.1:10455", "the-key", "the-model")
}

/// The client that the code block after a line of a document is for:
/// `<!-- codex-proxy snippet NAME -->`.
fn marked(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- codex-proxy snippet ")?.strip_suffix(" -->")
}

/// The document with the settings of today in its marked blocks, and the clients that these are
/// for, in their order.
fn with_settings(document: &str) -> (String, Vec<&str>) {
    let (mut text, mut names) = (String::new(), Vec::new());
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        text.extend([line, "\n"]);
        let Some(name) = marked(line) else { continue };
        let client = find(name).unwrap_or_else(|| panic!("there is no client {name}"));
        let fence = lines.next().filter(|fence| fence.starts_with("```") && fence.len() > 3);
        let fence = fence.unwrap_or_else(|| panic!("no code block with a language for {name}"));
        assert!(lines.any(|line| line == "```"), "the block for {name} has no end");
        text.extend([fence, "\n", &documented(client), "```\n"]);
        names.push(name);
    }
    (text, names)
}

/// `CODEX_PROXY_TEST_BLESS` writes the blocks.
#[test]
fn documents_have_the_settings_of_the_table() {
    let every: Vec<_> = all().map(|client| client.name).collect();
    for (path, is_whole) in [("docs/clients.md", true), ("README.md", false)] {
        let file = Path::new(ROOT).join(path);
        let found = std::fs::read_to_string(&file).unwrap();
        let (expected, mut names) = with_settings(&found);
        if std::env::var_os("CODEX_PROXY_TEST_BLESS").is_some() {
            std::fs::write(&file, &expected).unwrap();
        } else {
            assert_eq!(found, expected, "{path}; CODEX_PROXY_TEST_BLESS=1 writes the blocks anew");
        }
        assert!(!names.is_empty(), "{path}");
        if is_whole {
            let mut every = every.clone();
            every.sort_unstable();
            names.sort_unstable();
            assert_eq!(names, every, "{path} has each client once");
        }
    }
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let count = format!("prints the settings for {} clients", every.len());
    assert!(readme.contains(&count), "README.md: {count}");
}

#[test]
fn every_file_is_a_clients_and_is_whole_lines() {
    let texts: Vec<_> = all().flat_map(|client| [Some(client.text), client.by_socket]).collect();
    let texts: Vec<_> = texts.into_iter().flatten().collect();
    let files = std::fs::read_dir(Path::new(ROOT).join("src/clients/settings")).unwrap();
    for file in files.map(|file| file.unwrap().path()) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(texts.contains(&&*text), "{} is not in the table", file.display());
    }
    for text in texts {
        assert!(text.ends_with('\n') && text.trim() == &text[..text.len() - 1], "{text}");
        assert!(!text.contains('\t') && !text.contains('\r') && !text.contains("```"), "{text}");
    }
}

#[test]
fn names_are_plain_and_in_order() {
    let mut names: Vec<_> = all().map(|client| client.name).collect();
    for group in GROUPS {
        assert!(group.clients.is_sorted_by_key(|client| client.name), "{}", group.title);
    }
    for client in all() {
        assert!(client.name.bytes().all(|b| b.is_ascii_lowercase() || b"-8".contains(&b)));
        assert!(!client.title.is_empty());
        assert_eq!(client.note.matches('`').count() % 2, 0, "{}", client.name);
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn what_is_json_can_be_read_as_such() {
    for name in ["opencode", "zed"] {
        serde_json::from_str::<serde_json::Value>(&rendered(name)).unwrap();
    }
}

#[test]
fn settings_have_what_they_need_and_no_placeholder_of_ours() {
    for client in all() {
        let text = rendered(client.name);
        assert!(!text.contains('<') && !text.contains('>'), "{}: {text}", client.name);
        // The key of llm and Zed is kept elsewhere, and Cursor needs another address.
        if !["llm", "zed"].contains(&client.name) {
            assert!(text.contains("the-key"), "{}", client.name);
        }
        if client.name != "cursor" {
            assert!(text.contains("http://127.0.0.1:10455"), "{}", client.name);
        }
        // Some are told nothing of models, and others a name that they do not know.
        if !["env", "n8n", "open-webui", "cursor", "openhands"].contains(&client.name) {
            assert!(text.contains("the-model"), "{}", client.name);
        }
    }
}
