//! The `codex-proxy` binary; see [`codex_proxy::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    codex_proxy::cli::main()
}
