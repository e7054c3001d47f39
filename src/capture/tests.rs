use std::path::Path;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use tempfile::TempDir;

use super::*;

/// An order for a file that is made for it.
fn wanted(file: &Path, requests: u32) -> StartOptions {
    let secret = create(file).unwrap();
    StartOptions { proof: Proof { file: file.to_owned(), secret }, requests, minutes: 10 }
}

/// A capture that is on, for so many requests.
fn on(requests: u32) -> (Capture, TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new").join("c.jsonl");
    let capture = Capture::default();
    assert_eq!(capture.status(), Status::Off);
    capture.start(&wanted(&file, requests)).unwrap();
    (capture, folder, file)
}

fn begin(capture: &Capture) -> Option<Recording> {
    capture.begin(Secrets::default().with(Some("jo@example.com"), "e-mail address"))
}

/// The exchanges in the file, once there are so many.
fn exchanges(file: &Path, count: usize) -> Vec<Exchange> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match read(file) {
            Ok(exchanges) if exchanges.len() == count => return exchanges,
            _ if Instant::now() > deadline => panic!("there are no {count} exchanges"),
            _ => std::thread::yield_now(),
        }
    }
}

#[test]
fn an_exchange_is_written_with_all_that_was_noted() {
    let (capture, _folder, file) = on(5);
    let recording = begin(&capture).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret"));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    recording.head(&headers);
    recording.body(&Bytes::from_static(br#"{"messages":["of jo@example.com"]}"#));
    let call = recording.call();
    call.sent(&headers, &Bytes::from_static(br#"{"prompt_cache_key":"k"}"#));
    call.head(StatusCode::OK, &headers);
    call.event(r#"{"type":"a",  "n":1}"#);
    call.ended();
    let refused = recording.call();
    refused.head(StatusCode::TOO_MANY_REQUESTS, &headers);
    refused.body(b"slower");
    refused.failed("HTTP 429".to_owned());
    recording.error(r#"{"error":{"code":"c"}}"#.to_owned());
    recording.answer(StatusCode::BAD_GATEWAY, &headers);
    drop((recording, call));
    // It goes on as long as anybody notes something.
    assert!(read(&file).is_err());
    drop(refused);

    let exchange = exchanges(&file, 1).remove(0);
    let text = serde_json::to_string(&exchange).unwrap();
    assert!(!text.contains("secret") && !text.contains("jo@example.com"), "{text}");
    assert_eq!(exchange.number, 1);
    assert_eq!(exchange.request.headers[0], ("authorization".into(), "[redacted]".into()));
    assert_eq!(exchange.request.body["messages"][0], "of [redacted: e-mail address]");
    let [call, refused] = &exchange.calls[..] else { panic!("{text}") };
    assert_eq!(call.events[0].data, r#"{"type":"a",  "n":1}"#);
    assert_eq!(call.end, End::There);
    assert!(text.contains("\"prompt_cache_key\":\"[redacted: 1 bytes"), "{text}");
    assert_eq!(refused.response.as_ref().unwrap().body.as_deref(), Some("slower"));
    assert_eq!(refused.end, End::Failed("HTTP 429".to_owned()));
    let answer = exchange.answer.unwrap();
    assert_eq!((answer.status, &answer.error.unwrap()["error"]["code"]), (502, &"c".into()));
    let Status::On { requests_left: 4, written: 1, .. } = capture.status() else {
        panic!("{:?}", capture.status())
    };
}

#[test]
fn it_ends_by_itself_after_so_many_requests() {
    let (capture, _folder, file) = on(2);
    let first = begin(&capture).unwrap();
    drop(begin(&capture).unwrap());
    assert!(!capture.is_on());
    assert_eq!(capture.status(), Status::Off);
    assert!(begin(&capture).is_none());
    // What had begun before is written still.
    drop(first);
    let numbers: Vec<_> = exchanges(&file, 2).iter().map(|exchange| exchange.number).collect();
    assert_eq!(numbers, [2, 1]);
}

#[test]
fn it_ends_by_itself_when_its_time_is_over() {
    let (capture, _folder, _file) = on(2);
    capture.0.lock().as_mut().unwrap().deadline = Instant::now();
    assert!(begin(&capture).is_none());
    assert!(!capture.is_on());
}

#[test]
fn the_writer_ends_it_when_nobody_asks() {
    let (capture, folder, _) = on(2);
    capture.stop();
    let path = folder.path().join("short.jsonl");
    let shared = Arc::new(Progress::default());
    let file = file::take(&wanted(&path, 1).proof).unwrap();
    let writer = Writer::new(file, path.clone(), Timestamp::now(), Arc::clone(&shared)).unwrap();
    let deadline = Instant::now() + Duration::from_millis(20);
    let finished = writer.start(deadline, Arc::downgrade(&capture.0)).unwrap();
    // Its own deadline is far away: it is the writer that looks at the time.
    let session = Session {
        file: path,
        until: String::new(),
        deadline: deadline + Duration::from_secs(600),
        left: 2,
        begun: 0,
        shared,
        finished,
    };
    *capture.0.lock() = Some(session);
    capture.0.is_on.store(true, Ordering::Release);
    let patience = Instant::now() + Duration::from_secs(20);
    while capture.is_on() {
        assert!(Instant::now() < patience, "it goes on");
        std::thread::yield_now();
    }
}

#[test]
fn off_means_that_nothing_more_is_written() {
    let (capture, _folder, file) = on(5);
    let open = begin(&capture).unwrap();
    let writer = Arc::downgrade(&capture.0.lock().as_ref().unwrap().shared);
    assert!(matches!(capture.stop(), Status::On { written: 0, .. }));
    assert_eq!(capture.stop(), Status::Off);
    assert!(begin(&capture).is_none());
    drop(open);
    let patience = Instant::now() + Duration::from_secs(20);
    while writer.strong_count() > 0 {
        assert!(Instant::now() < patience, "the writer goes on");
        std::thread::yield_now();
    }
    assert!(matches!(read(&file), Err(ReadError::Empty { .. })));
    // Another one may begin.
    let next = file.with_file_name("next.jsonl");
    capture.start(&wanted(&next, 1)).unwrap();
}

#[test]
fn only_one_at_a_time_and_within_limits() {
    let (capture, folder, file) = on(5);
    let next = folder.path().join("next.jsonl");
    let error = capture.start(&wanted(&next, 1)).unwrap_err();
    assert!(matches!(&error, StartError::AlreadyOn { file: other } if *other == file));
    let capture = Capture::default();
    for (requests, minutes) in [(0, 1), (1, 0), (MAX_REQUESTS + 1, 1), (1, MAX_MINUTES + 1)] {
        let proof = Proof { file: next.clone(), secret: String::new() };
        let wanted = StartOptions { proof, requests, minutes };
        assert!(matches!(capture.start(&wanted), Err(StartError::Limits)));
    }
}

#[test]
fn the_file_is_new_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a/b/c.jsonl");
    create(&file).unwrap();
    assert!(create(&file).is_err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }
}

/// Without the secret in a file of the daemon's own user there is no capture, and no refusal tells
/// which files there are.
#[cfg(unix)]
#[test]
fn only_the_daemons_own_user_turns_it_on_and_off() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let secret = create(&path("good")).unwrap();
    let proof = |file: PathBuf, secret: &str| Proof { file, secret: secret.to_owned() };
    std::os::unix::fs::symlink(path("good"), path("link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("other"), "x").unwrap();
    std::fs::write(path("longer"), secret.clone() + "x").unwrap();
    std::fs::write(path("open"), &secret).unwrap();
    std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o644)).unwrap();
    for name in ["longer", "empty", "other"] {
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    for name in ["link", "fifo", "", "empty", "other", "longer", "open", "missing"] {
        file::take(&proof(path(name), &secret)).unwrap_err();
    }
    for wrong in ["", "x", &secret[1..], &"0".repeat(secret.len())] {
        file::take(&proof(path("good"), wrong)).unwrap_err();
        file::take(&proof(path("empty"), wrong)).unwrap_err();
    }
    file::take(&proof("good".into(), &secret)).unwrap_err();
    file::take(&proof("/dev/zero".into(), &secret)).unwrap_err();
    assert_eq!(std::fs::read_to_string(path("other")).unwrap(), "x", "it is as it was");

    let capture = Capture::default();
    let wanted = StartOptions { proof: proof(path("good"), &secret), requests: 1, minutes: 1 };
    capture.start(&wanted).unwrap();
    capture.stop_by(&proof(path("missing"), &secret)).unwrap_err();
    assert!(capture.is_on());
    let secret = create(&path("off")).unwrap();
    assert!(matches!(capture.stop_by(&proof(path("off"), &secret)), Ok(Status::On { .. })));
    assert!(!capture.is_on());
}

#[test]
fn what_is_no_capture_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.jsonl");
    let heading = r#"{"codex_proxy_capture":1,"version":"0","begun":"","note":""}"#;
    for (text, expected) in [
        ("", "contains no exchange"),
        (heading, "contains no exchange"),
        ("{}", ":1: not a valid line of a capture file: missing field"),
        (&heading.replace(":1,", ":9,"), ":1: not a valid line of a capture file: its format is 9"),
        (&format!("{heading}\n\n{{\"number\":1}}\n"), ":3: not a valid line of a capture file"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = read(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("cannot read"), "{error}");
}
