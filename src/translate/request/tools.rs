//! Tools and which of them to call.

use std::collections::BTreeSet;

use serde_json_borrow::{ObjectAsVec, Value};

use super::names::Names;
use crate::chat::reject::{Code, Reject};
use crate::chat::request as chat;
use crate::chat::request::{AllowedMode, HostedTool, WebSearch};
use crate::responses::request as wire;

/// The options of `image_generation` that the backend knows.
const IMAGE_OPTIONS: &[&str] = &[
    "background",
    "input_fidelity",
    "model",
    "moderation",
    "output_compression",
    "output_format",
    "quality",
    "size",
];

/// The tools of a request and, by kind, the client's names of them.
pub(super) struct Declared<'v> {
    pub(super) tools: Vec<wire::Tool<'v>>,
    pub(super) functions: BTreeSet<&'v str>,
    pub(super) custom: BTreeSet<&'v str>,
}

/// Translates `tools`, in the client's order, and `web_search_options`.
pub(super) fn translate<'v>(
    request: &chat::Request<'v>,
    names: &mut Names<'v>,
) -> Result<Declared<'v>, Reject> {
    for tool in &request.tools {
        if let chat::Tool::Function(chat::Function { name, .. }) | chat::Tool::Custom { name, .. } =
            tool
        {
            names.reserve(name);
        }
    }
    let mut declared =
        Declared { tools: Vec::new(), functions: BTreeSet::new(), custom: BTreeSet::new() };
    let mut searches = false;
    for (index, tool) in request.tools.iter().enumerate() {
        match tool {
            chat::Tool::Function(function) => {
                if is_repeated(&request.tools, index, function.name, request.legacy_functions)? {
                    continue;
                }
                declared.functions.insert(function.name);
                declared.tools.push(wire::Tool::Function {
                    name: names.upstream(function.name),
                    description: function.description,
                    parameters: wire::Schema {
                        given: function.parameters.map(unwrap_single_all_of),
                        fill: wire::Fill::Function,
                    },
                    strict: function.strict,
                });
            }
            chat::Tool::Custom { name, description, format } => {
                if is_repeated(&request.tools, index, name, false)? {
                    continue;
                }
                declared.custom.insert(name);
                declared.tools.push(wire::Tool::Custom {
                    name: names.upstream(name),
                    description: *description,
                    format: format.map(|format| match format {
                        chat::CustomFormat::Text => wire::CustomFormat::Text,
                        chat::CustomFormat::Grammar { syntax, definition } => {
                            wire::CustomFormat::Grammar { syntax, definition }
                        }
                    }),
                });
            }
            chat::Tool::Hosted(HostedTool::WebSearch(search)) => {
                searches = true;
                declared.tools.push(web_search(search));
            }
            chat::Tool::Hosted(HostedTool::ImageGeneration(options)) => {
                let given = options.as_object().into_iter().flat_map(ObjectAsVec::iter);
                let known =
                    given.filter(|(name, value)| IMAGE_OPTIONS.contains(name) && !value.is_null());
                declared
                    .tools
                    .push(wire::Tool::ImageGeneration { options: wire::Options(known.collect()) });
            }
        }
    }
    if let Some(search) = &request.web_search
        && !searches
    {
        declared.tools.push(web_search(search));
    }
    Ok(declared)
}

fn web_search<'v>(search: &WebSearch<'v>) -> wire::Tool<'v> {
    wire::Tool::WebSearch {
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
    }
}

/// Whether the tool at `index` stands again later, where the last one counts. Two different tools
/// of one name are refused: the model could not tell them apart.
fn is_repeated(
    tools: &[chat::Tool<'_>],
    index: usize,
    name: &str,
    legacy: bool,
) -> Result<bool, Reject> {
    let this = format!("{:?}", tools[index]);
    let mut repeated = false;
    for (later, tool) in tools.iter().enumerate().skip(index + 1) {
        let (chat::Tool::Function(chat::Function { name: other, .. })
        | chat::Tool::Custom { name: other, .. }) = tool
        else {
            continue;
        };
        if *other != name {
            continue;
        }
        if format!("{tool:?}") != this {
            let (list, field) =
                if legacy { ("functions", "name") } else { ("tools", "function.name") };
            let message = format!(
                "Invalid '{list}': two different tools are named '{name}'. Names must be unique."
            );
            return Err(Reject::new(
                format_args!("{list}[{later}].{field}"),
                Code::InvalidValue,
                message,
            ));
        }
        repeated = true;
    }
    Ok(repeated)
}

/// A schema that is nothing but `{"allOf":[{…}]}`, as some generators write it, is its one
/// element: the backend refuses `allOf` at the top.
fn unwrap_single_all_of<'v>(schema: &'v Value<'v>) -> &'v Value<'v> {
    let Some(object) = schema.as_object() else { return schema };
    let is_wrapper = object.iter().all(|(key, value)| {
        matches!(key, "allOf" | "type" | "title" | "description" | "$schema") || value.is_null()
    });
    match object.get("allOf").and_then(Value::as_array) {
        Some([only]) if is_wrapper && only.is_object() => only,
        _ => schema,
    }
}

/// Translates `tool_choice`.
pub(super) fn translate_choice<'v>(
    request: &chat::Request<'v>,
    declared: &Declared<'v>,
    names: &mut Names<'v>,
) -> Result<Option<wire::ToolChoice<'v>>, Reject> {
    let field = if request.legacy_functions { "function_call" } else { "tool_choice" };
    let Some(choice) = &request.tool_choice else { return Ok(None) };
    if declared.tools.is_empty() {
        return match choice {
            chat::ToolChoice::None | chat::ToolChoice::Auto => Ok(None),
            _ => {
                let message = "'tool_choice' is only allowed when 'tools' are specified.";
                Err(Reject::new(field, Code::InvalidValue, message))
            }
        };
    }
    let mut name = |wanted: &chat::ToolName<'v>| {
        let (chat::ToolName::Function(name) | chat::ToolName::Custom(name)) = *wanted;
        // What counts is how the tool was declared; some clients call everything a function.
        if declared.custom.contains(name) {
            Ok(wire::ToolName::Custom { name: names.upstream(name) })
        } else if declared.functions.contains(name) {
            Ok(wire::ToolName::Function { name: names.upstream(name) })
        } else {
            let message = format!("Invalid '{field}': tool '{name}' not found in 'tools'.");
            Err(Reject::new(field, Code::InvalidValue, message))
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
