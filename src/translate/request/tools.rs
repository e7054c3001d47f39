//! Tools and which of them to call.

use std::collections::{BTreeSet, HashMap};

use super::aliases::ToolAliases;
use super::field_report::FieldReport;
use super::schema;
use crate::chat::invalid_request::{Code, InvalidRequest};
use crate::chat::request as chat;
use crate::chat::request::{AllowedMode, Form, HostedTool, Tool, WebSearch};
use crate::excerpt::excerpt;
use crate::responses::request as wire;
use crate::steps;

/// The tools of a request and, by kind, the client's names of them.
pub(super) struct Declared<'v> {
    pub(super) tools: Vec<wire::Tool<'v>>,
    pub(super) functions: BTreeSet<&'v str>,
    pub(super) custom: BTreeSet<&'v str>,
    /// Where the tools stand in the client's request.
    pub(super) places: Vec<Place>,
}

/// Where a tool stands in the client's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In `tools`, at this index, with its fields in this object; in none if the name is empty.
    Tool(usize, &'static str),
    /// In the deprecated `functions`, at this index.
    Function(usize),
    /// In `web_search_options`.
    WebSearchOptions,
    /// In `modalities`.
    Modalities,
}

impl<'v> Declared<'v> {
    fn push(&mut self, place: Place, tool: wire::Tool<'v>) {
        self.places.push(place);
        self.tools.push(tool);
    }

    fn searches(&self) -> bool {
        steps::count(self.tools.len());
        self.tools.iter().any(|tool| matches!(tool, wire::Tool::WebSearch { .. }))
    }

    fn draws(&self) -> bool {
        steps::count(self.tools.len());
        self.tools.iter().any(|tool| matches!(tool, wire::Tool::ImageGeneration { .. }))
    }
}

/// Translates `tools`, in the client's order, and `web_search_options` and `modalities`, which ask
/// for hosted tools as well.
pub(super) fn translate<'v>(
    request: &chat::Request<'v>,
    names: &mut ToolAliases<'v>,
    notes: &mut FieldReport,
) -> Result<Declared<'v>, InvalidRequest> {
    let indexes = last_of_each(request)?;
    for name in indexes.keys() {
        names.reserve(name);
    }
    let mut declared = Declared {
        tools: Vec::with_capacity(request.tools.len()),
        functions: BTreeSet::new(),
        custom: BTreeSet::new(),
        places: Vec::with_capacity(request.tools.len()),
    };
    let mut hosted: Vec<&HostedTool<'_>> = Vec::new();
    let list = if request.legacy_functions { "functions" } else { "tools" };
    for (index, tool) in request.tools.iter().enumerate() {
        if name_of(tool).is_some_and(|name| indexes.get(name) != Some(&index)) {
            continue;
        }
        let place = |form, inner| match form {
            _ if request.legacy_functions => Place::Function(index),
            Form::Nested => Place::Tool(index, inner),
            Form::Flat => Place::Tool(index, ""),
        };
        match tool {
            Tool::Function(function) => {
                let inner = if function.form == Form::Nested { ".function" } else { "" };
                let path = format!("{list}[{index}]{inner}");
                let (parameters, strict) = schema::parameters(
                    function.parameters,
                    function.strict,
                    &format!("{path}.parameters"),
                    notes,
                )?;
                if strict != function.strict {
                    notes.dropped_field(&format!("{path}.strict"))?;
                }
                declared.functions.insert(function.name);
                let tool = wire::Tool::Function {
                    name: names.upstream(function.name),
                    description: function.description,
                    parameters,
                    strict,
                };
                declared.push(place(function.form, "function"), tool);
            }
            Tool::Custom(custom) => {
                declared.custom.insert(custom.name);
                let tool = wire::Tool::Custom {
                    name: names.upstream(custom.name),
                    description: custom.description,
                    format: custom.format.map(|format| match format {
                        chat::CustomFormat::Text => wire::CustomFormat::Text,
                        chat::CustomFormat::Grammar { syntax, definition } => {
                            wire::CustomFormat::Grammar { syntax, definition }
                        }
                    }),
                };
                declared.push(place(custom.form, "custom"), tool);
            }
            Tool::Hosted(tool) => {
                // Two of one kind are rare, and several different ones make no sense.
                if hosted.last() == Some(&tool) {
                    continue;
                }
                hosted.push(tool);
                let tool = match tool {
                    HostedTool::WebSearch(search) => {
                        web_search(&with_options(search, request.web_search.as_ref(), notes)?)
                    }
                    HostedTool::ImageGeneration(options) => {
                        wire::Tool::ImageGeneration { options: wire::Options(options.clone()) }
                    }
                };
                declared.push(place(Form::Flat, ""), tool);
            }
        }
    }
    if let Some(search) = &request.web_search
        && !declared.searches()
    {
        declared.push(Place::WebSearchOptions, web_search(search));
    }
    if request.pictures && !declared.draws() {
        let options = wire::Options::default();
        declared.push(Place::Modalities, wire::Tool::ImageGeneration { options });
    }
    Ok(declared)
}

fn name_of<'v>(tool: &Tool<'v>) -> Option<&'v str> {
    match tool {
        Tool::Function(function) => Some(function.name),
        Tool::Custom(custom) => Some(custom.name),
        Tool::Hosted(_) => None,
    }
}

/// Where the last tool of each name stands: of equal tools the last one counts. Two different tools
/// of one name are refused, since the model could not tell them apart.
fn last_of_each<'v>(
    request: &chat::Request<'v>,
) -> Result<HashMap<&'v str, usize>, InvalidRequest> {
    let mut indexes = HashMap::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        steps::count(1);
        let Some(name) = name_of(tool) else { continue };
        let Some(before) = indexes.insert(name, index) else { continue };
        if is_same(&request.tools[before], tool) {
            continue;
        }
        let (list, field) = match tool {
            _ if request.legacy_functions => ("functions", "name"),
            Tool::Function(chat::Function { form: Form::Nested, .. }) => ("tools", "function.name"),
            Tool::Custom(chat::Custom { form: Form::Nested, .. }) => ("tools", "custom.name"),
            _ => ("tools", "name"),
        };
        let name = excerpt(name);
        let message = format!(
            "Invalid '{list}': two different tools are named '{name}'. Names must be unique."
        );
        let at = format_args!("{list}[{index}].{field}");
        return Err(InvalidRequest::new(at, Code::InvalidValue, message));
    }
    Ok(indexes)
}

/// Whether two tools are the same, however they are written.
fn is_same(one: &Tool<'_>, other: &Tool<'_>) -> bool {
    match (one, other) {
        (Tool::Function(one), Tool::Function(other)) => {
            (one.description, one.parameters, one.strict)
                == (other.description, other.parameters, other.strict)
        }
        (Tool::Custom(one), Tool::Custom(other)) => {
            (one.description, one.format) == (other.description, other.format)
        }
        _ => false,
    }
}

/// A declared search with what only `web_search_options` says. Of two restrictions both hold; where
/// they cannot, the request is refused. Of what is no restriction the tool's own counts.
fn with_options<'v>(
    search: &WebSearch<'v>,
    options: Option<&WebSearch<'v>>,
    notes: &mut FieldReport,
) -> Result<WebSearch<'v>, InvalidRequest> {
    let mut search = search.clone();
    let Some(options) = options.cloned() else { return Ok(search) };
    restrict(&mut search.external_web_access, options.external_web_access);
    restrict(&mut search.indexed_web_access, options.indexed_web_access);
    if fill(&mut search.allowed_domains, options.allowed_domains) {
        let message = "'web_search_options' and 'tools' allow different domains for the search; \
                       set them in one place only.";
        return Err(InvalidRequest::new("web_search_options.filters", Code::InvalidValue, message));
    }
    for (name, is_lost) in [
        ("search_content_types", fill(&mut search.content_types, options.content_types)),
        ("search_context_size", fill(&mut search.context_size, options.context_size)),
        ("user_location", fill(&mut search.location, options.location)),
    ] {
        if is_lost {
            notes.dropped_field(&format!("web_search_options.{name}"))?;
        }
    }
    Ok(search)
}

/// What both allow.
fn restrict(own: &mut Option<bool>, other: Option<bool>) {
    *own = match (*own, other) {
        (Some(own), Some(other)) => Some(own && other),
        (own, other) => own.or(other),
    };
}

/// Puts in what is missing; true if something else is there.
fn fill<T: PartialEq>(own: &mut Option<T>, other: Option<T>) -> bool {
    if own.is_none() {
        *own = other;
        return false;
    }
    other.is_some() && *own != other
}

fn web_search<'v>(search: &WebSearch<'v>) -> wire::Tool<'v> {
    wire::Tool::WebSearch {
        external_web_access: search.external_web_access,
        indexed_web_access: search.indexed_web_access,
        search_context_size: search.context_size,
        user_location: search.location.map(|place| wire::UserLocation {
            country: place.country,
            region: place.region,
            city: place.city,
            timezone: place.timezone,
        }),
        filters: search
            .allowed_domains
            .clone()
            .map(|allowed_domains| wire::Filters { allowed_domains }),
        search_content_types: search.content_types.clone(),
    }
}

/// Translates `tool_choice` or the deprecated `function_call`.
pub(super) fn translate_choice<'v>(
    request: &chat::Request<'v>,
    declared: &Declared<'v>,
    names: &mut ToolAliases<'v>,
) -> Result<Option<wire::ToolChoice<'v>>, InvalidRequest> {
    let field = request.tool_choice_field;
    let Some(choice) = &request.tool_choice else { return Ok(None) };
    if declared.tools.is_empty() {
        return match choice {
            chat::ToolChoice::None | chat::ToolChoice::Auto => Ok(None),
            _ => {
                let message = format!("'{field}' is only allowed when 'tools' are specified.");
                Err(InvalidRequest::new(field, Code::InvalidValue, message))
            }
        };
    }
    let (searches, draws) = (declared.searches(), declared.draws());
    let not_found = |name: &str| {
        let name = excerpt(name);
        let message = format!("Invalid '{field}': tool '{name}' not found in 'tools'.");
        InvalidRequest::new(field, Code::InvalidValue, message)
    };
    let mut name = |wanted: &chat::ToolName<'v>| match *wanted {
        chat::ToolName::WebSearch if searches => Ok(wire::ToolName::WebSearch),
        chat::ToolName::WebSearch => Err(not_found("web_search")),
        chat::ToolName::ImageGeneration if draws => Ok(wire::ToolName::ImageGeneration),
        chat::ToolName::ImageGeneration => Err(not_found("image_generation")),
        // What counts is how the tool was declared; some clients call everything a function.
        chat::ToolName::Function(name) | chat::ToolName::Custom(name) => {
            if declared.custom.contains(name) {
                Ok(wire::ToolName::Custom { name: names.upstream(name) })
            } else if declared.functions.contains(name) {
                Ok(wire::ToolName::Function { name: names.upstream(name) })
            } else {
                Err(not_found(name))
            }
        }
    };
    Ok(Some(match choice {
        chat::ToolChoice::None => wire::ToolChoice::None,
        chat::ToolChoice::Auto => wire::ToolChoice::Auto,
        chat::ToolChoice::Required => wire::ToolChoice::Required,
        chat::ToolChoice::Named(wanted) => wire::ToolChoice::Named(name(wanted)?),
        chat::ToolChoice::Allowed { mode, tools } => wire::ToolChoice::Allowed {
            required: *mode == AllowedMode::Required,
            tools: tools.iter().map(&mut name).collect::<Result<_, _>>()?,
        },
    }))
}
