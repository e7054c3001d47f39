//! Which models there are, kept fresh, and which of them a client means.

mod catalogue;
mod list;
mod resolve;

pub use self::catalogue::Catalogue;
pub use self::list::{List, Source};
pub use self::resolve::{Resolved, UnknownModel, find, resolve};
