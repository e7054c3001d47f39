//! The login that the Codex CLI keeps in `auth.json`, read afresh whenever the file changes.
//!
//! Only read here: nothing writes the file, and nothing asks the sign-in service.

mod claims;
mod error;
mod file;
mod login;
mod store;

pub use self::claims::Claims;
pub use self::error::{Error, Mode};
pub use self::login::{Login, Summary};
pub use self::store::Store;
