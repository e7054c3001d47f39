//! The Codex backend as a client sees it.
//!
//! [`Client::respond`] starts a call and gives its [`Events`]; [`Client::models`] fetches the
//! catalogue. The bearer goes to the configured base address of its kind of login only: no other
//! address is ever built, and redirects are not followed.

mod client;
mod events;
mod failure;
mod request;
mod transport;
mod watch;

pub use client::{Client, Logins, ModelsAnswer};
pub use events::{Events, Head};
pub use failure::{Failure, Refusal, Waiting};
pub use transport::{BuildError, http_client};
