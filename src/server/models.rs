//! `GET /v1/models`, which never fails for want of the backend.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;

use super::App;
use super::error::ApiError;
use crate::chat::model::{List, Model};
use crate::effort::Effort;
use crate::responses::model::ModelInfo;

pub(super) async fn list(State(app): State<App>) -> Json<List> {
    let list = app.0.catalogue.list().await;
    Json(List::new(list.listed().map(|info| describe(&info.slug, info)).collect()))
}

/// Has the backend asked for its models, if that is to be done again, while the body of the request
/// is still on its way: over a connection that may have to be opened, which the call then uses.
pub(super) struct Announced;

impl FromRequestParts<App> for Announced {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Infallible> {
        if app.may_prewarm() {
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
