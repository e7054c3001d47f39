//! Reading an answer as it comes, whole or streamed, without believing anything.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::mark::shortened;

/// What has arrived of an answer.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// By their indexes.
    pub(crate) choices: BTreeMap<u64, Choice>,
    /// The error object that came in place of an answer, or of its rest.
    pub(crate) error: Option<Value>,
    /// Whether it came to an end: for a stream, whether `[DONE]` was the last word.
    pub(crate) is_over: bool,
    /// What of the stream is no whole event yet.
    pub(crate) rest: Vec<u8>,
}

/// One choice.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    /// By their indexes.
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) finish: Option<String>,
}

/// One tool call.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Arrived {
    /// An answer in one piece.
    pub(crate) fn whole(status: u16, body: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(body)
            .map_err(|error| format!("{error} in the body {}", shortened(body)))?;
        let mut arrived = Self { is_over: true, ..Self::default() };
        if status != 200 {
            let error = value.get("error").ok_or("an error without an error object")?;
            arrived.error = Some(error.clone());
            return Ok(arrived);
        }
        for part in value["choices"].as_array().ok_or("no choices")? {
            arrived.take(part, "message")?;
        }
        Ok(arrived)
    }

    /// The next bytes of a stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        while let Some(at) = self.rest.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = self.rest.drain(..at + 2).collect();
            let event = String::from_utf8(event).map_err(|error| error.to_string())?;
            self.event(event.trim_end_matches('\n'))?;
        }
        Ok(())
    }

    /// Whether a stream has ended within an event.
    pub(crate) fn is_torn(&self) -> bool {
        !self.rest.is_empty()
    }

    fn event(&mut self, event: &str) -> Result<(), String> {
        if event.starts_with(':') {
            return Ok(());
        }
        let data = event.strip_prefix("data: ").ok_or_else(|| format!("no event: {event}"))?;
        if self.is_over {
            return Err(format!("something after the end: {}", shortened(data)));
        }
        if data == "[DONE]" {
            self.is_over = true;
            return Ok(());
        }
        if self.error.is_some() {
            return Err(format!("something after the error: {}", shortened(data)));
        }
        let value: Value = serde_json::from_str(data)
            .map_err(|error| format!("{error} in the chunk {}", shortened(data)))?;
        if let Some(error) = value.get("error") {
            self.error = Some(error.clone());
            return Ok(());
        }
        for part in value["choices"].as_array().ok_or("a chunk without choices")? {
            self.take(part, "delta")?;
        }
        Ok(())
    }

    /// Takes a part of a choice, which stands in the member `name`.
    fn take(&mut self, part: &Value, name: &str) -> Result<(), String> {
        let index = part["index"].as_u64().ok_or("a choice without index")?;
        let choice = self.choices.entry(index).or_default();
        if choice.finish.is_some() {
            return Err(format!("something after the end of choice {index}: {part}"));
        }
        let content = &part[name];
        choice.text.push_str(content["content"].as_str().unwrap_or_default());
        for (place, piece) in content["tool_calls"].as_array().into_iter().flatten().enumerate() {
            // Only pieces of calls carry an index.
            let call = piece["index"].as_u64().unwrap_or(place as u64);
            let call = choice.calls.entry(call).or_default();
            call.id.push_str(piece["id"].as_str().unwrap_or_default());
            let function = &piece["function"];
            call.name.push_str(function["name"].as_str().unwrap_or_default());
            call.arguments.push_str(function["arguments"].as_str().unwrap_or_default());
        }
        choice.finish = part["finish_reason"].as_str().map(str::to_owned);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &str) -> Result<Arrived, String> {
        let mut arrived = Arrived::default();
        // Byte by byte: where reads end means nothing.
        stream.as_bytes().iter().try_for_each(|byte| arrived.push(&[*byte]))?;
        Ok(arrived)
    }

    const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"wö\"},\
        \"finish_reason\":null}]}\n\n";
    const END: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const ERROR: &str = "data: {\"error\":{\"message\":\"m\"}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    #[test]
    fn streams_are_put_together() {
        let arrived = read(&[": hi\n\n", TEXT, TEXT, END, DONE].concat()).unwrap();
        let finish = Some("stop".to_owned());
        let choice = Choice { text: "wöwö".to_owned(), finish, ..Choice::default() };
        assert_eq!(arrived.choices[&0], choice);
        assert!(arrived.is_over && arrived.error.is_none() && !arrived.is_torn());
        let arrived = read(&[TEXT, ERROR].concat()).unwrap();
        assert!(!arrived.is_over && arrived.error.is_some());
        assert!(read(&TEXT[..30]).unwrap().is_torn());
    }

    #[test]
    fn what_comes_out_of_order_is_refused() {
        for stream in [
            &[END, TEXT][..],
            &[DONE, TEXT],
            &[DONE, DONE],
            &[ERROR, TEXT],
            &["data: {\"choices\":\n\n"],
            &["event: x\n\n"],
        ] {
            assert!(read(&stream.concat()).is_err(), "{stream:?}");
        }
        assert!(Arrived::whole(500, "{}").is_err());
        assert!(Arrived::whole(200, "{\"choices\":[{}]}").is_err());
        assert!(Arrived::whole(200, "<html>").is_err());
    }
}
