//! A service on a port of its own, whose connections can be hung up.

use std::convert::Infallible;

use axum::Router;
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An answer; its body, like the answer itself, may turn into a cut connection.
pub(crate) type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// The service.
pub(crate) struct Site {
    /// Its address, without a path.
    pub(crate) base: String,
    hung_up: watch::Sender<()>,
}

impl Site {
    /// Serves what `answer` answers; an error cuts the connection before any answer.
    pub(crate) async fn start<F, R>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = std::io::Result<Answer>> + Send + 'static,
    {
        let service = hyper::service::service_fn(answer);
        Self::listen(move || service.clone()).await
    }

    /// Serves a router.
    pub(crate) async fn of(router: Router) -> Self {
        Self::listen(move || TowerToHyperService::new(router.clone())).await
    }

    async fn listen<S, B>(service: impl Fn() -> S + Send + 'static) -> Self
    where
        S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: hyper::body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (hung_up, told) = watch::channel(());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service());
                let mut told = told.clone();
                told.mark_unchanged();
                tokio::spawn(async move {
                    let mut connection = std::pin::pin!(connection);
                    tokio::select! {
                        _ = connection.as_mut() => {}
                        Ok(()) = told.changed() => {
                            connection.as_mut().graceful_shutdown();
                            let _ = connection.await;
                        }
                    }
                });
            }
        });
        Self { base, hung_up }
    }

    /// Closes the connections that nobody uses, and the others once they are not used.
    pub(crate) fn hang_up(&self) {
        self.hung_up.send_replace(());
    }
}

/// A body that cannot fail.
pub(crate) fn whole(text: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    let never = |error: Infallible| match error {};
    BoxBody::new(http_body_util::BodyExt::map_err(http_body_util::Full::new(text.into()), never))
}
