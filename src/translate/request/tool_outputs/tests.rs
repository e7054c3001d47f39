use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Calls that stand side by side are of one message.
fn normalise_with<'v>(items: Vec<Item<'v>>, tools: &[&str]) -> Vec<Item<'v>> {
    let is_call =
        |item: &Item<'_>| matches!(item, Item::FunctionCall { .. } | Item::CustomToolCall { .. });
    let mut origins: Vec<Origin<'_>> = Vec::new();
    for (position, item) in items.iter().enumerate() {
        let follows = position > 0 && is_call(item) && is_call(&items[position - 1]);
        let message = if follows { origins[position - 1].message } else { position };
        origins.push(Origin { message, tool: tools[position] });
    }
    super::normalise(items, &origins).0
}

fn normalise(items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    let tools = vec![""; items.len()];
    normalise_with(items, &tools)
}

/// Items in a short notation: `f:ID` and `c:ID` are calls of a function and a custom tool,
/// `o:ID=TEXT` an outcome, anything else a message of the user. `ID` may be empty. Behind the ID
/// may stand `@` and the name of the tool.
fn parse_with_tools(items: &str) -> (Vec<Item<'static>>, Vec<&str>) {
    let tools = items
        .split_whitespace()
        .map(|item| {
            let named = item.split('=').next().unwrap();
            named.split_once('@').map_or("", |(_, tool)| tool)
        })
        .collect();
    let plain: Vec<String> = items
        .split_whitespace()
        .map(|item| {
            let (head, text) = item.split_once('=').map_or((item, None), |(h, t)| (h, Some(t)));
            let head = head.split('@').next().unwrap();
            text.map_or_else(|| head.to_owned(), |text| format!("{head}={text}"))
        })
        .collect();
    (parse(&plain.join(" ")), tools)
}

fn parse(items: &str) -> Vec<Item<'static>> {
    let own = |text: &str| Cow::Owned(text.to_owned());
    items
        .split_whitespace()
        .map(|item| match item.split_once(':') {
            Some(("f", id)) => {
                Item::FunctionCall { call_id: own(id), name: own("f"), arguments: own("{}") }
            }
            Some(("c", id)) => {
                Item::CustomToolCall { call_id: own(id), name: own("c"), input: own("x") }
            }
            Some(("o", outcome)) => {
                let (id, text) = outcome.split_once('=').unwrap();
                Item::FunctionCallOutput { call_id: own(id), output: Output::Text(own(text)) }
            }
            _ => {
                let content = vec![Part::InputText { text: own(item) }];
                Item::Message { role: Role::User, phase: None, content }
            }
        })
        .collect()
}

/// The notation of items; the outcome of a custom call is `oc`.
fn show(items: &[Item<'_>]) -> String {
    let text = |output: &Output<'_>| match output {
        Output::Text(text) => text.to_string(),
        Output::Parts(parts) => format!("{}parts", parts.len()),
    };
    let shown: Vec<String> = items
        .iter()
        .map(|item| match item {
            Item::Reasoning { .. } | Item::WebSearchCall { .. } => "r".to_owned(),
            Item::FunctionCall { call_id, .. } => format!("f:{call_id}"),
            Item::CustomToolCall { call_id, .. } => format!("c:{call_id}"),
            Item::FunctionCallOutput { call_id, output } => format!("o:{call_id}={}", text(output)),
            Item::CustomToolCallOutput { call_id, output } => {
                format!("oc:{call_id}={}", text(output))
            }
            Item::Message { content, .. } => content
                .iter()
                .map(|part| match part {
                    Part::InputText { text } => text.replace('\n', "/").replace(' ', "_"),
                    other => format!("{other:?}"),
                })
                .collect::<Vec<_>>()
                .join("+"),
        })
        .collect();
    shown.join(" ")
}

#[test]
fn names_decide_where_ids_do_not() {
    for (items, expected) in [
        // Results by name only, in another order than the calls.
        ("f:w@weather f:t@time o:@time=14 o:@weather=22", "f:w f:t o:w=22 o:t=14"),
        // One of them by its id, which goes first wherever it stands.
        ("f:w@weather f:t@time o:=14 o:w=22", "f:w f:t o:w=22 o:t=14"),
        ("f:w@weather f:t@time o:=14 o:@weather=22", "f:w f:t o:w=22 o:t=14"),
        // The name in the place of the id.
        ("f:a@weather f:b@time o:time=14 o:weather=22", "f:a f:b o:a=22 o:b=14"),
        // Equal ids.
        ("f:x@weather f:x@time o:x@time=14 o:x@weather=22", "f:x f:x_2 o:x=22 o:x_2=14"),
        ("f:x@weather f:x@time o:x=22 o:x@time=14", "f:x f:x_2 o:x=22 o:x_2=14"),
        // An id goes before a name that contradicts it.
        ("f:w@weather f:t@time o:t@weather=14", "f:w f:t o:w=aborted o:t=14"),
        // Equal names go by order.
        ("f:a@weather f:b@weather o:@weather=1 o:@weather=2", "f:a f:b o:a=1 o:b=2"),
        // A result never goes to the call of another tool, nor to one with another id.
        ("f:w@weather o:@time=14", "f:w o:w=aborted [tool_result]/14"),
        ("f:w@weather o:y@weather=22", "f:w o:w=aborted [tool_result_y]/22"),
        // Without names and ids, by order; of several groups the latest.
        ("f:a@weather f:b@time o:=1 o:=2", "f:a f:b o:a=1 o:b=2"),
        ("f:a@x u f:b@x o:@x=2 o:@x=1", "f:a o:a=1 u f:b o:b=2"),
    ] {
        let (items, tools) = parse_with_tools(items);
        assert_eq!(show(&normalise_with(items, &tools)), expected);
    }
}

/// Of two results that name the same tool, the second does not go to the call of another one.
#[test]
fn results_of_one_tool_do_not_go_to_another() {
    for (items, bound) in [
        ("f:@weather f:@time o:weather=22 o:weather=23", "22"),
        ("f:@time f:@weather o:weather=22 o:weather=23", "22"),
        ("f:@weather f:@time o:@weather=22 o:@weather=23", "22"),
        ("f:@weather f:@time o:time=14 o:time=15", "14"),
    ] {
        let (parsed, tools) = parse_with_tools(items);
        let shown = show(&normalise_with(parsed, &tools));
        let outputs: Vec<&str> = shown.split(' ').filter(|part| part.starts_with("o:")).collect();
        assert_eq!(outputs.len(), 2, "{items}: {shown}");
        for (output, expected) in [(bound, 1), ("aborted", 1)] {
            let count = outputs.iter().filter(|part| part.ends_with(&format!("={output}"))).count();
            assert_eq!(count, expected, "{items}: {shown}");
        }
    }
}

/// Calls without ids get made-up ones, so that only what is bound to what is compared.
#[test]
fn calls_without_ids_get_the_results_of_their_tools() {
    for items in [
        "f:@weather f:@time o:weather=22 o:time=14",
        "f:@weather f:@time o:time=14 o:weather=22",
        "f:@weather f:@time o:@time=14 o:@weather=22",
        "f:@weather f:@time o:other@time=14 o:another@weather=22",
        "f:@weather f:@time o:one=22 o:two=14",
        "f:@weather f:@time o:=22 o:=14",
    ] {
        let (parsed, tools) = parse_with_tools(items);
        let shown = show(&normalise_with(parsed, &tools));
        let parts: Vec<&str> = shown.split(' ').collect();
        let [first, second, one, two] = parts[..] else { panic!("{items}: {shown}") };
        assert_eq!(one, format!("o:{}=22", &first[2..]), "{items}");
        assert_eq!(two, format!("o:{}=14", &second[2..]), "{items}");
    }
}

/// The number of tries for a free id grows with the number of calls, and not with its square.
#[test]
fn ids_of_one_stem_are_made_unique_in_linear_time() {
    let ids = |count: usize| {
        let ids = (0..count).map(|number| format!("{}{number:05}", "x".repeat(59)));
        let mut made = Ids::default();
        let mut last = 0;
        for id in ids.clone().chain(ids) {
            let unique = unique_id(&id, &mut made);
            assert!(unique.chars().count() <= MAX_ID);
            last = made.numbers.values().copied().max().unwrap_or(0);
        }
        assert_eq!(made.used.len(), 2 * count);
        last
    };
    assert_eq!((ids(1000), ids(2000)), (1001, 2001));
}

#[test]
fn calls_and_outcomes_are_bound() {
    let cases = [
        ("nothing to bind", "hi there", "hi there"),
        ("one call", "f:1 o:1=a hi", "f:1 o:1=a hi"),
        ("a custom call's outcome is custom", "c:1 o:1=a", "c:1 oc:1=a"),
        ("outcomes in the order of their calls", "f:1 f:2 o:2=b o:1=a", "f:1 f:2 o:1=a o:2=b"),
        ("an outcome behind a message", "f:1 hi o:1=a", "f:1 o:1=a hi"),
        ("an outcome before its call", "o:1=a hi f:1", "hi f:1 o:1=a"),
        ("a call without an outcome", "f:1 hi", "f:1 o:1=aborted hi"),
        ("a last call without an outcome", "hi f:1 f:2 o:2=b", "hi f:1 f:2 o:1=aborted o:2=b"),
        ("an outcome without a call", "hi o:9=a", "hi [tool_result_9]/a"),
        ("an empty outcome without a call", "hi o:9=", "hi"),
        ("a second outcome", "f:1 o:1=a o:1=b", "f:1 o:1=a [tool_result_1]/b"),
        ("an outcome without an id", "f:1 f:2 o:=a o:=b", "f:1 f:2 o:1=a o:2=b"),
        ("an outcome without id or call", "o:=a", "[tool_result]/a"),
        ("an id in two turns", "f:1 o:1=a hi f:1 o:1=b", "f:1 o:1=a hi f:1_2 o:1_2=b"),
        ("an id twice in a turn", "f:1 f:1 o:1=a o:1=b", "f:1 f:1_2 o:1=a o:1_2=b"),
        (
            "a late outcome is for the latest turn",
            "f:1 hi f:1 o:1=b",
            "f:1 o:1=aborted hi f:1_2 o:1_2=b",
        ),
        (
            "a suffix that is taken",
            "f:1_2 f:1 f:1 o:1=a",
            "f:1_2 f:1 f:1_3 o:1_2=aborted o:1=a o:1_3=aborted",
        ),
        ("turns of calls", "f:1 o:1=a f:2 o:2=b", "f:1 o:1=a f:2 o:2=b"),
    ];
    for (name, given, expected) in cases {
        assert_eq!(show(&normalise(parse(given))), expected, "{name}");
    }
}

#[test]
fn missing_ids_are_made_up_alike_each_time() {
    let once = show(&normalise(parse("hi f: f: o:=a")));
    assert_eq!(once, show(&normalise(parse("hi f: f: o:=a"))));
    let ids: Vec<&str> = once.split(' ').filter_map(|item| item.strip_prefix("f:")).collect();
    assert_eq!(ids.len(), 2);
    for id in &ids {
        let digits = id.strip_prefix("call_").unwrap();
        assert!(digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{once}");
    }
    assert_ne!(ids[0], ids[1]);
    assert!(once.ends_with(&format!("o:{}=a o:{}=aborted", ids[0], ids[1])), "{once}");
}

#[test]
fn long_ids_are_digests_and_still_bound() {
    let long = "x".repeat(65);
    let got = show(&normalise(parse(&format!("f:{long} o:{long}=a"))));
    let id = got.split(' ').next().unwrap().strip_prefix("f:").unwrap();
    assert!(id.starts_with("call_") && id.len() == 63, "{id}");
    assert_eq!(got, format!("f:{id} o:{id}=a"));
    let fits = "ü".repeat(64);
    assert_eq!(
        show(&normalise(parse(&format!("f:{fits} o:{fits}=a")))),
        format!("f:{fits} o:{fits}=a")
    );
}

#[test]
fn pictures_of_an_outcome_without_a_call_are_kept() {
    let image =
        || Part::InputImage { image_url: Cow::Borrowed("https://a.example/"), detail: None };
    let outcome = Item::FunctionCallOutput {
        call_id: Cow::Borrowed("1"),
        output: Output::Parts(vec![image()]),
    };
    let label = Part::InputText { text: Cow::Borrowed("[tool result 1]") };
    let message = Item::Message { role: Role::User, phase: None, content: vec![label, image()] };
    assert_eq!(normalise(vec![outcome]), [message]);
}

fn history() -> impl Strategy<Value = Vec<Item<'static>>> {
    let long = "é".repeat(65);
    let ids = ["", "1", "2", "1_2", "1_3", "call_0", &long].map(str::to_owned).to_vec();
    let kinds = select(vec!["f:", "c:", "o:", "o:", "hi"]);
    let item =
        (kinds, select(ids), select(vec!["", "a", "b"])).prop_map(|(kind, id, text)| match kind {
            "hi" => kind.to_owned(),
            "o:" => format!("o:{id}={text}"),
            call => format!("{call}{id}"),
        });
    vec(item, 0..14).prop_map(|items| parse(&items.join(" ")))
}

proptest! {
    #[test]
    fn every_call_has_one_outcome_behind_it_and_doing_it_twice_changes_nothing(
        items in history(),
    ) {
        let calls = |items: &[Item<'_>]| {
            items.iter().filter(|item| matches!(
                item,
                Item::FunctionCall { .. } | Item::CustomToolCall { .. }
            )).count()
        };
        let before = calls(&items);
        let once = normalise(items);
        prop_assert_eq!(calls(&once), before, "no call is lost");
        let mut open = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for item in &once {
            let Some(id) = call_id(item) else { continue };
            prop_assert!((1..=64).contains(&id.chars().count()), "{}", id);
            if outcome_id(item).is_some() {
                prop_assert!(open.remove(id), "an outcome for {} without call", id);
            } else {
                prop_assert!(seen.insert(id.to_owned()), "{} twice", id);
                open.insert(id.to_owned());
            }
        }
        prop_assert!(open.is_empty(), "without outcome: {:?}", open);
        prop_assert_eq!(normalise(once.clone()), once);
    }
}
