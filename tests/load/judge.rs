//! Whether an answer is what it has to be: complete and the client's own, or an explicit error
//! that there is a reason for. Nothing else.

use crate::answer::{Arrived, Choice};
use crate::ledger::Attempt;
use crate::mark::{Turn, marks, shortened};

/// How an answer turned out that is as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Complete,
    /// The error's name.
    Error(String),
}

/// Judges an answer that came to its end, in `turn`, to a request for so many `choices`.
pub(crate) fn judge(
    arrived: &Arrived,
    turn: Turn,
    choices: u64,
    attempts: &[Attempt],
) -> Result<Verdict, String> {
    let is_over = arrived.is_over && !arrived.is_torn();
    if !is_over {
        return Err(format!("SILENT END of {}: it ended without [DONE]", turn.asked()));
    }
    if let Some(error) = &arrived.error {
        own_so_far(arrived, turn, attempts)?;
        let message = error["message"].as_str().unwrap_or_default();
        let kind = error["type"].as_str().unwrap_or_default();
        if message.is_empty() || kind.is_empty() {
            return Err(format!("an error that says nothing: {error}"));
        }
        let code = error["code"].as_str().unwrap_or(kind);
        if !is_explained(code, choices, attempts) {
            let fates: Vec<_> = attempts.iter().map(|attempt| attempt.fate).collect();
            return Err(format!("an error for no reason, after {fates:?}: {error}"));
        }
        return Ok(Verdict::Error(code.to_owned()));
    }
    let indexes: Vec<u64> = arrived.choices.keys().copied().collect();
    if indexes != (0..choices).collect::<Vec<_>>() {
        return Err(format!("SILENT END of {}: the choices are {indexes:?}", turn.asked()));
    }
    let mut used = Vec::new();
    for choice in arrived.choices.values() {
        let number = source(choice, turn)?;
        if used.contains(&number) {
            return Err(format!("MIXED: call {number} of {} answers two choices", turn.asked()));
        }
        used.push(number);
        let said = attempts.get(number).ok_or_else(|| format!("call {number} never came"))?;
        is_all_of(choice, said)?;
    }
    Ok(Verdict::Complete)
}

/// Checks what had arrived before the client left, or before an error.
pub(crate) fn own_so_far(
    arrived: &Arrived,
    turn: Turn,
    attempts: &[Attempt],
) -> Result<(), String> {
    for choice in arrived.choices.values() {
        if choice.text.is_empty() && choice.calls.is_empty() {
            continue;
        }
        let number = source(choice, turn)?;
        let said = attempts.get(number).ok_or_else(|| format!("call {number} never came"))?;
        if !said.text.starts_with(&choice.text) {
            return Err(format!(
                "WRONG TEXT: {} is no beginning of {}",
                shortened(&choice.text),
                shortened(&said.text)
            ));
        }
        for (index, call) in &choice.calls {
            let index = usize::try_from(*index).unwrap();
            let known = said.calls.get(index).is_some_and(|(name, arguments)| {
                *name == call.name && arguments.starts_with(&call.arguments)
            });
            if !known {
                return Err(format!("WRONG CALL: {call:?} is no beginning of one of {said:?}"));
            }
        }
    }
    Ok(())
}

/// Which call to the backend a choice comes from. All that is in it has to be of that one.
fn source(choice: &Choice, turn: Turn) -> Result<usize, String> {
    let mut found = marks(&choice.text)?;
    for call in choice.calls.values() {
        found.extend(marks(&call.id)?);
        // The last piece may be missing so far, but no piece is torn.
        found.extend(marks(&call.arguments)?);
    }
    let first = found.first().ok_or_else(|| format!("a choice without a mark: {choice:?}"))?;
    match found.iter().find(|mark| mark.turn != turn || mark.attempt != first.attempt) {
        Some(strange) => Err(format!("MIXED: {strange} in the answer to {}", turn.asked())),
        None => first.attempt.ok_or_else(|| format!("the prompt {first} came back")),
    }
}

fn is_all_of(choice: &Choice, said: &Attempt) -> Result<(), String> {
    let Some(finish) = said.finish else {
        return Err(format!(
            "SILENT END: an answer that was {:?} ends as {:?}: {}",
            said.fate,
            choice.finish,
            shortened(&choice.text)
        ));
    };
    if choice.finish.as_deref() != Some(finish) {
        return Err(format!("{:?} in place of the finish reason {finish}", choice.finish));
    }
    if choice.text != said.text {
        return Err(format!(
            "WRONG TEXT: {} in place of {}",
            shortened(&choice.text),
            shortened(&said.text)
        ));
    }
    let calls = choice.calls.values().map(|call| (&call.name, &call.arguments));
    if !calls.eq(said.calls.iter().map(|(name, arguments)| (name, arguments))) {
        return Err(format!("WRONG CALLS: {:?} in place of {:?}", choice.calls, said.calls));
    }
    Ok(())
}

/// Whether the backend has given a reason for an error, or the sign-in service has.
fn is_explained(code: &str, choices: u64, attempts: &[Attempt]) -> bool {
    let failed = |attempt: &Attempt| attempt.finish.is_none();
    match choices {
        _ if code == "login_not_renewed" => true,
        1 => attempts.last().is_some_and(failed),
        _ => attempts.iter().any(failed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::answer::Call;
    use crate::mark::Talk;

    const TURN: Turn = Turn { talk: Talk { client: 1, number: 2 }, turn: 0 };

    fn said(number: usize) -> Attempt {
        let mark = TURN.answered(number);
        Attempt {
            fate: "proper",
            text: format!("{mark} a {mark} b"),
            calls: vec![("note".to_owned(), format!("{{\"of\":\"{mark}\"}}"))],
            finish: Some("stop"),
        }
    }

    fn choice(number: usize) -> Choice {
        let Attempt { text, calls, finish, .. } = said(number);
        let id = format!("call_{}", TURN.answered(number));
        let call = Call { id, name: calls[0].0.clone(), arguments: calls[0].1.clone() };
        Choice { text, calls: [(0, call)].into(), finish: finish.map(str::to_owned) }
    }

    fn arrived(choices: impl IntoIterator<Item = Choice>) -> Arrived {
        let choices = (0..).zip(choices).collect();
        Arrived { choices, is_over: true, ..Arrived::default() }
    }

    fn verdict(arrived: &Arrived, choices: u64, attempts: &[Attempt]) -> String {
        match judge(arrived, TURN, choices, attempts) {
            Ok(verdict) => format!("{verdict:?}"),
            Err(wrong) => wrong,
        }
    }

    #[test]
    fn complete_answers_are_complete() {
        assert_eq!(verdict(&arrived([choice(0)]), 1, &[said(0)]), "Complete");
        let failed = Attempt { finish: None, ..said(0) };
        assert_eq!(verdict(&arrived([choice(1)]), 1, &[failed, said(1)]), "Complete");
        assert_eq!(verdict(&arrived([choice(1), choice(0)]), 2, &[said(0), said(1)]), "Complete");
    }

    #[test]
    fn whatever_is_wrong_with_an_answer_is_noticed() {
        type Change<'a> = &'a dyn Fn(&mut Choice);
        let of_others = Turn { turn: 1, ..TURN }.answered(0).to_string();
        let cases: [(Change<'_>, &str); 9] = [
            (&|choice| choice.text.push_str(&of_others), "MIXED"),
            (&|choice| choice.text = choice.text.replace("/0", "/1"), "MIXED"),
            (&|choice| choice.text.truncate(10), "WRONG TEXT"),
            (&|choice| choice.text = choice.text.replace(" a", " c"), "WRONG TEXT"),
            (&|choice| choice.finish = None, "finish reason"),
            (&|choice| choice.finish = Some("length".to_owned()), "finish reason"),
            (&|choice| choice.calls.clear(), "WRONG CALLS"),
            (&|choice| choice.calls.get_mut(&0).unwrap().arguments += " ", "WRONG CALLS"),
            (&|choice| choice.calls.get_mut(&0).unwrap().id.clone_from(&of_others), "MIXED"),
        ];
        for (change, expected) in cases {
            let mut changed = choice(0);
            change(&mut changed);
            let verdict = verdict(&arrived([changed]), 1, &[said(0)]);
            assert!(verdict.contains(expected), "{verdict} in place of {expected}");
        }
        let cut = Attempt { finish: None, ..said(0) };
        assert!(verdict(&arrived([choice(0)]), 1, &[cut]).contains("SILENT END"));
        assert!(verdict(&arrived([]), 1, &[said(0)]).contains("SILENT END"));
        assert!(verdict(&arrived([choice(0), choice(0)]), 2, &[said(0)]).contains("MIXED"));
        let unended = Arrived { is_over: false, ..arrived([choice(0)]) };
        assert!(verdict(&unended, 1, &[said(0)]).contains("SILENT END"));
    }

    #[test]
    fn errors_need_a_reason() {
        use std::slice::from_ref;

        let failed = Attempt { finish: None, ..said(0) };
        let error = json!({"message": "m", "type": "t", "code": "c"});
        let in_place = Arrived { error: Some(error), ..arrived([]) };
        assert_eq!(verdict(&in_place, 1, from_ref(&failed)), "Error(\"c\")");
        assert_eq!(verdict(&in_place, 2, &[failed.clone(), said(1)]), "Error(\"c\")");
        assert!(verdict(&in_place, 1, &[failed.clone(), said(1)]).contains("no reason"));
        assert!(verdict(&in_place, 1, &[]).contains("no reason"));
        let silent = Arrived { error: Some(json!({"message": ""})), ..arrived([]) };
        assert!(verdict(&silent, 1, from_ref(&failed)).contains("says nothing"));
        let mut part = choice(0);
        part.text = part.text.replace(" a", " c");
        let error = in_place.error;
        assert!(verdict(&Arrived { error, ..arrived([part]) }, 1, &[failed]).contains("WRONG"));
    }
}
