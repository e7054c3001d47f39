//! How much to think, in the spellings of many hosts.

use super::super::invalid_request::InvalidRequest;
use super::super::json::Node;
use super::flag;
use super::unsupported::UnsupportedFields;
use crate::effort::Effort;

/// How much to think and whether to show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// `reasoning_effort` or one of its other spellings.
    pub effort: Option<EffortRequest>,
    /// How the summaries are written.
    pub summary: Option<Summary>,
    /// Whether the client asked not to see any reasoning.
    pub hidden: bool,
}

/// An effort as wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffortRequest {
    /// This one.
    Effort(Effort),
    /// As little as the model offers.
    Least,
}

/// How reasoning summaries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// `auto`
    Auto,
    /// `concise`
    Concise,
    /// `detailed`
    Detailed,
}

/// `reasoning_effort` and the spellings of OpenRouter (`reasoning`), Anthropic (`thinking`), Qwen
/// (`enable_thinking`) and of `vLLM` and `SGLang` (`chat_template_kwargs`). The first of these counts.
pub(super) fn read(
    root: &Node<'_, '_>,
    unused: &mut UnsupportedFields,
) -> Result<Reasoning, InvalidRequest> {
    let mut wish = Reasoning::default();
    let mut effort = read_template_arguments(root, unused)?;
    if let Some(node) = root.get("enable_thinking") {
        effort = read_switch(&node, unused).or(effort);
    }
    if let Some(node) = root.get("thinking") {
        if let Some(kind) = node.get("type") {
            unused.add_others(&node, &["type"]);
            if kind.value().as_str() == Some("disabled") {
                effort = Some(EffortRequest::Least);
            }
        } else {
            effort = read_switch(&node, unused).or(effort);
        }
    }
    if flag(root, "include_reasoning")? == Some(false) {
        wish.hidden = true;
    }
    if let Some(node) = root.get("reasoning") {
        let node = node.object()?;
        unused.add_others(&node, &["effort", "enabled", "summary", "exclude"]);
        let enabled = flag(&node, "enabled")?;
        if let Some(wanted) = node.get("effort") {
            effort = read_effort(&wanted)?.or(effort);
        } else if enabled == Some(false) {
            effort = Some(EffortRequest::Least);
        }
        if let Some(summary) = node.get("summary").filter(|summary| !summary.is_blank()) {
            wish.summary = Some(summary.choice(&[
                ("auto", Summary::Auto),
                ("concise", Summary::Concise),
                ("detailed", Summary::Detailed),
            ])?);
        }
        wish.hidden |= flag(&node, "exclude")? == Some(true);
    }
    if let Some(node) = root.get("reasoning_effort") {
        effort = read_effort(&node)?.or(effort);
    }
    wish.effort = effort;
    Ok(wish)
}

/// What a chat template would be told of thinking.
fn read_template_arguments(
    root: &Node<'_, '_>,
    unused: &mut UnsupportedFields,
) -> Result<Option<EffortRequest>, InvalidRequest> {
    let Some(node) = root.get("chat_template_kwargs") else { return Ok(None) };
    let node = node.object()?;
    unused.add_others(&node, &["enable_thinking", "thinking", "reasoning_effort"]);
    let mut wish = None;
    for name in ["enable_thinking", "thinking"] {
        if let Some(switch) = node.get(name) {
            wish = read_switch(&switch, unused).or(wish);
        }
    }
    if let Some(effort) = node.get("reasoning_effort") {
        wish = read_effort(&effort)?.or(wish);
    }
    Ok(wish)
}

/// A switch that turns thinking off. On is what happens anyway.
fn read_switch(node: &Node<'_, '_>, unused: &mut UnsupportedFields) -> Option<EffortRequest> {
    match node.value().as_bool() {
        Some(true) => None,
        Some(false) => Some(EffortRequest::Least),
        None => {
            unused.add(node);
            None
        }
    }
}

/// An effort; nothing for words that leave it to the model.
fn read_effort(node: &Node<'_, '_>) -> Result<Option<EffortRequest>, InvalidRequest> {
    let got = node.str()?;
    let word = got.trim().to_ascii_lowercase();
    match &*word {
        "" | "auto" | "default" => return Ok(None),
        "off" | "disabled" => return Ok(Some(EffortRequest::Least)),
        _ => {}
    }
    Effort::parse(&word).map(|effort| Some(EffortRequest::Effort(effort))).ok_or_else(|| {
        let names: Vec<&str> = Effort::ALL.iter().map(|effort| effort.as_str()).collect();
        InvalidRequest::one_of(node, got, &names)
    })
}
