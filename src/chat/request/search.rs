//! The web search: a tool, or `web_search_options`.

use super::super::invalid_request::InvalidRequest;
use super::super::json::Node;
use super::unsupported::UnsupportedFields;

/// Options of a web search.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct WebSearch<'v> {
    /// Whether pages may be fetched; false restricts the search to what is cached.
    pub external_web_access: Option<bool>,
    /// Whether the index may be used.
    pub indexed_web_access: Option<bool>,
    /// What is searched for, such as `text` and `image`.
    pub content_types: Option<Vec<&'v str>>,
    /// `low`, `medium` or `high`.
    pub context_size: Option<&'static str>,
    /// Where the user is.
    pub location: Option<UserLocation<'v>>,
    /// The domains to search, if only some.
    pub allowed_domains: Option<Vec<&'v str>>,
}

/// Roughly where the user is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct UserLocation<'v> {
    /// Two-letter code.
    pub country: Option<&'v str>,
    /// Free text.
    pub region: Option<&'v str>,
    /// Free text.
    pub city: Option<&'v str>,
    /// IANA name.
    pub timezone: Option<&'v str>,
}

impl<'v> WebSearch<'v> {
    /// Reads `web_search_options`, or a `web_search` tool.
    pub(super) fn read(
        node: &Node<'_, 'v>,
        unused: &mut UnsupportedFields,
    ) -> Result<Self, InvalidRequest> {
        const KNOWN: &[&str] = &[
            "type",
            "external_web_access",
            "indexed_web_access",
            "search_content_types",
            "search_context_size",
            "user_location",
            "filters",
            "allowed_domains",
        ];
        node.object()?;
        for name in ["blocked_domains", "excluded_domains"] {
            if let Some(node) = node.get(name) {
                return Err(refuse_filter(&node));
            }
        }
        unused.add_others(node, KNOWN);
        let flag = |name| node.get(name).map(|node| node.bool()).transpose();
        let context_size = match node.get("search_context_size").filter(|size| !size.is_blank()) {
            None => None,
            Some(size) => {
                Some(size.choice(&[("low", "low"), ("medium", "medium"), ("high", "high")])?)
            }
        };
        let location = match node.get("user_location") {
            None => None,
            Some(location) => Some(read_location(&location.object()?, unused)?),
        };
        let mut allowed_domains = read_texts(node, "allowed_domains")?;
        if let Some(filters) = node.get("filters") {
            let filters = filters.object()?;
            // Each of them restricts the search: what cannot be honoured must not be left out.
            for filter in filters.fields()? {
                if filter.name() != "allowed_domains" {
                    return Err(refuse_filter(&filter));
                }
            }
            allowed_domains = read_texts(&filters, "allowed_domains")?.or(allowed_domains);
        }
        Ok(Self {
            external_web_access: flag("external_web_access")?,
            indexed_web_access: flag("indexed_web_access")?,
            content_types: read_texts(node, "search_content_types")?,
            context_size,
            location,
            allowed_domains,
        })
    }
}

fn refuse_filter(node: &Node<'_, '_>) -> InvalidRequest {
    InvalidRequest::unsupported(
        node,
        "The backend can restrict a search to 'filters.allowed_domains' only.",
    )
}

fn read_texts<'v>(
    node: &Node<'_, 'v>,
    name: &'static str,
) -> Result<Option<Vec<&'v str>>, InvalidRequest> {
    let Some(texts) = node.get(name) else { return Ok(None) };
    texts.items()?.map(|text| text.str()).collect::<Result<_, _>>().map(Some)
}

/// The location's fields stand in `approximate` in chat completions, beside `type` otherwise.
fn read_location<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<UserLocation<'v>, InvalidRequest> {
    const PLACE: &[&str] = &["type", "country", "region", "city", "timezone"];
    let inner = node.get("approximate");
    let place = inner.as_ref().unwrap_or(node);
    if inner.is_some() {
        unused.add_others(node, &["type", "approximate"]);
    }
    unused.add_others(place, PLACE);
    let text = |name| place.get(name).map(|node| node.str()).transpose();
    Ok(UserLocation {
        country: text("country")?,
        region: text("region")?,
        city: text("city")?,
        timezone: text("timezone")?,
    })
}
