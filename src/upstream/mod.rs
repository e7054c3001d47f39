//! The Codex backend as a client sees it.
//!
//! [`Client::respond`] starts a call and gives its [`Events`]; [`Client::models`] fetches the
//! catalogue; [`Client::usage`] asks for the plan's limits, which every answer tells of as well and
//! [`Client::limits`] knows; [`Client::enter`] takes the places of a request among those that may be under way. The
//! bearer goes to the configured base address of its kind of login only: no other
//! address is ever built, and redirects are not followed.

mod admission;
mod answer;
mod retry;
mod circuit;
mod client;
mod events;
mod error;
mod pool;
mod compression;
mod request;
mod routing;
mod transport;
mod body;

pub use admission::{AdmissionError, Permits, CallPermit};
pub use retry::{CallError, RetryState};
pub use client::{Client, CredentialProvider, ModelsAnswer};
pub use events::{Events, Head, RATE_LIMITS};
pub use error::{UpstreamError, ErrorResponse, Retry, Waiting, is_code};
pub use compression::RequestBody;
pub use transport::{BuildError, Tls, http_client, http_client_over};
