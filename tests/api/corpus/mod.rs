//! Recordings through the running daemon. They are not part of the repository: `CODEX_PROXY_CORPUS`
//! names the folder, and these tests are ignored unless they are asked for.
//!
//! ```sh
//! CODEX_PROXY_CORPUS=FOLDER cargo nextest run --run-ignored only -E 'test(/^corpus::/)'
//! ```

mod requests;
mod streams;

use std::path::PathBuf;

/// The folder, which has `expected.jsonl` and `responses`.
fn folder() -> PathBuf {
    let folder = std::env::var_os("CODEX_PROXY_CORPUS").filter(|folder| !folder.is_empty());
    folder.expect("CODEX_PROXY_CORPUS names no folder").into()
}
