//! `GET /v1/models`, which never fails for want of the backend.

use std::cell::Cell;
use std::convert::Infallible;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use tokio::task::spawn_blocking;

use super::error::ApiError;
use super::{App, Shared};
use crate::chat::model::{List, Model};
use crate::config::CodexConfig;
use crate::effort::Effort;
use crate::models::{Resolved, Source, find, resolve};
use crate::responses::model::ModelInfo;

pub(super) async fn list(State(app): State<App>) -> Json<List> {
    let list = app.0.catalogue.list().await;
    Json(List::new(list.listed().map(|info| describe(&info.slug, info)).collect()))
}

/// Has the backend asked for its models, if that is to be done again, while the body of the request
/// is still on its way: over a connection that may have to be opened, which the call then uses.
pub(super) struct PrefetchModels;

impl FromRequestParts<App> for PrefetchModels {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Infallible> {
        if app.may_prefetch().await {
            app.0.catalogue.announce();
        }
        Ok(Self)
    }
}

/// One model, by any name that requests may use for it; the name may hold a slash.
pub(super) async fn retrieve(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Model>, ApiError> {
    let resolved = app.resolve(&id).await?;
    Ok(Json(match &resolved.info {
        Some(info) => describe(&id, info),
        None => Model::new(id, None, Vec::new()),
    }))
}

fn describe(id: &str, info: &ModelInfo) -> Model {
    let efforts = info.efforts.known().iter().copied().map(Effort::as_str).collect();
    Model::new(id, info.context_window, efforts)
}

impl App {
    /// The model behind a client's name of it.
    pub(super) async fn resolve(&self, name: &str) -> Result<Resolved, ApiError> {
        let Shared { config, catalogue, .. } = &*self.0;
        let at_hand = catalogue.at_hand();
        let (found, needs_default) = {
            let needs_default = Cell::new(false);
            let note = || {
                needs_default.set(true);
                None
            };
            let found = find(name, &at_hand, &config.models, &note);
            (found.filter(|model| model.info.is_some()), needs_default.get())
        };
        // Most names need nothing but the list.
        if let (Some(model), false) = (found, needs_default) {
            return Ok(model);
        }
        let home = config.auth.codex_home.clone();
        // A disk may take its time.
        let codex_default = spawn_blocking(move || CodexConfig::read(&home).model).await;
        let codex_default = codex_default.ok().flatten();
        let codex_default = || codex_default.clone();
        let found = find(name, &at_hand, &config.models, &codex_default);
        let found = found.filter(|model| model.info.is_some());
        let (list, is_current) = match found {
            // Not every plan has the first model of a list that is not the backend's.
            Some(model) if model.by_place && at_hand.source() != Source::Backend => {
                (catalogue.list().await, false)
            }
            Some(model) => return Ok(model),
            None => catalogue.newest().await,
        };
        Ok(resolve(name, &list, is_current, &config.models, &codex_default)?)
    }
}
