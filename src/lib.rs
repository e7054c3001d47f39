//! `codex-proxy`: a local OpenAI API in front of a person's own ChatGPT plan.
//!
//! The path of a request through the modules:
//!
//! ```text
//!  client ──► server ──► chat ──► translate ──► responses ──► upstream ──► Codex backend
//!             (axum)    (wire)     (pure)        (wire)        (HTTP)           │
//!  client ◄── server ◄── chat ◄── translate ◄── responses ◄──── sse ◄───────────┘
//! ```
//!
//! | module | holds | may use |
//! |---|---|---|
//! | [`chat`] | the client protocol: Chat Completions requests, completions, chunks, errors | `json` |
//! | [`responses`] | the backend protocol: requests, events, models, errors | `json` |
//! | [`translate`] | translation between the two; pure: no IO, no clock, no randomness | `chat`, `responses` |
//! | [`limits`] | the limits of the plan, as reported by the backend | nothing of ours |
//! | [`effort`], [`dated`], [`platform`], `excerpt` | types that several modules share | nothing of ours |
//! | [`single_flight`] | one shared run of an operation for all concurrent callers | nothing of ours |
//! | [`json`] | JSON as clients write it, borrowed, numbers to the digit | nothing of ours |
//! | `plain_file` | opening files that must be regular files | nothing of ours |
//! | `printable` | text made safe for a terminal and a log | nothing of ours |
//! | `retry_after` | the delay that response headers ask for | nothing of ours |
//! | [`sse`] | server-sent events: bytes to events | nothing of ours |
//! | [`capture`] | writing exchanges to a file, on demand | nothing of ours |
//! | [`config`] | settings: flags over environment over file over defaults | `translate` (policies) |
//! | [`credentials`] | the login, shared with the Codex CLI or not | `config`, `single_flight`, `retry_after` |
//! | [`upstream`] | the Codex backend as a client sees it | `responses`, `sse`, `config`, `credentials`, `limits`, `capture` |
//! | [`models`] | the list of models, kept fresh | `responses`, `upstream`, `config` |
//! | [`continuity`] | the memory of turns, which chat clients cannot carry | `translate`, `config` |
//! | [`server`] | the daemon: routes, streaming bodies, error objects | all of the above |
//! | [`simulator`] | a simulated backend, as strict as the real one | `responses`, `capture` |
//! | `allocator` | the memory allocator | nothing of ours |
//! | [`telemetry`] | the log and the start banner | `config`, `credentials`, `printable` |
//! | [`cli`] | the command line | all of the above |

#[cfg(not(target_env = "msvc"))]
mod allocator;
pub mod capture;
pub mod chat;
pub mod cli;
pub mod config;
pub mod continuity;
pub mod credentials;
pub mod dated;
pub mod effort;
mod excerpt;
pub mod json;
pub mod limits;
pub mod models;
mod plain_file;
pub mod platform;
mod printable;
pub mod responses;
mod retry_after;
pub mod server;
pub mod simulator;
pub mod single_flight;
pub mod sse;
mod steps;
pub mod telemetry;
pub mod translate;
pub mod upstream;
