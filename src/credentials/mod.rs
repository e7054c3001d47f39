//! The login: read from `auth.json`, renewed before it ends, never lost.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | [`Store`]: the login as requests need it |
//! | `renew.rs`, `pause.rs` | one renewal: redeem, lock, read again, write; and when not to |
//! | `resolve.rs` | whose a personal access token is |
//! | `save.rs` | a new login in the place of the old one; signing out |
//! | `reader.rs`, `file.rs`, `session.rs`, `claims.rs` | what the file holds |
//! | `document.rs`, `replace.rs`, `lock.rs`, `location.rs` | changing the file |
//! | `api_key.rs` | a key of the platform from elsewhere |
//! | `issuer/` | the sign-in service |
//! | `sign_in/` | getting a new login from it |
//!
//! The refresh token can be redeemed once, and whoever loses its successor has signed out the
//! Codex CLI too. Hence: nothing is redeemed unless its successor can be written, the successor is
//! on disk before anybody uses it, and renewals go on when those who caused them leave.

mod api_key;
mod atomic_replace;
mod claims;
mod cooldown;
mod document;
mod error;
mod file;
pub mod issuer;
mod location;
mod lock;
mod login;
mod login_file;
mod refresh;
mod resolve;
mod save;
mod session;
pub mod sign_in;
mod state;
mod store;
mod tally;

pub use self::api_key::{NoKey, api_key};
pub use self::claims::Claims;
pub use self::error::{Error, Mode};
pub use self::issuer::Issuer;
pub use self::location::Location;
pub use self::lock::LONGEST_RENEWAL;
pub use self::login::{Login, Summary};
pub use self::save::{NewDocument, NewLogin};
pub use self::store::{Status, Store};
pub use self::tally::Renewals;
