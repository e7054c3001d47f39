//! The Codex backend as a client sees it.
//!
//! [`Client::respond`] starts a call and gives its [`Events`]; [`Client::models`] fetches the
//! catalogue; [`Client::usage`] asks for the plan's limits, which every answer also reports and
//! [`Client::limits`] holds; [`Client::acquire_permits`] takes the permits for the calls of a
//! request. The bearer token is sent only to the configured base URL of its kind of login: no other
//! URL is ever built, and redirects are not followed.

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
