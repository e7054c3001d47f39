//! What the backend speaks: the Responses wire format and the model catalogue.

pub mod error;
pub mod event;
pub mod lenient;
pub mod model;
pub mod request;
pub mod schema;
pub mod surrogates;
