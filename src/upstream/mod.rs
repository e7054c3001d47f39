//! The Codex backend as a client sees it.
//!
//! [`Client::respond`] starts a call and gives its [`Events`]; [`Client::models`] fetches the
//! catalogue; [`Client::usage`] asks for the plan's limits, which every answer tells of as well and
//! [`Client::limits`] knows; [`Client::enter`] takes the places of a request among those that may be under way. The
//! bearer goes to the configured base address of its kind of login only: no other
//! address is ever built, and redirects are not followed.

mod admission;
mod answer;
mod backoff;
mod circuit;
mod client;
mod events;
mod failure;
mod pool;
mod packing;
mod request;
mod routing;
mod transport;
mod watch;

pub use admission::{Crowded, Places, Turn};
pub use backoff::{Failed, Tries};
pub use client::{Client, Logins, ModelsAnswer};
pub use events::{Events, Head, RATE_LIMITS};
pub use failure::{Failure, Refusal, Retry, Waiting, is_code};
pub use packing::Payload;
pub use transport::{BuildError, Tls, http_client, http_client_over};
