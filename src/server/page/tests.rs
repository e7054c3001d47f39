use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;

use super::*;

async fn ask(method: &str, path: &str, known: &[&str]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for tag in known {
        request = request.header(IF_NONE_MATCH, *tag);
    }
    routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn every_file_is_given_with_its_kind_and_with_what_protects_it() {
    for file in FILES.iter() {
        let response = ask("GET", file.path, &[]).await;
        assert_eq!(response.status(), 200, "{}", file.path);
        let headers = response.headers().clone();
        let extension = file.path.rsplit_once('.').map_or("html", |(_, extension)| extension);
        let kind = match extension {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(headers["content-type"], kind, "{}", file.path);
        let policy = headers["content-security-policy"].to_str().unwrap();
        let rules: Vec<&str> = policy.split("; ").collect();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ] {
            assert!(rules.contains(&rule), "{rule} is not in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(headers[name], value, "{name} of {}", file.path);
        }
        assert_eq!(text(response).await, file.text);
        let head = ask("HEAD", file.path, &[]).await;
        assert_eq!((head.status().as_u16(), &head.headers()["etag"]), (200, &headers["etag"]));
        assert_eq!(text(head).await, "");
    }
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let response = ask("GET", "/ui/app.js", &[]).await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let (weak, listed) = (format!("W/{tag}"), format!("\"other\", {tag},\"more\""));
    for known in [&[tag.as_str()][..], &[&weak], &[&listed], &["*"], &["\"other\"", &tag]] {
        let response = ask("GET", "/ui/app.js", known).await;
        assert_eq!(response.status(), 304, "{known:?}");
        assert_eq!(response.headers()["etag"], tag, "{known:?}");
        assert!(response.headers().contains_key("content-security-policy"), "{known:?}");
        assert_eq!(text(response).await, "");
    }
    let bare = tag.trim_matches('"');
    for known in [&[bare][..], &["\"other\""], &[""], &["W/"], &["\"*\""]] {
        assert_eq!(ask("GET", "/ui/app.js", known).await.status(), 200, "{known:?}");
        // The tags are those of the texts.
        assert_eq!(ask("GET", "/ui/chat.js", &[&tag]).await.status(), 200);
    }
}

/// The policy forbids it anyway; this says so earlier.
#[test]
fn nothing_in_the_files_makes_markup_of_texts_or_asks_anybody_else() {
    // The settings of clients are data, in which there may be any text.
    for file in FILES.iter().filter(|file| file.path != "/ui/clients.js") {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "eval(",
            "new Function",
            "localStorage",
            "sessionStorage",
            "indexedDB",
            "document.cookie",
            " style=",
            "onclick=",
            "https://",
            "@import",
            "url(",
        ] {
            assert!(!file.text.contains(forbidden), "{forbidden} is in {}", file.path);
        }
        // But for the name of the language of drawings, which nobody asks for.
        let texts = file.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!texts.contains("http://"), "{}", file.path);
    }
}

#[test]
fn the_settings_of_clients_are_data_and_nothing_else() {
    let file = FILES.iter().find(|file| file.path == "/ui/clients.js").unwrap();
    let data = file.text.strip_prefix("export const CLIENTS = ").unwrap();
    let data: serde_json::Value = serde_json::from_str(data.strip_suffix(";\n").unwrap()).unwrap();
    let groups = data["groups"].as_array().unwrap();
    let shown = groups.iter().flat_map(|group| group["clients"].as_array().unwrap());
    assert!(shown.map(|shown| &shown["text"]).eq(clients::all().map(|client| client.text)));
    assert_eq!([&data["any"], &data["placeholder"]], [clients::ANY, clients::PLACEHOLDER]);
}

/// A file that is named in another one has to be there.
#[test]
fn all_that_the_files_name_is_there() {
    for file in FILES.iter() {
        for (start, folder) in [("\"/ui/", "/ui/"), ("from \"./", "/ui/")] {
            for rest in file.text.split(start).skip(1) {
                let name = rest.split('"').next().unwrap();
                assert!(has(&format!("{folder}{name}")), "{name} is named in {}", file.path);
            }
        }
    }
    assert!(!has("/ui/") && !has("") && !has("/ui/nope.js"));
}
