//! Two programs that only copy bytes: what a translator can be compared with.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpListener;

/// What is to be called, and the file with its certificate.
fn arguments() -> (String, PathBuf) {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().unwrap();
    (format!("{base}/responses"), PathBuf::from(arguments.next().unwrap()))
}

async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    listener
}

/// A reverse proxy of nothing but hyper.
pub(crate) async fn hyper() {
    let (target, roots) = arguments();
    let target: Uri = target.parse().unwrap();
    let mut trusted = RootCertStore::empty();
    if let Ok(certificates) = CertificateDer::pem_file_iter(roots) {
        for certificate in certificates {
            trusted.add(certificate.unwrap()).unwrap();
        }
    }
    let tls = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let mut plain = HttpConnector::new();
    plain.enforce_http(false);
    plain.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(plain);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let listener = listen().await;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (client, target) = (client.clone(), target.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            *request.uri_mut() = target.clone();
            request.headers_mut().remove(HOST);
            let answer = client.request(request);
            async move {
                let mut answer = answer.await?;
                // Of the connection to the backend.
                answer.headers_mut().remove(TRANSFER_ENCODING);
                *answer.version_mut() = hyper::Version::HTTP_11;
                Ok::<_, hyper_util::client::legacy::Error>(answer.map(BodyExt::boxed))
            }
        });
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A reverse proxy of the daemon's own parts: axum and reqwest.
pub(crate) async fn axum() {
    let (target, roots) = arguments();
    let mut client = reqwest::Client::builder().tcp_nodelay(true);
    if let Ok(pem) = std::fs::read(roots) {
        let certificate = reqwest::Certificate::from_pem(&pem).unwrap();
        client = client.tls_certs_merge([certificate]);
    }
    let state = (client.build().unwrap(), target);
    let router = Router::new().fallback(pass).with_state(state);
    let listener = listen().await;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pass(
    State((client, target)): State<(reqwest::Client, String)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    headers.remove(HOST);
    let length = headers.remove(CONTENT_LENGTH);
    let mut call = client.post(target).headers(headers);
    if let Some(length) = length {
        call = call.header(CONTENT_LENGTH, length);
    }
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let answer = call.body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != TRANSFER_ENCODING {
            response = response.header(name, value);
        }
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}
