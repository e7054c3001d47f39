//! The login: read from `auth.json`, renewed before it expires, never lost.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | [`Store`]: the login as requests need it |
//! | `refresh.rs`, `cooldown.rs` | one renewal: redeem, lock, read again, write; and when not to |
//! | `resolve.rs` | the account of a personal access token |
//! | `save.rs` | replacing the login by a new one; signing out |
//! | `login_file.rs`, `file.rs`, `session.rs`, `claims.rs` | the contents of the file |
//! | `document.rs`, `atomic_replace.rs`, `lock.rs`, `location.rs` | changing the file |
//! | `api_key.rs` | a key of the platform from a variable or a file |
//! | `issuer/` | the sign-in service |
//! | `sign_in/` | getting a new login from it |
//!
//! The refresh token can be redeemed once, and losing its successor signs out the Codex CLI too.
//! Hence: no token is redeemed unless its successor can be written, the successor is on disk before
//! it is used, and renewals continue when their callers are cancelled.

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
