//! What the backend speaks: the Responses wire format and the model catalogue.

pub mod error;
pub mod event;
pub mod lax;
pub mod model;
pub mod request;
pub mod schema;
pub mod surrogates;
