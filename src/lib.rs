//! `codex-proxy`: a local OpenAI API in front of a person's own ChatGPT plan.
//!
//! The way of a request through the modules:
//!
//! ```text
//!  client ──► server ──► chat ──► translate ──► responses ──► upstream ──► Codex backend
//!             (axum)    (wire)     (pure)        (wire)        (HTTP)           │
//!  client ◄── server ◄── chat ◄── translate ◄── responses ◄──── sse ◄───────────┘
//! ```
//!
//! | module | holds | may use |
//! |---|---|---|
//! | [`chat`] | what clients speak: Chat Completions requests, completions, chunks, errors | `json` |
//! | [`responses`] | what the backend speaks: requests, events, models, errors | `json` |
//! | [`translate`] | what one means in the other; pure: no IO, no clock, no randomness | `chat`, `responses` |
//! | [`limits`] | what is left of the plan, as the backend tells it | nothing of ours |
//! | [`effort`], [`dated`], [`platform`], `excerpt` | words that several of the others share | nothing of ours |
//! | [`single_flight`] | one run of a piece of work for all who want it at the same time | nothing of ours |
//! | [`json`] | JSON as clients write it, borrowed, numbers to the digit | nothing of ours |
//! | `plain_file` | opening files that have to be plain ones | nothing of ours |
//! | `printable` | text made safe for a terminal and a log | nothing of ours |
//! | `retry_after` | how long the headers of an answer ask to wait | nothing of ours |
//! | [`sse`] | server-sent events: bytes to events | nothing of ours |
//! | [`capture`] | writing exchanges to a file, on demand | nothing of ours |
//! | [`config`] | settings: flags over environment over file over defaults | `translate` (policies) |
//! | [`credentials`] | the login that the Codex CLI keeps | `config`, `single_flight`, `retry_after` |
//! | [`upstream`] | the Codex backend as a client sees it | `responses`, `sse`, `config`, `credentials`, `limits`, `capture` |
//! | [`models`] | which models there are, kept fresh | `responses`, `upstream`, `config` |
//! | [`continuity`] | the memory of turns, which chat clients cannot carry | `translate`, `config` |
//! | [`server`] | the daemon: routes, streaming bodies, error objects | all of the above |
//! | [`simulator`] | a stand-in for the backend, as strict as the real one | `responses`, `capture` |
//! | `allocator` | where memory comes from | nothing of ours |
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
