//! The list of models.

use serde::Serialize;

/// `GET /v1/models`
#[derive(Debug, Serialize)]
pub struct List {
    object: &'static str,
    data: Vec<Model>,
}

impl List {
    /// A list of these models.
    pub fn new(data: Vec<Model>) -> Self {
        Self { object: "list", data }
    }
}

/// A model, with two fields more than OpenAI documents.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// How many tokens fit into a request, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u64>,
    /// The values that `reasoning_effort` may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_efforts: Vec<&'static str>,
}

impl Model {
    /// A model of this name. The backend tells no time of creation, so that it is a constant.
    pub fn new(
        id: impl Into<String>,
        context_length: Option<u64>,
        reasoning_efforts: Vec<&'static str>,
    ) -> Self {
        Self {
            id: id.into(),
            object: "model",
            created: 1_700_000_000,
            owned_by: "openai",
            context_length,
            reasoning_efforts,
        }
    }
}
