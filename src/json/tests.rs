use proptest::prelude::*;

use super::{Number, Value, parse};

#[test]
fn every_text_is_written_as_it_was_read() {
    for text in [
        "null",
        "[true,false]",
        r#"{"a":"b","a":"c","":{}}"#,
        r#"{"a":[0,-1,18446744073709551615,-9223372036854775808]}"#,
        r#"{"a":[18446744073709551616,-9223372036854775809,123456789012345678901234]}"#,
        r#"{"a":[1.0,1.10,0.1000,1e5,1E+5,1e-7,-0,-0.0,0.30000000000000004]}"#,
        r#"{"a\"1.5":["1.5","\\",2.50,"\\\"3.5",{"4.5":4.50}],"b":5.50}"#,
        r#"[[[["é",6.60,"😀"]]]]"#,
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }
}

#[test]
fn white_space_and_escapes_are_not_kept() {
    let text = "{ \"a\" : [ 1.10 ,\n\t2.20 ] , \"\\u0062\" : \"\\/\" }";
    assert_eq!(parse(text.as_bytes()).unwrap().to_string(), r#"{"a":[1.10,2.20],"b":"/"}"#);
}

#[test]
fn numbers_are_read_whatever_keeps_them() {
    let value = parse(br#"{"top":0.70,"in":[0.70,7,-7,1e2]}"#).unwrap();
    let object = value.as_object().unwrap();
    assert_eq!(object.get("top").unwrap().as_f64(), Some(0.7));
    let inner = object.get("in").unwrap().as_array().unwrap();
    let read = inner.iter().map(|number| (number.as_f64().unwrap(), number.as_i64()));
    let expected = [(0.7, None), (7.0, Some(7)), (-7.0, Some(-7)), (100.0, None)];
    assert_eq!(read.collect::<Vec<_>>(), expected);
    assert_eq!(inner[0], Value::Number(Number::Text("0.70")));
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["", "{", "[1.]", "[01]", "[1e400]", "[NaN]", "1 2", "\"\\ud83d\"", "{\"a\":1,}"] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(parse(b"\"\xFF\"").is_err());
    assert!(parse("[".repeat(200).as_bytes()).is_err());
}

fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?",
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let string = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![number, string.clone(), Just("null".to_owned())];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((string.clone(), inner), 0..5).prop_map(|fields| {
                let fields = fields.iter().map(|(name, value)| format!("{name}:{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn compact_text_goes_through_unchanged(text in json()) {
        // The innermost of two levels keep their text, as all that is passed on does.
        let text = format!("[[{text}]]");
        prop_assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }
}
