//! Errors of the backend with the client's own names of the fields at fault.

use super::ApiError;
use crate::translate::request::ClientPaths;
use crate::upstream::{CallError, UpstreamError};

impl ApiError {
    /// What went wrong with a call for a client that calls the fields of the request by `paths`.
    pub fn of_call(failed: CallError, paths: &ClientPaths) -> Self {
        let report = match &failed.failure {
            UpstreamError::Refused(refusal) => &refusal.report,
            UpstreamError::Reported(report) => report,
            _ => return Self::from(failed),
        };
        let param = report.field().and_then(|field| paths.of(field));
        let mut error = Self::from(failed).param_or_same(param);
        error.error.message = paths.in_text(&error.error.message).into_owned();
        error
    }

    fn param_or_same(mut self, param: Option<String>) -> Self {
        self.error.param = param.or(self.error.param);
        self
    }
}
