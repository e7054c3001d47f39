//! Encrypted backends: who is believed, and connections that break in the ways of TLS and HTTP/2.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use axum::http;
use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::hostile::{ONCE, attack, lives, told};
use crate::raw::{ATTACK, Call, Host, OK};
use crate::support::backend::{answer, completed, sse as written, text};
use crate::support::daemon::Daemon;

/// Somebody who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("roots.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// The file that makes a client believe it.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("roots.pem")
    }

    /// A server that is one of these.
    pub fn server(&self, names: &[&str]) -> TlsAcceptor {
        self.signed(names, |_| {}, &[b"http/1.1"])
    }

    pub fn signed(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
        protocols: &[&[u8]],
    ) -> TlsAcceptor {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(&certificate, &key, protocols)
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn acceptor(certificate: &rcgen::Certificate, key: &KeyPair, protocols: &[&[u8]]) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Puts the host behind this server; gives its port.
pub async fn listen(host: &Host, acceptor: TlsAcceptor) -> u16 {
    let host = host.clone();
    listen_with(acceptor, move |stream| host.clone().serve(Box::new(stream))).await
}

/// Serves every connection that could be encrypted; gives the port.
pub async fn listen_with<F>(
    acceptor: TlsAcceptor,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Send + Sync + 'static,
) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, serve) = (acceptor.clone(), Arc::clone(&serve));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    port
}

async fn daemon(port: u16, roots: &Path) -> Daemon {
    Daemon::with_roots(&format!("https://127.0.0.1:{port}/codex"), ONCE, roots).await
}

fn well() -> Host {
    Host::saying(format!("{OK}{}", answer(&["Hello"])))
}

#[tokio::test]
async fn a_backend_that_can_be_believed_is() {
    let authority = Authority::new("ours");
    let port = listen(&well(), authority.server(&["127.0.0.1"])).await;
    let daemon = daemon(port, &authority.file()).await;
    lives(&daemon).await;
}

#[tokio::test]
async fn nothing_is_said_to_a_backend_that_cannot_be_believed() {
    let (authority, other) = (Authority::new("ours"), Authority::new("theirs"));
    let us = ["127.0.0.1"];
    let key = KeyPair::generate().unwrap();
    let of_itself = acceptor(&params(&us).self_signed(&key).unwrap(), &key, &[]);
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2999, 1, 1);
    for (name, server, why) in [
        ("signed by itself", of_itself, "UnknownIssuer"),
        ("signed by somebody else", other.server(&us), "UnknownIssuer"),
        ("another address", authority.server(&["127.0.0.2"]), "not valid for"),
        ("a name that is none of ours", authority.server(&["localhost.example"]), "not valid for"),
        ("too old", authority.signed(&us, expired, &[]), "expired"),
        ("of the future", authority.signed(&us, early, &[]), "not valid yet"),
    ] {
        let host = well();
        let daemon = daemon(listen(&host, server).await, &authority.file()).await;
        for is_streamed in [false, true] {
            let told = told(&daemon, &attack(), is_streamed).await;
            assert_eq!(told.status, 502, "{name}");
            assert_eq!(told.code.as_deref(), Some("upstream_unreachable"), "{name}");
        }
        let (_, body) = daemon.ask(&attack()).await;
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{name}: {message}");
        assert!(host.seen().is_empty(), "{name}: {:?}", host.seen());
    }
}

#[tokio::test]
async fn a_certificate_is_looked_at_once_for_a_request() {
    let authority = Authority::new("ours");
    let acceptor = authority.server(&["127.0.0.2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tell.send(acceptor.accept(stream).await.is_ok()).unwrap();
        }
    });
    let base = format!("https://127.0.0.1:{port}/codex");
    let settings = "[upstream]\nmax_retries = 4\n";
    let daemon = Daemon::with_roots(&base, settings, &authority.file()).await;
    let (status, body) = daemon.ask(&attack()).await;
    assert_eq!(status, 502);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("CODEX_CA_CERTIFICATE"), "{message}");
    drop(daemon);
    // One for the catalogue of models, one for the call.
    let mut attempts = 0;
    while heard.try_recv().is_ok() {
        attempts += 1;
    }
    assert!((1..=2).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn what_is_no_tls_is_not_spoken_to() {
    let authority = Authority::new("ours");
    for (name, said) in [
        ("plain HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice()),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x28"),
        ("records without sense", &[0x16, 3, 3, 0, 4, 1, 2, 3, 4]),
        ("a record that is too large", &[0x16, 3, 3, 0xff, 0xff]),
        ("zeros", &[0; 1000]),
        ("nothing", b""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, mut heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut first = vec![0; 1 << 16];
                let length = stream.read(&mut first).await.unwrap_or(0);
                first.truncate(length);
                tell.send(first).unwrap();
                Call::unread(Box::new(stream)).say(said).await;
            }
        });
        let daemon = daemon(port, &authority.file()).await;
        for is_streamed in [false, true] {
            let told = told(&daemon, &attack(), is_streamed).await;
            assert_eq!(told.code.as_deref(), Some("upstream_unreachable"), "{name}");
        }
        drop(daemon);
        while let Ok(first) = heard.try_recv() {
            assert_eq!(first.first(), Some(&0x16), "{name}: a greeting of TLS and nothing else");
            let text = String::from_utf8_lossy(&first);
            assert!(
                !text.contains(crate::support::secrets::FAKE_TOKEN) && !text.contains("HTTP"),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn an_encrypted_backend_that_is_asked_in_plain_text_is_an_error() {
    let host = well();
    let port = listen(&host, Authority::new("ours").server(&["127.0.0.1"])).await;
    let daemon = Daemon::with_settings(&format!("http://127.0.0.1:{port}/codex"), ONCE).await;
    for is_streamed in [false, true] {
        let told = told(&daemon, &attack(), is_streamed).await;
        assert_eq!((told.status, told.code.as_deref()), (502, Some("upstream_error")));
    }
    assert!(host.seen().is_empty());
}

/// Without the farewell of TLS anybody on the way may have cut the answer.
#[tokio::test]
async fn an_answer_that_is_cut_within_tls_is_not_whole() {
    let authority = Authority::new("ours");
    for (said, expected) in [(written(&text(&["Hel"])), None), (answer(&["Hel"]), Some("stop"))] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = authority.server(&["127.0.0.1"]);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, said) = (acceptor.clone(), said.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let host = Host::new(move |mut call: Call| {
                        let said = format!("{OK}{said}");
                        async move {
                            call.stream.write_all(said.as_bytes()).await.unwrap();
                            call.stream.flush().await.unwrap();
                            // Dropped, not shut down: the connection ends without a farewell.
                        }
                    });
                    host.serve(Box::new(stream)).await;
                });
            }
        });
        let daemon = daemon(port, &authority.file()).await;
        let streamed = told(&daemon, &attack(), true).await;
        assert_eq!(streamed.text, "Hel");
        assert_eq!(streamed.finish.as_deref(), expected);
        let whole = told(&daemon, &attack(), false).await;
        assert_eq!(whole.finish.as_deref(), expected);
        lives(&daemon).await;
    }
}

/// How an answer over HTTP/2 is broken.
#[derive(Debug, Clone, Copy)]
pub enum Break {
    /// The stream is reset in place of a head.
    Reset(Reason),
    /// The stream is reset after the answer has begun.
    ResetWithin(Reason),
    /// The connection is given up in place of a head.
    GoAway(Reason),
    /// The connection is given up after the answer has begun.
    GoAwayWithin(Reason),
    /// No more calls, please; the answer goes on.
    Farewell,
    /// The connection breaks.
    Cut,
    /// A head of a megabyte.
    GiantHead,
    /// The end comes too early.
    Short,
    /// It says how long it is, and is longer.
    WrongLength,
}

#[tokio::test]
async fn calls_over_http2_that_break() {
    use Break::{
        Cut, Farewell, GiantHead, GoAway, GoAwayWithin, Reset, ResetWithin, Short, WrongLength,
    };
    let authority = Authority::new("ours");
    let error = |code: &str, text: &str| (text.to_owned(), Some(code.to_owned()));
    let cut = |text: &str| error("upstream_disconnected", text);
    for (how, (text, code)) in [
        (Reset(Reason::INTERNAL_ERROR), cut("")),
        (Reset(Reason::REFUSED_STREAM), cut("")),
        (Reset(Reason::NO_ERROR), cut("")),
        (ResetWithin(Reason::INTERNAL_ERROR), cut("Hel")),
        (ResetWithin(Reason::CANCEL), cut("Hel")),
        (ResetWithin(Reason::NO_ERROR), cut("Hel")),
        (GoAway(Reason::ENHANCE_YOUR_CALM), cut("")),
        (GoAway(Reason::NO_ERROR), cut("")),
        (GoAwayWithin(Reason::INTERNAL_ERROR), cut("Hel")),
        (Farewell, ("Hello".to_owned(), None)),
        (Cut, cut("Hel")),
        (GiantHead, cut("")),
        (Short, cut("Hel")),
        (WrongLength, cut("Hel")),
    ] {
        let port = listen_http2(&authority, how).await;
        let daemon = daemon(port, &authority.file()).await;
        for is_streamed in [false, true] {
            let got = told(&daemon, &attack(), is_streamed).await;
            let name = format!("{how:?}, streamed: {is_streamed}, {got:?}");
            assert_eq!(got.code, code, "{name}");
            assert_eq!(got.finish.is_some(), code.is_none(), "{name}");
            // A break may overtake what came before it.
            assert!(got.text == text || (code.is_some() && got.text.is_empty()), "{name}");
            let has_begun = code.is_none() || !got.text.is_empty();
            assert_eq!(got.status, if has_begun { 200 } else { 502 }, "{name}");
            lives(&daemon).await;
        }
    }
}

/// What becomes of a connection.
enum Fate {
    Reset(h2::SendStream<Bytes>, Reason),
    GoAway(Reason),
    Farewell,
    Cut,
}

/// A backend over HTTP/2 whose answers break in this way; gives its port.
pub async fn listen_http2(authority: &Authority, how: Break) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = authority.signed(&["127.0.0.1"], |_| {}, &[b"h2"]);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(http2(stream, acceptor.clone(), how));
        }
    });
    port
}

async fn http2(stream: TcpStream, acceptor: TlsAcceptor, how: Break) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let (decide, mut fate) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                tokio::spawn(stream_of_http2(request, respond, how, decide.clone()));
            }
            Some(fate) = fate.recv() => {
                // What was said before goes out first: a reset would overtake it.
                poll_fn(|cx| Poll::Ready(connection.poll_closed(cx).is_ready())).await;
                match fate {
                Fate::Reset(mut stream, reason) => stream.send_reset(reason),
                Fate::GoAway(reason) => connection.abrupt_shutdown(reason),
                Fate::Farewell => connection.graceful_shutdown(),
                Fate::Cut => return,
            }}
        }
    }
}

async fn stream_of_http2(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    how: Break,
    decide: mpsc::UnboundedSender<Fate>,
) {
    let is_call = request.method() == http::Method::POST;
    let mut body = request.into_body();
    let mut asked = Vec::new();
    while let Some(Ok(read)) = body.data().await {
        let _ = body.flow_control().release_capacity(read.len());
        asked.extend_from_slice(&read);
    }
    let fine = || http::Response::new(());
    if !String::from_utf8_lossy(&asked).contains(ATTACK) {
        let models = r#"{"models":[{"slug":"gpt-5.5","visibility":"list"}]}"#.to_owned();
        let body = if is_call { answer(&["All is well."]) } else { models };
        let mut send = respond.send_response(fine(), false).unwrap();
        send.send_data(body.into(), true).unwrap();
        return;
    }
    match how {
        Break::Reset(reason) => return respond.send_reset(reason),
        Break::GoAway(reason) => return decide.send(Fate::GoAway(reason)).unwrap_or_default(),
        Break::GiantHead => {
            let mut response = fine();
            let value = "g".repeat(1 << 20).parse().unwrap();
            response.headers_mut().insert("x-tea", value);
            let _ = respond.send_response(response, true);
            return;
        }
        _ => {}
    }
    let part = written(&text(&["Hel"]));
    let mut response = fine();
    if matches!(how, Break::WrongLength) {
        response.headers_mut().insert("content-length", part.len().into());
    }
    let mut send = respond.send_response(response, false).unwrap();
    send.send_data(part.into(), matches!(how, Break::Short)).unwrap();
    match how {
        Break::ResetWithin(reason) => {
            decide.send(Fate::Reset(send, reason)).unwrap_or_default();
        }
        Break::GoAwayWithin(reason) => decide.send(Fate::GoAway(reason)).unwrap_or_default(),
        Break::Cut => decide.send(Fate::Cut).unwrap_or_default(),
        Break::Farewell | Break::WrongLength => {
            decide.send(Fate::Farewell).unwrap_or_default();
            let delta = serde_json::json!({"type": "response.output_text.delta",
                "output_index": 0, "item_id": "msg_1", "delta": "lo"});
            let _ = send.send_data(written(&[delta, completed()]).into(), true);
        }
        _ => {}
    }
}

/// The other side agrees on HTTP/2 and speaks something else.
#[tokio::test]
async fn what_is_no_http2_is_an_error() {
    let authority = Authority::new("ours");
    let mut pings = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    pings.extend([0, 0, 8, 9, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for said in [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0xff; 100_000], Vec::new(), pings] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = authority.signed(&["127.0.0.1"], |_| {}, &[b"h2"]);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let said = said.clone();
                tokio::spawn(async move {
                    let _ = stream.write_all(&said).await;
                    Call::unread(Box::new(stream)).close().await;
                });
            }
        });
        let daemon = daemon(port, &authority.file()).await;
        for is_streamed in [false, true] {
            let told = told(&daemon, &attack(), is_streamed).await;
            assert!(told.status == 502 && told.code.is_some(), "{told:?}");
        }
    }
}
