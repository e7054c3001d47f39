//! Which keys items and content parts may have.

/// The keys of one `type`.
pub(super) struct Shape {
    /// The `type`.
    pub(super) kind: &'static str,
    /// How an `id` begins, for items that may have one.
    pub(super) id: Option<&'static str>,
    /// Keys that have to be there, all but `type`.
    pub(super) required: &'static [&'static str],
    /// Keys that may be there besides.
    pub(super) optional: &'static [&'static str],
}

impl Shape {
    pub(super) fn knows(&self, key: &str) -> bool {
        key == "type"
            || (key == "id" && self.id.is_some())
            || self.required.contains(&key)
            || self.optional.contains(&key)
    }
}

const fn item(
    kind: &'static str,
    id: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Shape {
    Shape { kind, id: Some(id), required, optional }
}

const fn part(
    kind: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Shape {
    Shape { kind, id: None, required, optional }
}

/// Input items of the ordinary lane. `namespace` on calls exists in the Lite lane only.
pub(super) const ITEMS: &[Shape] = &[
    item("message", "msg", &["role", "content"], &["status", "phase"]),
    item("reasoning", "rs", &["summary"], &["content", "encrypted_content", "status"]),
    item("function_call", "fc", &["call_id", "name", "arguments"], &["status"]),
    item("function_call_output", "fc", &["call_id", "output"], &["status"]),
    item("custom_tool_call", "ctc", &["call_id", "name", "input"], &["status"]),
    item("custom_tool_call_output", "ctc", &["call_id", "output"], &["name", "status"]),
    item("local_shell_call", "lsh", &["call_id", "status", "action"], &[]),
    item("local_shell_call_output", "lsh", &["call_id", "output"], &["status"]),
    item("web_search_call", "ws", &["status"], &["action"]),
    item(
        "image_generation_call",
        "ig",
        &["status", "result"],
        &["revised_prompt", "background", "output_format", "quality", "size", "action"],
    ),
    item("compaction", "cmp", &["encrypted_content"], &[]),
    item("compaction_trigger", "cmp", &[], &[]),
    item("item_reference", "", &["id"], &[]),
];

/// Parts of user and developer messages.
pub(super) const INPUT_PARTS: &[Shape] = &[
    part("input_text", &["text"], &[]),
    part("input_image", &[], &["image_url", "detail", "file_id"]),
    part("input_audio", &["audio_url"], &[]),
    part("input_file", &[], &["file_data", "filename", "file_url", "file_id"]),
];

/// Parts of assistant messages.
pub(super) const ASSISTANT_PARTS: &[Shape] = &[
    part("output_text", &["text"], &["annotations", "logprobs"]),
    part("refusal", &["refusal"], &[]),
];

/// Parts of tool outputs.
pub(super) const TOOL_PARTS: &[Shape] = &[
    part("input_text", &["text"], &[]),
    part("input_image", &[], &["image_url", "detail", "file_id"]),
    part("input_file", &[], &["file_data", "filename", "file_url", "file_id"]),
];

/// Parts of a reasoning item's `summary`.
pub(super) const SUMMARY_PARTS: &[Shape] = &[part("summary_text", &["text"], &[])];
