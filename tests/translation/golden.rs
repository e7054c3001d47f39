//! The golden cases: streams of the backend, and the answers that must result from them.
//!
//! A case is a pair of files, `tests/golden/FOLDER/NAME.sse` and `NAME.json`. The first has the
//! bytes of the backend's answer. The second is an object with these members:
//!
//! | member | content |
//! |---|---|
//! | `request` | fields of the client's request, over a plain question; may be absent |
//! | `reasoning`, `commentary` | settings of `[output]`, where they are not the default |
//! | `message`, `finish_reason` | the answer, if it is complete |
//! | `usage` | its usage; may be absent, and is then not checked |
//! | `error`, `begun`, `partial` | if the stream reports an error: the error, whether anything was sent before it, and the content before it |
//! | `fault`, `partial` | if the stream is invalid: the kind of fault, and the content before it |
//! | `streamed` | if the streamed answer differs from the buffered one: its own `message` and `finish_reason`, or `fault` and `partial` |
//!
//! The first two rows are input, and the rest is expected. This command writes what is expected
//! anew, from what the program gives now:
//!
//! ```sh
//! CODEX_PROXY_TEST_BLESS=1 cargo nextest run --test translation
//! ```
//!
//! A case that still passes keeps its file as it is. A `NAME.sse` without a `NAME.json` gets one; an
//! object that has only the input is filled in. `usage` is written where it is there already.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use codex_proxy::chat::request::Request;
use codex_proxy::conversation::ReplaySource;
use codex_proxy::sse;
use codex_proxy::translate::plan::Plan;
use codex_proxy::translate::policy::{Commentary, Policy, Reasoning};
use codex_proxy::translate::request::{Model, translate};
use codex_proxy::translate::response::ReadError;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::answer::{End, read, read_whole};

pub(crate) struct Case {
    /// The folder and the name of the files.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: Vec<String>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) expected: Value,
    /// The `.json` file.
    path: PathBuf,
}

impl Case {
    pub(crate) fn events(&self) -> impl Iterator<Item = &str> + Clone {
        self.events.iter().map(String::as_str)
    }
}

/// The events of a stream that comes in pieces of so many bytes.
pub(crate) fn events(bytes: &[u8], size: usize) -> Vec<String> {
    let pieces: Vec<_> =
        bytes.chunks(size).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
    let limits = sse::Limits { event: 16 << 20, body: usize::MAX };
    sse::events(stream::iter(pieces), limits)
        .map(|event| event.expect("a good stream"))
        .collect()
        .now_or_never()
        .expect("nothing is pending")
}

/// All cases, in the order of their names.
pub(crate) fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let mut paths: Vec<_> = entries(&root).iter().flat_map(|folder| entries(folder)).collect();
    paths.sort();
    let has_extension = |path: &Path, extension| path.extension().is_some_and(|is| is == extension);
    for path in paths.iter().filter(|path| has_extension(path, "json")) {
        assert!(path.with_extension("sse").exists(), "{} has no stream", path.display());
    }
    let streams: Vec<_> = paths.iter().filter(|path| has_extension(path, "sse")).collect();
    assert!(streams.len() > 100, "only {} golden cases", streams.len());
    streams.iter().map(|path| case(&root, path)).collect()
}

fn case(root: &Path, stream: &Path) -> Case {
    let name = stream.strip_prefix(root).unwrap().with_extension("");
    let bytes = fs::read(stream).unwrap();
    let path = stream.with_extension("json");
    let expected = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(_) if is_bless() => json!({}),
        Err(error) => panic!("{}: {error}", path.display()),
    };
    Case {
        name: name.to_str().unwrap().replace('\\', "/"),
        events: events(&bytes, bytes.len().max(1)),
        plan: Arc::new(plan(&expected)),
        bytes,
        expected,
        path,
    }
}

fn plan(expected: &Value) -> Plan {
    let mut request = json!({
        "model": "gpt-5.5",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    for (key, value) in expected["request"].as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    let mut policy = Policy::default();
    policy.reasoning = match expected["reasoning"].as_str() {
        None => policy.reasoning,
        Some("reasoning") => Reasoning::Reasoning,
        Some("think") => Reasoning::Think,
        Some("none") => Reasoning::None,
        Some(other) => panic!("reasoning {other}"),
    };
    if expected["commentary"] == "reasoning" {
        policy.commentary = Commentary::Reasoning;
    }
    let model = Model {
        slug: "gpt-5.5".to_owned(),
        efforts: Vec::new(),
        ultra: codex_proxy::effort::Effort::Max,
        effort: None,
        reasons: true,
        summaries: true,
        verbosity: true,
    };
    let text = request.to_string();
    let body = codex_proxy::json::parse(text.as_bytes()).unwrap();
    translate(&Request::read(&body).unwrap(), &model, policy, &ReplaySource::unknown())
        .unwrap()
        .plan
}

/// Whether what is expected is to be written anew.
pub(crate) fn is_bless() -> bool {
    env::var_os("CODEX_PROXY_TEST_BLESS").is_some()
}

/// What the files call an error of reading.
pub(crate) fn fault(error: &ReadError) -> &'static str {
    match error {
        ReadError::Contradicted => "contradicted",
        ReadError::UnfinishedCall => "unfinished_call",
        ReadError::InvalidEvent => "damaged",
        other => panic!("{other:?}"),
    }
}

/// What is expected of an answer that ended so.
fn outcome(name: &str, choice: &Value, end: &End) -> Vec<(&'static str, Value)> {
    let partial = ("partial", choice["message"]["content"].clone());
    match end {
        End::Finished => vec![
            ("message", choice["message"].clone()),
            ("finish_reason", choice["finish_reason"].clone()),
        ],
        End::Failed(report, has_begun) => {
            let error = json!({"code": report.code, "message": report.message});
            vec![("error", error), ("begun", json!(has_begun)), partial]
        }
        End::Broken(error) => {
            vec![("fault", json!(fault(error))), partial]
        }
        End::Cut => panic!("{name} has no end"),
    }
}

/// Writes what the program gives now into the file, unless that is what the file says already.
pub(crate) fn bless(case: &Case) {
    let name = &case.name;
    let answer = read(&case.plan, case.events());
    let choice = answer.check(&case.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
    let streamed = outcome(name, &choice, &answer.end);
    let (choice, end) = read_whole(&case.plan, case.events());
    // A buffered answer that cannot be read shows no content.
    let whole = match end {
        End::Broken(_) if end == answer.end => streamed.clone(),
        _ => outcome(name, &choice, &end),
    };

    let input = ["request", "reasoning", "commentary"];
    let kept = input.iter().filter_map(|&key| Some((key, case.expected.get(key)?.clone())));
    let mut members: Vec<(&str, Value)> = kept.collect();
    if case.expected.get("usage").is_some() {
        members.push(("usage", answer.usage.clone()));
    }
    let is_different = streamed != whole;
    members.extend(whole);
    if is_different {
        members.push(("streamed", streamed.into_iter().collect()));
    }
    if members.iter().cloned().collect::<Value>() == case.expected {
        return;
    }
    let before = fs::read_to_string(&case.path).unwrap_or_else(|_| "{}".to_owned());
    let text = serde_json::to_string_pretty(&File { members, request: request(&before) }).unwrap();
    // The other tests read the file meanwhile.
    let new = case.path.with_extension("new");
    fs::write(&new, text + "\n").unwrap();
    fs::rename(new, &case.path).unwrap();
}

/// The `request` of a file, in its own spelling.
fn request(text: &str) -> Option<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        request: Option<&'a RawValue>,
    }
    serde_json::from_str::<Request<'_>>(text).unwrap().request
}

/// A file as it is written.
struct File<'a> {
    members: Vec<(&'a str, Value)>,
    request: Option<&'a RawValue>,
}

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (key, value) in &self.members {
            match self.request {
                Some(request) if *key == "request" => map.serialize_entry(key, request)?,
                _ => map.serialize_entry(key, &Ordered(value))?,
            }
        }
        map.end()
    }
}

/// A value with the members of its objects in the order in which the API documents them.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const ORDER: [&str; 28] = [
            "role",
            "content",
            "refusal",
            "annotations",
            "index",
            "id",
            "type",
            "function",
            "custom",
            "name",
            "arguments",
            "code",
            "message",
            "finish_reason",
            "fault",
            "partial",
            "end_index",
            "start_index",
            "url",
            "title",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cached_tokens",
            "reasoning_tokens",
            "audio_tokens",
        ];
        match self.0 {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                // What is not in the list comes last, by its name.
                members.sort_by_key(|(key, _)| {
                    ORDER.iter().position(|known| known == key).unwrap_or(ORDER.len())
                });
                serializer.collect_map(members.iter().map(|(key, value)| (key, Ordered(value))))
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            other => other.serialize(serializer),
        }
    }
}
