//! Turns of conversations: what the backend said, put back where the client repeats it.
//!
//! | file | holds |
//! |---|---|
//! | `turn.rs` | what a turn is, by what it is found again, and whether a client repeats it |
//! | `recorder.rs` | the turn of an answer, from its output items |
//! | `store.rs` | the turns of this process: in memory, bounded in bytes and in age |
//! | `json_digest.rs` | whether two JSON texts say the same |

mod json_digest;
mod recorder;
mod store;
mod turn;

pub(crate) use self::json_digest::digest as json_digest;
pub use self::recorder::{Emitted, TurnRecorder};
pub use self::store::TurnMemory;
pub(crate) use self::turn::text_of;
pub use self::turn::{History, Key, ReplaySource, Scope, Turn, TurnStore};
