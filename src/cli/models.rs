//! `codex-proxy models`

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::daemon::{self, Daemon};
use super::exit::{Exit, Failure};
use super::output;
use super::serve::{keeping_renewals, runtime, store};
use super::sign::{self, Signed};
use crate::config::{CodexConfig, Config};
use crate::credentials::Location;
use crate::models::{List, Source};
use crate::printable::printable_line;
use crate::upstream::{self, Client};

/// How to show them.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One model, as far as clients have to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Model {
    id: String,
    context_length: Option<u64>,
    reasoning_efforts: Vec<String>,
    /// Whether the name `default` means it.
    default: bool,
}

/// Lists the models: as the daemon has them or, if none runs, as the backend does.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let (mut models, source) = runtime()?.block_on(list(config))?;
    mark_default(&mut models, CodexConfig::read(&config.auth.codex_home).model.as_deref());
    let text = if arguments.json {
        format!("{:#}\n", json!({ "source": source, "models": models }))
    } else {
        table(&models)
    };
    output::print(&text)
}

async fn list(config: &Config) -> Result<(Vec<Model>, &'static str), Failure> {
    let absent = match asked_of_daemon(config).await {
        Ok(models) => return Ok((models, "daemon")),
        Err(error @ (daemon::Error::NotRunning { .. } | daemon::Error::AnyPort)) => error,
        Err(error) => return Err(error.into()),
    };
    output::warn(&format!("{absent}\nThe backend is asked directly:"));
    Ok((asked_of_backend(config).await?, "backend"))
}

async fn asked_of_daemon(config: &Config) -> Result<Vec<Model>, daemon::Error> {
    let answer = Daemon::of(&config.server)?.get("/v1/models").await?;
    let models = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(models.iter().filter_map(read).collect())
}

fn read(model: &Value) -> Option<Model> {
    let efforts = model["reasoning_efforts"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(Model {
        id: model["id"].as_str()?.to_owned(),
        context_length: model["context_length"].as_u64(),
        reasoning_efforts: efforts.iter().filter_map(|e| Some(e.as_str()?.to_owned())).collect(),
        default: false,
    })
}

async fn asked_of_backend(config: &Config) -> Result<Vec<Model>, Failure> {
    let store = store(config, Location::of(&config.auth))?;
    let Signed { logins, .. } = sign::logins(config, store.clone()).await?;
    let client =
        Client::new(&config.upstream, logins).map_err(|error| Failure::new(Exit::Config, error))?;
    let answer = keeping_renewals(&store, client.models()).await??;
    let list = List::parse(&answer.body, Source::Backend)
        .ok_or_else(|| Failure::new(Exit::Unavailable, "the backend lists no models"))?;
    let model = |info: &Arc<crate::responses::model::ModelInfo>| Model {
        id: info.slug.clone(),
        context_length: info.context_window,
        reasoning_efforts: info.efforts.known().iter().map(|e| e.as_str().to_owned()).collect(),
        default: false,
    };
    Ok(list.listed().map(model).collect())
}

impl From<upstream::UpstreamError> for Failure {
    fn from(failure: upstream::UpstreamError) -> Self {
        match failure {
            upstream::UpstreamError::Login(error) => error.into(),
            upstream::UpstreamError::UnusableLogin => Self::new(Exit::NotSignedIn, failure),
            upstream::UpstreamError::Refused(ref refusal) if refusal.status.as_u16() == 401 => {
                Self::new(Exit::NotSignedIn, failure)
            }
            other => Self::new(Exit::Unavailable, other),
        }
    }
}

/// The one that the Codex CLI's settings name, or else the first one. If they name one that is not
/// listed, `default` means that, and none of these.
fn mark_default(models: &mut [Model], codex: Option<&str>) {
    for (place, model) in models.iter_mut().enumerate() {
        model.default = codex.map_or(place == 0, |name| name == model.id);
    }
}

fn table(models: &[Model]) -> String {
    let rows: Vec<[String; 4]> = models
        .iter()
        .map(|model| {
            [
                printable_line(&model.id).into_owned(),
                model.context_length.map(grouped).unwrap_or_default(),
                printable_line(&model.reasoning_efforts.join(" ")).into_owned(),
                if model.default { "yes" } else { "" }.to_owned(),
            ]
        })
        .collect();
    let heads = ["MODEL", "CONTEXT", "EFFORTS", "DEFAULT"];
    let width = |column: usize| {
        rows.iter().map(|row| row[column].len()).fold(heads[column].len(), usize::max)
    };
    let (name, context, efforts) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [a, b, c, d] in std::iter::once(heads.map(str::to_owned)).chain(rows) {
        let line = format!("{a:<name$}  {b:>context$}  {c:<efforts$}  {d}");
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// `272 000`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, context_length: Option<u64>, efforts: &[&str]) -> Model {
        let reasoning_efforts = efforts.iter().map(|&effort| effort.to_owned()).collect();
        Model { id: id.to_owned(), context_length, reasoning_efforts, default: false }
    }

    #[test]
    fn the_table_lines_up() {
        let mut models = [
            model("gpt-5.5", Some(272_000), &["low", "high"]),
            model("other", None, &[]),
            model("small-one", Some(999), &["low"]),
        ];
        mark_default(&mut models, None);
        let expected = "\
MODEL      CONTEXT  EFFORTS   DEFAULT
gpt-5.5    272 000  low high  yes
other
small-one      999  low
";
        assert_eq!(table(&models), expected);
    }

    #[test]
    fn the_default_is_the_codex_clis_or_else_the_first() {
        for (codex, expected) in [
            (None, [true, false]),
            (Some("b"), [false, true]),
            (Some("a"), [true, false]),
            (Some("unlisted"), [false, false]),
        ] {
            let mut models = [model("a", None, &[]), model("b", None, &[])];
            mark_default(&mut models, codex);
            assert_eq!([models[0].default, models[1].default], expected, "{codex:?}");
        }
    }

    #[test]
    fn what_is_no_model_is_left_out() {
        let expected = model("a", Some(5), &["low"]);
        let full = json!({"id": "a", "context_length": 5, "reasoning_efforts": ["low", 1]});
        assert_eq!(read(&full), Some(expected));
        assert_eq!(read(&json!({"id": "a"})), Some(model("a", None, &[])));
        assert_eq!(read(&json!({"name": "a"})), None);
    }

    #[test]
    fn numbers_have_groups() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")]
        {
            assert_eq!(grouped(number), expected);
        }
    }
}
