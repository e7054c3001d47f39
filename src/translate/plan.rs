//! The required form of an answer, determined while the request is translated.

use std::collections::{BTreeMap, BTreeSet};

use super::policy::{Commentary, Reasoning};
use super::request::paths::ClientPaths;

/// Which client name stands behind an alias.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasMap(pub(super) BTreeMap<String, String>);

impl AliasMap {
    /// The client's name of what the backend calls `name`.
    pub fn of<'n>(&'n self, name: &'n str) -> &'n str {
        self.0.get(name).map_or(name, String::as_str)
    }
}

/// The required form of an answer.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model as the client asked for it.
    pub model: String,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether a streamed answer ends with a usage chunk.
    pub include_usage: bool,
    /// How many choices; each is a separate call.
    pub choices: u32,
    /// The stop sequences; none of them empty.
    pub stops: Vec<String>,
    /// The limit of tokens of visible text.
    pub max_tokens: Option<usize>,
    /// Whether calls have the deprecated `function_call` form.
    pub legacy_functions: bool,
    /// Whether the content must be one JSON text.
    pub json: bool,
    /// Where reasoning goes.
    pub reasoning: Reasoning,
    /// Where preambles go.
    pub commentary: Commentary,
    /// The client's names of its tools.
    pub originals: AliasMap,
    /// The names of tools declared as custom, as the client spells them.
    pub custom_tools: BTreeSet<String>,
    /// The names of all functions declared, as the client spells them.
    pub functions: BTreeSet<String>,
    /// Whether the client gets the encrypted reasoning, to send it back.
    pub reasoning_details: bool,
    /// The client's names for the fields in errors of the backend.
    pub paths: ClientPaths,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            model: String::new(),
            stream: false,
            include_usage: false,
            choices: 1,
            stops: Vec::new(),
            max_tokens: None,
            legacy_functions: false,
            json: false,
            reasoning: Reasoning::ReasoningContent,
            commentary: Commentary::Content,
            originals: AliasMap::default(),
            custom_tools: BTreeSet::new(),
            functions: BTreeSet::new(),
            reasoning_details: false,
            paths: ClientPaths::default(),
        }
    }
}
