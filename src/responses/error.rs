//! Stub.
use std::time::Duration;

/// What the backend said of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// `type`
    pub kind: Option<String>,
    /// `code`
    pub code: Option<String>,
    /// `message`
    pub message: Option<String>,
    /// `param`
    pub param: Option<String>,
    /// plan
    pub plan_type: Option<String>,
    /// reset
    pub resets_at: Option<i64>,
    /// reset
    pub resets_in: Option<Duration>,
}
impl Report {
    /// stub
    pub fn from_json(_: &str) -> Self {
        Self::default()
    }
}
