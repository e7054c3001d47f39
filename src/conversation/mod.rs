//! Turns of conversations: output items of the backend, replayed where the client repeats the turn.
//!
//! | file | holds |
//! |---|---|
//! | `turn.rs` | a turn, its key, and whether a client repeats it |
//! | `recorder.rs` | the turn of an answer, from its output items |
//! | `store.rs` | the turns of this process: in memory, bounded in bytes and in age |
//! | `json_digest.rs` | equality of JSON texts |

mod json_digest;
mod recorder;
mod store;
mod turn;

pub(crate) use self::json_digest::digest as json_digest;
pub use self::recorder::{Emitted, TurnRecorder};
pub use self::store::TurnMemory;
pub(crate) use self::turn::text_of;
pub use self::turn::{History, Key, ReplaySource, Scope, Turn, TurnStore};
