use std::hint::black_box;
use std::time::Instant;

use axum::http::HeaderValue;
use proptest::prelude::*;

use super::*;

const KEY: &str = "sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s";
const OTHER: &str = "sk-cp-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

fn keys(keys: &[&str]) -> Keys {
    let keys: Vec<SecretString> = keys.iter().map(|&key| key.into()).collect();
    Keys::load(&keys, None).unwrap()
}

fn caller(keys: &Keys, values: &[&[u8]]) -> Caller {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
    }
    keys.caller(&headers)
}

#[test]
fn keys_are_taken_where_clients_of_azure_put_them() {
    let keys = keys(&[OTHER, KEY]);
    let wrong = "sk-cp-another-one-of-somebody-else";
    for (sent, expected) in [
        (&[("api-key", KEY)][..], Caller::Authenticated),
        (&[("API-Key", OTHER)], Caller::Authenticated),
        (&[("api-key", KEY), ("authorization", "Bearer dummy")], Caller::Authenticated),
        (&[("api-key", "dummy"), ("authorization", KEY)], Caller::Authenticated),
        (&[("api-key", wrong)], Caller::Anonymous),
        (&[("api-key", "")], Caller::Anonymous),
        (&[("api-key", KEY), ("api-key", KEY)], Caller::Anonymous),
        (&[("api-key", wrong), ("authorization", wrong)], Caller::Anonymous),
        (&[("x-key", KEY)], Caller::Anonymous),
    ] {
        let mut headers = HeaderMap::new();
        for &(name, value) in sent {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(keys.caller(&headers), expected, "{sent:?}");
    }
    let bearer = format!("Bearer {KEY}");
    let mut headers = HeaderMap::new();
    headers.insert("api-key", bearer.parse().unwrap());
    assert_eq!(keys.caller(&headers), Caller::Anonymous, "no scheme there");
}

#[test]
fn every_key_opens_in_one_authorization_header_only() {
    let keys = keys(&[OTHER, KEY]);
    let bearer = |scheme: &str, key: &str| format!("{scheme}{key}").into_bytes();
    for value in [
        bearer("Bearer ", KEY),
        bearer("bearer ", KEY),
        bearer("BEARER   ", KEY),
        bearer("", KEY),
        bearer("Bearer ", OTHER),
    ] {
        assert_eq!(caller(&keys, &[&value]), Caller::Authenticated);
        assert_eq!(caller(&keys, &[&value, &value]), Caller::Anonymous);
        assert_eq!(caller(&keys, &[&value, b"Bearer x"]), Caller::Anonymous);
    }
    for value in [
        bearer("", ""),
        bearer("Bearer", KEY),
        bearer("Basic", KEY),
        bearer("Bearer", ""),
        bearer("Bearer ", ""),
        bearer("Bearer\t", KEY),
        bearer("Basic ", KEY),
        bearer("Bearer Bearer ", KEY),
        bearer("Bearer \"", &format!("{KEY}\"")),
        bearer("Bearer ", &format!("{KEY},{OTHER}")),
        bearer("Bearer ", &KEY.to_uppercase()),
        vec![0xff; 60],
    ] {
        assert_eq!(caller(&keys, &[&value]), Caller::Anonymous, "{}", value.escape_ascii());
    }
    assert_eq!(caller(&keys, &[]), Caller::Anonymous);
    assert_eq!(caller(&Keys::default(), &[]), Caller::Authenticated);
    assert_eq!(caller(&Keys::default(), &[b"whatever", b"twice"]), Caller::Authenticated);
}

#[test]
fn no_key_with_one_character_changed_opens() {
    let keys = keys(&[KEY]);
    assert!(keys.hold(KEY.as_bytes()));
    for at in 0..KEY.len() {
        let mut changed = KEY.as_bytes().to_vec();
        for byte in 0..=u8::MAX {
            changed[at] = byte;
            assert_eq!(keys.hold(&changed), byte == KEY.as_bytes()[at], "{byte} at {at}");
        }
        assert!(!keys.hold(&KEY.as_bytes()[..at]));
    }
}

#[test]
fn a_file_holds_keys_comments_and_blank_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Keys::load(&[], Some(&path))
    };
    let text = format!("# for the notebook\n\n{KEY}\r\n  \n \t# for the phone\n  {OTHER}  \n");
    let held = load(&text).unwrap();
    assert!(held.hold(KEY.as_bytes()) && held.hold(OTHER.as_bytes()));
    assert_eq!(held.0.len(), 2);
    assert_eq!(format!("{held:?}"), "Keys(2)");

    let both = Keys::load(&["sk-cp-of-the-settings-0123456789".into()], Some(&path)).unwrap();
    assert_eq!(both.0.len(), 3);
    assert!(both.hold(b"sk-cp-of-the-settings-0123456789"));
}

#[test]
fn a_file_without_good_keys_is_refused_with_its_place_and_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let place = path.display().to_string();
    let problem = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        // Keys in the settings are no excuse.
        Keys::load(&[KEY.into()], Some(&path)).unwrap_err().to_string()
    };
    for empty in [&b""[..], b"\n\n", b"# nothing\n"] {
        let message = problem(empty);
        assert!(message.contains(&place) && message.contains("no API key"), "{message}");
    }
    let message = problem(format!("{KEY}\n\nhush-hush\n").as_bytes());
    assert!(message.starts_with(&format!("{place}:3: ")), "{message}");
    assert!(message.contains("too easy to guess") && !message.contains("hush"), "{message}");
    let message = problem(format!("{KEY} # mine\n").as_bytes());
    assert!(message.contains("clients cannot send") && !message.contains(KEY), "{message}");
    assert!(problem(&[0xff; 40]).contains(&place));
    std::fs::remove_file(&path).unwrap();
    let message = Keys::load(&[], Some(&path)).unwrap_err().to_string();
    assert!(message.contains(&place) && message.contains("api_key_file"), "{message}");
}

proptest! {
    #[test]
    fn every_key_opens_and_no_change_of_it(
        key in "[!-~]{22,60}",
        at in any::<proptest::sample::Index>(),
        byte in b'!'..=b'~',
    ) {
        let held = keys(&[OTHER, &key]);
        let sent = format!("Bearer {key}");
        prop_assert_eq!(caller(&held, &[sent.as_bytes()]), Caller::Authenticated);
        let mut changed = sent.into_bytes();
        let at = "Bearer ".len() + at.index(key.len());
        let is_changed = changed[at] != byte;
        changed[at] = byte;
        let expected = if is_changed { Caller::Anonymous } else { Caller::Authenticated };
        prop_assert_eq!(caller(&held, &[&changed]), expected);
    }
}

/// How far apart the means of two samples are, in units of their error (Welch's t). The slowest
/// tenth is left out: that is the machine, not the code.
fn difference(mut one: Vec<f64>, mut two: Vec<f64>) -> f64 {
    let moments = |sample: &mut Vec<f64>| {
        sample.sort_by(f64::total_cmp);
        sample.truncate(sample.len() * 9 / 10);
        let count = f64::from(u32::try_from(sample.len()).unwrap());
        let mean = sample.iter().sum::<f64>() / count;
        let squares = sample.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
        (mean, squares / (count - 1.0) / count)
    };
    let ((mean_one, error_one), (mean_two, error_two)) = (moments(&mut one), moments(&mut two));
    (mean_one - mean_two) / (error_one + error_two).sqrt()
}

/// How long `compare` takes for the key but for its end, and for its end alone, in turns.
fn times(rounds: usize, compare: impl Fn(&[u8]) -> bool) -> f64 {
    let (mut near, mut far) = (KEY.as_bytes().to_vec(), KEY.as_bytes().to_vec());
    *near.last_mut().unwrap() ^= 1;
    far[0] ^= 1;
    let mut samples = [Vec::with_capacity(rounds), Vec::with_capacity(rounds)];
    let mut state = 1_u64;
    while samples.iter().any(|sample| sample.len() < rounds) {
        // In random order, so that nothing that comes and goes hits one of them alone.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let class = usize::from(state >> 63 == 1);
        let key = if class == 0 { &near } else { &far };
        let start = Instant::now();
        for _ in 0..20 {
            black_box(compare(black_box(key)));
        }
        samples[class].push(start.elapsed().as_secs_f64());
    }
    let [near, far] = samples;
    difference(near, far)
}

/// As `dudect` does it: a |t| above 10 means that the time tells how much of a key is right. A
/// comparison that stops at the first difference must be caught, or the measurement is no good.
///
/// On a quiet machine: `cargo test --lib timing_tells_nothing -- --ignored --nocapture`
#[test]
#[ignore = "measures times, which needs a quiet machine"]
fn timing_tells_nothing_of_a_key() {
    let held = keys(&[OTHER, KEY]);
    let hasty = |sent: &[u8]| sent.iter().zip(KEY.as_bytes()).all(|(one, two)| one == two);
    let (caught, measured) = (times(20_000, hasty), times(20_000, |sent| held.hold(sent)));
    println!("t = {caught:.1} for a comparison that stops early, {measured:.1} for ours");
    assert!(caught.abs() > 10.0, "the measurement does not see differences: t = {caught}");
    assert!(measured.abs() < 10.0, "the time depends on the key: t = {measured}");
}
