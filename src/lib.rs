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
//! | module | holds | uses |
//! |---|---|---|
//! | [`effort`] | the levels of reasoning effort | |
//! | [`service_tier`] | how a request is processed | |
//! | [`dated`] | names with a date suffix | |
//! | [`platform`] | which of the two APIs a login is for | |
//! | [`excerpt`] | the beginning of a text that others chose | |
//! | [`error_chain`] | an error with its causes | |
//! | [`steps`] | counting steps in tests of cost | |
//! | [`retry_after`] | the delay that response headers ask for | |
//! | [`plain_file`] | opening files that must be regular files | |
//! | [`printable`] | text made safe for a terminal and a log | |
//! | [`single_flight`] | one shared run of an operation for all concurrent callers | |
//! | [`clients`] | the supported clients and their settings; pure | |
//! | [`allocator`] | the memory allocator | |
//! | [`json`] | JSON as clients write it, borrowed, numbers to the digit | |
//! | [`sse`] | server-sent events: bytes to events | |
//! | [`limits`] | the limits of the plan, as reported by the backend | |
//! | [`capture`] | writing exchanges to a file, on demand | `plain_file` |
//! | [`chat`] | the client protocol: Chat Completions requests, completions, chunks, errors | `service_tier`, `json`, `effort`, `dated`, `steps`, `excerpt` |
//! | [`responses`] | the backend protocol: requests, events, models, errors | `service_tier`, `json`, `effort` |
//! | [`conversation`] | turns that can be sent back: their keys, their memory; pure | `responses` |
//! | [`translate`] | translation between the two; pure: no IO, no clock, no randomness | `service_tier`, `json`, `chat`, `responses`, `conversation`, `effort`, `platform`, `steps`, `excerpt` |
//! | [`config`] | settings: flags over environment over file over defaults | `plain_file`, `translate`, `platform` |
//! | [`credentials`] | the login, shared with the Codex CLI or not | `plain_file`, `config`, `platform`, `single_flight`, `retry_after` |
//! | [`upstream`] | the Codex backend as a client sees it | `plain_file`, `responses`, `sse`, `config`, `credentials`, `limits`, `platform`, `capture`, `retry_after`, `error_chain` |
//! | [`models`] | the list of models, kept fresh | `plain_file`, `responses`, `upstream`, `config`, `effort`, `dated`, `excerpt`, `single_flight` |
//! | [`metrics`] | counters, histograms, and the last requests | `chat`, `credentials`, `limits` |
//! | [`exchange`] | a call and its retries, until its answer has been read | `printable`, `capture`, `conversation`, `credentials`, `metrics`, `translate`, `upstream` |
//! | [`simulator`] | a simulated backend, as strict as the real one | `capture` |
//! | [`telemetry`] | the log and the start banner | `printable`, `config`, `credentials` |
//! | [`server`] | the daemon: routes, streaming bodies, error objects | all above but `simulator`, `telemetry` |
//! | [`cli`] | the command line | all above |
//!
//! `tests/api/layers.rs` holds the source to this table.

#[cfg(not(target_env = "msvc"))]
mod allocator;
pub mod capture;
pub mod chat;
pub mod cli;
mod clients;
pub mod config;
pub mod conversation;
pub mod credentials;
pub mod dated;
pub mod effort;
mod error_chain;
mod excerpt;
mod exchange;
pub mod json;
pub mod limits;
mod metrics;
pub mod models;
mod plain_file;
pub mod platform;
mod printable;
pub mod responses;
mod retry_after;
pub mod server;
pub mod service_tier;
pub mod simulator;
pub mod single_flight;
pub mod sse;
mod steps;
pub mod telemetry;
pub mod translate;
pub mod upstream;
