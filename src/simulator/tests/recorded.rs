//! Requests recorded from the real backend, which took them, are taken here.

use std::path::Path;

use serde_json::{Value, json};

use crate::simulator::catalogue::{Catalogue, default_models};
use crate::simulator::encrypted_content::Owner;
use crate::simulator::validate;

/// Reads the folder named by `CODEX_PROXY_CORPUS`; without it there is nothing to check.
#[test]
fn recorded_requests_are_accepted() {
    let Some(corpus) = std::env::var_os("CODEX_PROXY_CORPUS") else {
        eprintln!("skipped: CODEX_PROXY_CORPUS does not name the folder of recordings");
        return;
    };
    let folder = Path::new(&corpus).join("responses/rig-codex");
    let catalogue = Catalogue::new(default_models());
    let headers = axum::http::HeaderMap::new();
    let mut checked = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().ends_with(".request.json") {
            continue;
        }
        let mut body: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        unredact(&mut body);
        let verdict = validate::check(&body, &headers, &catalogue);
        assert!(verdict.is_ok(), "{}: {verdict:?}", path.display());
        checked += 1;
    }
    assert!(checked > 0, "no requests in {}", folder.display());
}

/// Encrypted content is blacked out in recordings; this simulator can only open its own.
fn unredact(body: &mut Value) {
    let owner = Owner { account: "default".to_owned(), family: "gpt-5.4".to_owned() };
    for item in body["input"].as_array_mut().into_iter().flatten() {
        if item.get("encrypted_content").is_some() {
            item["encrypted_content"] = json!(owner.seal("rs_1"));
        }
    }
}
