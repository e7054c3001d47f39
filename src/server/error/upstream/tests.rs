use std::sync::Arc;

use crate::credentials;
use crate::limits::reached::{self, Reached};
use crate::responses::error::Body;
use crate::upstream::{Head, Waiting};

use super::*;

/// 2026-05-04 20:00 UTC, in a zone two hours ahead.
fn clock() -> Clock {
    Clock { now: "2026-05-04T20:00:00Z".parse().unwrap(), zone: TimeZone::posix("CEST-2").unwrap() }
}

fn of(failure: &UpstreamError) -> ApiError {
    ApiError::of(failure, &clock())
}

fn refused(status: u16, body: &str) -> UpstreamError {
    let Body::Report(report) = BackendError::from_body(body.as_bytes()) else { panic!("{body}") };
    let status = StatusCode::from_u16(status).unwrap();
    let head = Head::default();
    let reached = Reached::default();
    UpstreamError::Refused(Box::new(ErrorResponse {
        status,
        report,
        head,
        ray: None,
        retry_after: None,
        reached,
    }))
}

fn reported(event: &str) -> UpstreamError {
    UpstreamError::Reported(Box::new(BackendError::from_json(event)))
}

/// Status, type, code and param of the answer.
type Row = (u16, &'static str, Option<&'static str>, Option<&'static str>);

#[track_caller]
fn check(failure: &UpstreamError, (status, kind, code, param): Row) {
    let error = of(failure);
    assert_eq!(error.status.as_u16(), status, "{failure:?}");
    assert_eq!(error.error.kind, kind, "{failure:?}");
    assert_eq!(error.error.code.as_deref(), code, "{failure:?}");
    assert_eq!(error.error.param.as_deref(), param, "{failure:?}");
    assert!(!error.error.message.is_empty(), "{failure:?}");
}

const INVALID: &str = "invalid_request_error";

#[test]
fn refusals_of_requests() {
    for (status, body, row) in [
        (
            400,
            r#"{"detail":"Unsupported parameter: max_output_tokens"}"#,
            (400, INVALID, Some("unsupported_parameter"), Some("max_output_tokens")),
        ),
        (
            400,
            r#"{"error":{"message":"Unknown parameter: 'input[3].namespace'.",
                "type":"invalid_request_error","param":"input[3].namespace",
                "code":"unknown_parameter"}}"#,
            (400, INVALID, Some("unknown_parameter"), Some("messages")),
        ),
        (
            400,
            r#"{"error":{"message":"Unknown parameter: 'input[3].namespace'."}}"#,
            (400, INVALID, Some("unknown_parameter"), Some("messages")),
        ),
        (
            400,
            r#"{"error":{"message":"Unsupported value: 'none' is not supported with the 'm' model.","type":"invalid_request_error",
                "param":"reasoning.effort","code":"unsupported_value"}}"#,
            (400, INVALID, Some("unsupported_value"), Some("reasoning_effort")),
        ),
        (
            400,
            r#"{"error":{"message":"Unsupported service_tier: flex","type":"invalid_request_error",
                "param":null,"code":null}}"#,
            (400, INVALID, None, Some("service_tier")),
        ),
        (
            400,
            r#"{"error":{"message":"No tool output found for function call call_abc123.",
                "type":"invalid_request_error","param":"input","code":null}}"#,
            (400, INVALID, None, Some("messages")),
        ),
        (400, r#"{"detail":"Input must be a list"}"#, (400, INVALID, None, None)),
        (400, "", (400, INVALID, None, None)),
        (413, "too large", (413, INVALID, None, None)),
        (413, "", (413, INVALID, None, None)),
        (404, "", (404, INVALID, None, None)),
        (
            400,
            r#"{"error":{"code":"invalid_value","type":"invalid_request_error",
                "message":"Invalid value: 'at capacity'. Supported values are: 'a'."}}"#,
            (400, INVALID, Some("invalid_value"), None),
        ),
        (
            404,
            r#"{"error":{"message":"Item with id 'rs_abc' not found.","type":"invalid_request_error",
                "param":"input","code":null}}"#,
            (404, INVALID, None, Some("messages")),
        ),
        (
            400,
            r#"{"error":{"message":"Your input exceeds the context window of this model.",
                "code":"context_length_exceeded"}}"#,
            (400, INVALID, Some("context_length_exceeded"), None),
        ),
        (
            400,
            r#"{"error":{"message":"The encrypted content gAAA could not be verified.",
                "type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}"#,
            (400, INVALID, Some("invalid_encrypted_content"), None),
        ),
        (
            400,
            r#"{"error":{"message":"The encrypted content for item cmp_1 could not be verified."}}"#,
            (400, INVALID, Some("invalid_encrypted_content"), None),
        ),
        (
            400,
            r#"{"error":{"message":"The image data you provided does not represent a valid image."}}"#,
            (400, INVALID, Some("image_parse_error"), None),
        ),
        (
            400,
            r#"{"error":{"message":"Invalid 'input[0].content[0].image_url'. Expected a valid URL.",
                "param":"input[0].content[0].image_url","code":"invalid_value"}}"#,
            (400, INVALID, Some("invalid_image_url"), Some("messages")),
        ),
    ] {
        check(&refused(status, body), row);
    }
}

#[test]
fn policies_keep_their_codes() {
    for code in [
        "invalid_prompt",
        "cyber_policy",
        "bio_policy",
        "content_policy_violation",
        "misalignment_policy_violation",
    ] {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"Request blocked."}}}}"#);
        let error = of(&refused(400, &body));
        assert_eq!(error, of(&reported(&body)));
        assert_eq!((error.status.as_u16(), error.error.kind), (400, INVALID));
        assert_eq!(error.error.code.as_deref(), Some(code));
        assert_eq!(error.error.message, "Request blocked.");
    }
}

#[test]
fn models_that_cannot_be_had_are_not_found() {
    for (status, text) in [
        (400, "The 'm' model is not supported when using Codex with a ChatGPT account."),
        (400, "The 'm' model requires a newer version of Codex. Please upgrade."),
        (404, "Model not found m"),
        (404, "The model `m` does not exist or you do not have access to it."),
    ] {
        for body in
            [format!(r#"{{"detail":"{text}"}}"#), format!(r#"{{"error":{{"message":"{text}"}}}}"#)]
        {
            let failure = refused(status, &body);
            check(&failure, (404, INVALID, Some("model_not_found"), Some("model")));
            assert!(of(&failure).error.message.starts_with(text));
        }
    }
    let old = refused(400, r#"{"detail":"The 'm' model requires a newer version of Codex."}"#);
    assert!(of(&old).error.message.contains("client_version"));
}

#[test]
fn logins_that_are_not_accepted_name_the_command() {
    let auth: Row = (401, "authentication_error", Some("upstream_auth"), None);
    for failure in [
        UpstreamError::Login(credentials::Error::Missing { path: "auth.json".into() }),
        UpstreamError::UnusableLogin,
        refused(401, r#"{"detail":"Unauthorized"}"#),
        refused(401, r#"{"error":{"message":"Expired.","code":"token_expired"},"status":401}"#),
        refused(401, r#"{"detail":"Your authentication token has been invalidated."}"#),
        refused(401, ""),
        refused(401, r#"{"error":{"message":"Incorrect API key.","code":"invalid_api_key"}}"#),
        reported(r#"{"code":"token_invalid","message":"token revoked"}"#),
    ] {
        check(&failure, auth);
        assert!(of(&failure).error.message.contains("`codex-proxy login`"), "{failure:?}");
    }
}

#[test]
fn a_login_that_could_not_be_renewed_this_time_says_when_to_try_again() {
    let cause =
        || Arc::new(credentials::issuer::Error::Unreachable { cause: "refused".to_owned() });
    let not_renewed = |seconds| credentials::Error::NotRenewed {
        path: "auth.json".into(),
        cause: cause(),
        retry_in: Duration::from_secs(seconds),
    };
    let unknown = |seconds| credentials::Error::UnknownAccount {
        place: "auth.json".to_owned(),
        cause: cause(),
        retry_in: Duration::from_secs(seconds),
    };
    // SDKs retry a 503 by themselves. They wait up to a minute, and do not wait at all for longer.
    for (login, retry_after, should_retry) in [
        (not_renewed(7), Some(7), None),
        (not_renewed(60), Some(60), None),
        (not_renewed(61), Some(61), Some(false)),
        (unknown(7), Some(7), None),
        (credentials::Error::Busy { lock: "lock".into() }, None, None),
    ] {
        let failure = UpstreamError::Login(login);
        check(&failure, (503, "server_error", Some("login_not_renewed"), None));
        let error = of(&failure);
        assert_eq!(error.retry_after, retry_after.map(Duration::from_secs), "{failure:?}");
        assert_eq!(error.should_retry, should_retry, "{failure:?}");
    }
}

#[test]
fn a_refused_country_is_final() {
    let failure =
        UpstreamError::Login(credentials::Error::RefusedCountry { path: "auth.json".into() });
    let code = Some("unsupported_country_region_territory");
    check(&failure, (403, "permission_error", code, None));
    assert_eq!(of(&failure).should_retry, Some(false));
}

#[test]
fn accounts_that_may_not_are_forbidden() {
    for (status, body, code) in [
        (402, r#"{"detail":{"code":"deactivated_workspace"}}"#, Some("deactivated_workspace")),
        (403, r#"{"error":{"code":"codex_access_restricted"}}"#, Some("codex_access_restricted")),
        (403, r#"{"detail":"Your account has been flagged."}"#, None),
    ] {
        check(&refused(status, body), (403, "permission_error", code, None));
    }
}

#[test]
fn a_used_up_plan_tells_when_it_resets_and_is_not_tried_again() {
    const BODY: &str = r#"{"error":{"type":"usage_limit_reached",
        "message":"The usage limit has been reached","plan_type":"plus",
        "resets_at":1777936568,"eligible_promo":null,"resets_in_seconds":13872}}"#;
    for status in [429, 404, 403] {
        let failure = refused(status, BODY);
        check(&failure, (429, "insufficient_quota", Some("usage_limit_reached"), None));
        let error = of(&failure);
        assert_eq!(
            error.error.message,
            "The usage limit has been reached. It resets at 2026-05-05 01:16 CEST."
        );
        assert_eq!(error.retry_after, Some(Duration::from_secs(13_872)));
        assert_eq!(error.should_retry, Some(false));
    }
}

#[test]
fn the_reset_is_worked_out_from_either_figure() {
    for (figures, seconds, time) in [
        (r#""resets_at":1777928400"#, Some(3600), Some("23:00")),
        (r#""resets_in_seconds":60"#, Some(60), Some("22:01")),
        (r#""resets_at":"1777928400""#, Some(3600), Some("23:00")),
        (r#""resets_at":"2026-05-04T21:00:00Z""#, Some(3600), Some("23:00")),
        (r#""resets_in_seconds":"60""#, Some(60), Some("22:01")),
        // What has passed, or is too far away to be meant, is no time.
        (r#""resets_at":1"#, None, None),
        (r#""resets_at":0,"resets_in_seconds":0"#, None, None),
        (r#""resets_at":1,"resets_in_seconds":60"#, Some(60), Some("22:01")),
        (r#""resets_at":1777924799"#, None, None),
        (r#""resets_at":1777928400000"#, None, None),
        (r#""resets_at":9223372036854775807"#, None, None),
        (r#""resets_in_seconds":1e18"#, None, None),
        (r#""plan_type":"plus""#, None, None),
    ] {
        let body = format!(r#"{{"error":{{"type":"usage_limit_reached",{figures}}}}}"#);
        let error = of(&refused(429, &body));
        assert_eq!(error.retry_after.map(|delay| delay.as_secs()), seconds, "{figures}");
        let message = error.error.message;
        assert_eq!(message.contains("It resets at"), time.is_some(), "{message}");
        assert!(message.contains(time.unwrap_or("")), "{message}");
    }
}

#[test]
fn other_quotas_keep_their_names() {
    for code in [
        "insufficient_quota",
        "usage_not_included",
        "quota_exceeded",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    ] {
        for body in [
            format!(r#"{{"error":{{"code":"{code}","message":"No."}}}}"#),
            format!(r#"{{"error":{{"type":"{code}","message":"No."}}}}"#),
        ] {
            for failure in [refused(429, &body), reported(&body)] {
                let error = of(&failure);
                check(&failure, (429, "insufficient_quota", Some(code), None));
                assert_eq!((error.retry_after, error.should_retry), (None, Some(false)));
            }
        }
    }
}

#[test]
fn rate_limits_tell_how_long_to_wait() {
    let limited: Row = (429, "rate_limit_error", Some("rate_limit_exceeded"), None);
    for (text, millis) in [
        ("Rate limit reached. Please try again in 11.054s. Visit us.", Some(11_054)),
        ("Please try again in 350ms.", Some(350)),
        ("Too many requests.", None),
    ] {
        let body = format!(
            r#"{{"error":{{"type":"tokens","code":"rate_limit_exceeded","message":"{text}"}}}}"#
        );
        let bare = format!(r#"{{"detail":"{text}"}}"#);
        for failure in [refused(429, &body), refused(429, &bare), reported(&body)] {
            check(&failure, limited);
            let error = of(&failure);
            assert_eq!(error.retry_after, millis.map(Duration::from_millis));
            assert_eq!((error.should_retry, error.error.message.as_str()), (None, text));
        }
    }
    check(&refused(429, ""), limited);

    let UpstreamError::Refused(mut refusal) = refused(429, "") else { panic!() };
    refusal.retry_after = Some(Duration::from_secs(17));
    assert_eq!(of(&UpstreamError::Refused(refusal)).retry_after, Some(Duration::from_secs(17)));
}

#[test]
fn overload_is_worth_another_try() {
    for body in [
        r#"{"error":{"type":"service_unavailable_error","code":"server_is_overloaded"}}"#,
        r#"{"error":{"code":"slow_down"}}"#,
        r#"{"error":{"message":"Selected model is at capacity. Please try a different model."}}"#,
    ] {
        for failure in [refused(503, body), refused(400, body), reported(body)] {
            check(&failure, (503, "server_error", Some("server_is_overloaded"), None));
            assert_eq!(of(&failure).retry_after, Some(Duration::from_secs(5)));
        }
    }
}

#[test]
fn other_failures_are_the_servers() {
    for (failure, status, code) in [
        (refused(500, ""), 502, "upstream_error"),
        (refused(502, "bad gateway"), 502, "upstream_error"),
        (refused(503, "no healthy upstream"), 503, "upstream_error"),
        (refused(503, ""), 503, "upstream_error"),
        (refused(504, ""), 504, "upstream_error"),
        (refused(408, ""), 408, "upstream_error"),
        (refused(409, ""), 409, "upstream_error"),
        (refused(425, ""), 425, "upstream_error"),
        (refused(500, r#"{"error":{"code":"server_error","message":"m"}}"#), 502, "server_error"),
        (refused(307, ""), 502, "upstream_error"),
        (refused(405, r#"{"detail":"Method Not Allowed"}"#), 502, "upstream_error"),
        (
            UpstreamError::Blocked { status: StatusCode::FORBIDDEN, ray: Some("r".into()) },
            502,
            "upstream_blocked",
        ),
        (UpstreamError::Unreachable { cause: "dns error".into() }, 502, "upstream_unreachable"),
        (UpstreamError::Untrusted { cause: "expired".into() }, 502, "upstream_unreachable"),
        (
            UpstreamError::TimedOut { waiting: Waiting::Connect, limit: Duration::from_secs(15) },
            504,
            "upstream_timeout",
        ),
        (
            UpstreamError::TimedOut { waiting: Waiting::Answer, limit: Duration::from_secs(300) },
            504,
            "upstream_timeout",
        ),
        (UpstreamError::Disconnected { cause: "cut".into() }, 502, "upstream_disconnected"),
        (UpstreamError::Damaged("junk"), 502, "upstream_error"),
        (UpstreamError::Malformed("junk".into()), 502, "upstream_error"),
    ] {
        check(&failure, (status, "server_error", Some(code), None));
    }
}

/// The exact objects that clients of a stream get.
#[test]
fn failures_in_streams_keep_the_upstreams_words() {
    for (failure, message, kind, code) in [
        (
            reported(r#"{"type":"error","sequence_number":1}"#),
            "The upstream reported an error without details.",
            "server_error",
            None,
        ),
        (
            reported(r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#),
            "The upstream reported an error without details.",
            "server_error",
            None,
        ),
        (
            UpstreamError::Disconnected { cause: String::new() },
            "The upstream stream ended before the response was complete.",
            "server_error",
            Some("upstream_disconnected"),
        ),
        (
            reported(r#"{"type":"error","code":"server_error","message":"boom","param":null}"#),
            "boom",
            "server_error",
            Some("server_error"),
        ),
        (
            reported(
                r#"{"type":"error","error":{"type":"server_error","code":"server_error",
                "message":"boom","param":null}}"#,
            ),
            "boom",
            "server_error",
            Some("server_error"),
        ),
        (reported(r#"{"type":"error","error":"boom"}"#), "boom", "server_error", None),
        (
            reported(
                r#"{"type":"error","status":429,"error":{"type":"usage_limit_reached",
                "message":"The usage limit has been reached","plan_type":"plus",
                "resets_at":1780003600,"resets_in_seconds":3600}}"#,
            ),
            "The usage limit has been reached",
            "insufficient_quota",
            Some("usage_limit_reached"),
        ),
        (
            reported(r#"{"code":"context_length_exceeded","message":"Too long."}"#),
            "Too long.",
            INVALID,
            Some("context_length_exceeded"),
        ),
        (
            reported(r#"{"code":"rate_limit_exceeded","message":"Try again in 11.054s. Now."}"#),
            "Try again in 11.054s. Now.",
            "rate_limit_error",
            Some("rate_limit_exceeded"),
        ),
        (
            reported(
                r#"{"type":"insufficient_quota","code":"insufficient_quota","message":"No."}"#,
            ),
            "No.",
            "insufficient_quota",
            Some("insufficient_quota"),
        ),
    ] {
        let error = of(&failure).error;
        assert_eq!(
            (error.message.as_str(), error.kind, error.code.as_deref(), error.param),
            (message, kind, code, None)
        );
    }
}

#[test]
fn whoever_is_not_even_tried_is_told_why_and_when() {
    for (wait, delay, when) in [
        (Some(2500), 2500, "The next attempt is in 2.5 s."),
        (None, 1000, "The next attempt is in progress."),
    ] {
        let failure = UpstreamError::NotTried {
            failures: 7,
            cause: "refused".into(),
            wait: wait.map(Duration::from_millis),
        };
        check(&failure, (502, "server_error", Some("upstream_unreachable"), None));
        let error = of(&failure);
        assert_eq!(error.retry_after, Some(Duration::from_millis(delay)));
        let message = error.error.message;
        assert!(message.contains("the last 7 attempts to connect failed"), "{message}");
        assert!(message.contains("refused") && message.contains(when), "{message}");
    }
}

#[test]
fn a_told_delay_is_passed_on_whatever_has_failed() {
    for status in [500, 503] {
        let UpstreamError::Refused(mut refusal) = refused(status, "") else { panic!() };
        refusal.retry_after = Some(Duration::from_secs(90));
        assert_eq!(of(&UpstreamError::Refused(refusal)).retry_after, Some(Duration::from_secs(90)));
    }
    let overload = reported(r#"{"code":"slow_down","message":"Try again in 20s."}"#);
    assert_eq!(of(&overload).retry_after, Some(Duration::from_secs(20)));
}

#[test]
fn the_number_of_tries_is_added_to_our_own_words_only() {
    let cut = || UpstreamError::Disconnected { cause: String::new() };
    let boom = || reported(r#"{"code":"server_error","message":"boom"}"#);
    let resting = || UpstreamError::NotTried { failures: 5, cause: String::new(), wait: None };
    for (failure, tries, is_added) in [
        (cut(), 1, false),
        (cut(), 2, true),
        (boom(), 5, false),
        (refused(503, "no host"), 5, false),
        (resting(), 5, false),
    ] {
        let plain = of(&failure);
        let error =
            ApiError::from(CallError { failure, attempts: tries, upstream_request_id: None });
        if is_added {
            let expected = format!("{} Gave up after {tries} attempts.", plain.error.message);
            assert_eq!(error.error.message, expected);
        } else {
            assert_eq!(ApiError { cause: None, ..error }, plain);
        }
    }
}

#[test]
fn whoever_finds_the_line_full_may_come_back_soon() {
    let full = AdmissionError::FullLine { max_in_flight: 64, max_queued: 256 };
    let late = AdmissionError::WaitedTooLong { max_in_flight: 64, waited: Duration::from_secs(60) };
    for crowded in [full, late] {
        let error = ApiError::from(crowded);
        assert_eq!((error.status.as_u16(), error.error.kind), (429, "rate_limit_error"));
        assert_eq!(error.error.code.as_deref(), Some("too_many_requests"));
        assert_eq!((error.retry_after, error.should_retry), (Some(CROWDED_DELAY), None));
        assert!(error.error.message.contains("64"), "{}", error.error.message);
    }
}

#[test]
fn a_wait_of_nothing_is_not_told() {
    for status in [429, 500, 503] {
        let UpstreamError::Refused(mut refusal) = refused(status, "") else { panic!() };
        refusal.retry_after = Some(Duration::ZERO);
        assert_eq!(of(&UpstreamError::Refused(refusal)).retry_after, None, "{status}");
    }
    let overload = reported(r#"{"code":"slow_down","message":"Try again in 0s."}"#);
    assert_eq!(of(&overload).retry_after, Some(OVERLOAD_DELAY));
}

#[test]
fn no_capacity_for_what_is_restricted_is_not_asked_for_again() {
    let body = r#"{"error":{"code":"policy_capacity_unavailable","message":"No capacity."}}"#;
    for failure in [refused(503, body), refused(400, body), reported(body)] {
        check(&failure, (503, "server_error", Some("policy_capacity_unavailable"), None));
        assert_eq!(of(&failure).should_retry, Some(false));
    }
}

/// Nothing is wrong with the login: renewing it or signing in again would not help.
#[test]
fn a_workspace_of_another_region_is_not_a_login_that_ended() {
    for (status, body) in [
        (401, r#"{"detail":"Workspace is not authorized in this region."}"#),
        (
            401,
            r#"{"error":{"message":"Workspace is not authorized in this region.",
            "type":"invalid_request_error","code":"unauthorized"}}"#,
        ),
        (403, r#"{"detail":"Workspace is not authorized in this region."}"#),
    ] {
        let failure = refused(status, body);
        check(&failure, (403, "permission_error", Some("workspace_region"), None));
        let message = of(&failure).error.message;
        assert!(message.contains("region") && !message.contains("login`"), "{message}");
    }
    let other = refused(403, r#"{"detail":{"code":"invalid_workspace_selected"}}"#);
    check(&other, (403, "permission_error", Some("invalid_workspace_selected"), None));
    assert!(of(&other).error.message.contains("workspace"), "{other:?}");
}

/// What the headers of a refusal with this body make of it.
fn with_headers(status: u16, body: &str, headers: &[(&str, &str)]) -> UpstreamError {
    let UpstreamError::Refused(mut refusal) = refused(status, body) else { panic!() };
    refusal.reached = reached::read(headers.iter().copied(), clock().now.as_second());
    UpstreamError::Refused(refusal)
}

#[test]
fn headers_tell_of_a_used_up_plan_what_the_body_does_not() {
    const USED_UP: [(&str, &str); 3] = [
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-after-seconds", "500"),
    ];
    const SILENT: &str =
        r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached"}}"#;
    const PAST: &str = r#"{"error":{"type":"usage_limit_reached","resets_at":1,
        "message":"The usage limit has been reached"}}"#;
    const TOLD: &str = r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":60,
        "message":"The usage limit has been reached"}}"#;
    let kind = |kind| ("x-codex-rate-limit-reached-type", kind);
    for (body, more, seconds, words) in [
        (SILENT, vec![], Some(500), &["The 5-hour limit is used up.", "2026-05-04 22:08 CEST"][..]),
        (PAST, vec![], Some(500), &["2026-05-04 22:08 CEST"]),
        // What the body says goes before it.
        (TOLD, vec![], Some(60), &["2026-05-04 22:01 CEST"]),
        (
            SILENT,
            vec![kind("workspace_owner_credits_depleted")],
            Some(500),
            &["no credits left", "as its owner"],
        ),
        (
            SILENT,
            vec![kind("workspace_member_credits_depleted")],
            Some(500),
            &["credits", "ask its owner"],
        ),
        (
            SILENT,
            vec![kind("workspace_owner_usage_limit_reached")],
            Some(500),
            &["raise", "as its owner"],
        ),
        (
            SILENT,
            vec![kind("workspace_member_usage_limit_reached")],
            Some(500),
            &["raise", "ask its owner"],
        ),
        (
            SILENT,
            vec![("x-codex-credits-has-credits", "True"), ("x-codex-credits-balance", "12.5")],
            Some(500),
            &["Credits left: 12.5."],
        ),
        // The body says nothing at all.
        ("", vec![kind("rate_limit_reached")], Some(500), &["5-hour limit"]),
        ("", vec![kind("workspace_member_credits_depleted")], Some(500), &["ask its owner"]),
    ] {
        let headers: Vec<_> = USED_UP.into_iter().chain(more).collect();
        let failure = with_headers(429, body, &headers);
        check(&failure, (429, "insufficient_quota", Some("usage_limit_reached"), None));
        let error = of(&failure);
        assert_eq!(error.retry_after.map(|delay| delay.as_secs()), seconds, "{headers:?}");
        assert_eq!(error.should_retry, Some(false));
        let message = error.error.message;
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("1970"), "{message}");
    }
    // Too many requests in a short time are no used-up plan, however much of it is used.
    let burst = with_headers(429, "", &USED_UP);
    check(&burst, (429, "rate_limit_error", Some("rate_limit_exceeded"), None));
}
