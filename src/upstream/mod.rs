//! The Codex backend as a client sees it.
//!
//! [`Client::respond`] starts a call and gives its [`Events`]; [`Client::models`] fetches the
//! catalogue; [`Client::usage`] asks for the plan's limits, which every answer tells of as well and
//! [`Client::limits`] knows; [`Client::enter`] takes the places of a request among those that may be under way. The
//! bearer goes to the configured base address of its kind of login only: no other
//! address is ever built, and redirects are not followed.

mod admission;
mod body;
mod circuit;
mod client;
mod compression;
mod error;
mod events;
mod pool;
mod request;
mod response;
mod retry;
mod routing;
mod transport;

pub use admission::{AdmissionError, CallPermit, Permits};
pub use client::{Client, CredentialProvider, ModelsAnswer};
pub use compression::RequestBody;
pub use error::{ErrorResponse, Retry, UpstreamError, Waiting, is_code};
pub use events::{Events, Head, RATE_LIMITS};
pub use retry::{CallError, RetryState};
pub use transport::{BuildError, Tls, http_client, http_client_over};
