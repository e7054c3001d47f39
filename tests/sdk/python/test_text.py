"""Text, whole and streamed, and the parameters that shape it."""

import json

import pytest
from conftest import MODEL, Scene
from openai import OpenAI

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhg"
    "GAWjR9awAAAABJRU5ErkJggg=="
)


def test_whole(client: OpenAI, scene: Scene) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=scene.user('text "Grüß Gott 👋"')
    )
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == MODEL
    (choice,) = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.content == "Grüß Gott 👋"
    assert choice.message.refusal is None
    assert choice.message.tool_calls is None
    usage = completion.usage
    assert usage and usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert scene.exchange()["outcome"] == "completed"


def test_streamed(client: OpenAI, scene: Scene) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=scene.user('text "one two three four"', "deltas 4"), stream=True
    )
    chunks = list(stream)
    assert {(chunk.id, chunk.created, chunk.model) for chunk in chunks} == {
        (chunks[0].id, chunks[0].created, MODEL)
    }
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    texts = [delta.content for delta in deltas if delta.content]
    assert "".join(texts) == "one two three four"
    assert len(texts) == 4, "deltas go out as they come"
    finish = [chunk.choices[0].finish_reason for chunk in chunks]
    assert finish[-1] == "stop" and not any(finish[:-1])


@pytest.mark.parametrize("directives", [("split 1",), ("split 7", "crlf"), ("keepalive", "unknown")])
def test_streamed_however_the_bytes_come(
    client: OpenAI, scene: Scene, directives: tuple[str, ...]
) -> None:
    messages = scene.user('text "zwölf Boxkämpfer 🥊"', *directives)
    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        assert stream.get_final_completion().choices[0].message.content == "zwölf Boxkämpfer 🥊"


def test_stream_helper(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('text "one two three"', "deltas 3")
    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert "".join(e.delta for e in events if e.type == "content.delta") == "one two three"
    assert [e.content for e in events if e.type == "content.done"] == ["one two three"]
    assert final.object == "chat.completion"
    assert final.choices[0].message.content == "one two three"
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is None


def test_stream_helper_with_usage(client: OpenAI, scene: Scene) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=scene.user(), stream_options={"include_usage": True}
    ) as stream:
        usage = stream.get_final_completion().usage
    assert usage and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0


def test_usage_is_the_last_chunk_if_asked_for(client: OpenAI, scene: Scene) -> None:
    *others, last = client.chat.completions.create(
        model=MODEL, messages=scene.user(), stream=True, stream_options={"include_usage": True}
    )
    assert last.choices == []
    assert last.usage and last.usage.completion_tokens_details and last.usage.prompt_tokens > 0
    assert last.usage.completion_tokens_details.reasoning_tokens is not None
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in others)


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}])
def test_no_usage_chunk_unless_asked_for(client: OpenAI, scene: Scene, options: dict) -> None:
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=scene.user(), stream=True, **options)
    )
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)


def test_cached_tokens_of_the_second_turn(client: OpenAI, scene: Scene) -> None:
    messages = scene.user(words="A long story. " * 50)
    first = client.chat.completions.create(model=MODEL, messages=messages)
    messages += [first.choices[0].message.to_dict(), {"role": "user", "content": "Go on."}]
    second = client.chat.completions.create(model=MODEL, messages=messages)
    assert second.usage and second.usage.prompt_tokens_details
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) > 100


def test_reasoning_content(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('reasoning "**Thinking**\\n\\nIt is easy."', 'text "42"')
    whole = client.chat.completions.create(model=MODEL, messages=messages)
    message = whole.choices[0].message
    assert message.content == "42"
    assert message.model_extra == {"reasoning_content": "**Thinking**\n\nIt is easy."}

    stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream]
    thoughts = [(delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas]
    assert "".join(thoughts) == "**Thinking**\n\nIt is easy."
    assert "".join(delta.content or "" for delta in deltas) == "42"


def test_reasoning_effort_reaches_the_backend(client: OpenAI, scene: Scene) -> None:
    client.chat.completions.create(model=MODEL, messages=scene.user(), reasoning_effort="high")
    assert scene.exchange()["request"]["reasoning"]["effort"] == "high"


def test_reasoning_effort_in_the_name_of_the_model(client: OpenAI, scene: Scene) -> None:
    name = f"openai/{MODEL}-low"
    completion = client.chat.completions.create(model=name, messages=scene.user())
    assert completion.model == name
    request = scene.exchange()["request"]
    assert (request["model"], request["reasoning"]["effort"]) == (MODEL, "low")


def test_stop(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 500", "pace 20", "no-reasoning")
    completion = client.chat.completions.create(
        model=MODEL, messages=messages, stop=["never", " word5"]
    )
    assert completion.choices[0].message.content == "word1 word2 word3 word4"
    assert completion.choices[0].finish_reason == "stop"
    scene.wait_for("cancelled")


def test_stop_streamed(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 500", "pace 20", "no-reasoning")
    with client.chat.completions.stream(model=MODEL, messages=messages, stop="d5") as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.message.content == "word1 word2 word3 word4 wor"
    assert choice.finish_reason == "stop"
    scene.wait_for("cancelled")


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_token_limit(client: OpenAI, scene: Scene, field: str) -> None:
    messages = scene.user("deltas 500", "pace 20", "no-reasoning")
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=messages, **{field: 5}
    )
    assert raw.headers["x-codex-proxy-emulated"] == field
    choice = raw.parse().choices[0]
    assert choice.finish_reason == "length"
    content = choice.message.content or ""
    assert content.startswith("word1 word") and len(content) < 20
    scene.wait_for("cancelled")


def test_token_limit_streamed(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 500", "pace 20", "no-reasoning")
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=messages, max_completion_tokens=5, stream=True
        )
    )
    assert chunks[-1].choices[0].finish_reason == "length"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.startswith("word1 word") and len(text) < 20
    scene.wait_for("cancelled")


def test_length_of_the_backend(client: OpenAI, scene: Scene) -> None:
    messages = scene.user("deltas 10", "length after=3")
    completion = client.chat.completions.create(model=MODEL, messages=messages)
    assert completion.choices[0].finish_reason == "length"
    assert completion.choices[0].message.content == "word1 word2 word3 "
    chunks = list(client.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"


def test_several_choices(client: OpenAI, scene: Scene) -> None:
    one = client.chat.completions.create(model=MODEL, messages=scene.user('text "A choice."'))
    two = client.chat.completions.create(model=MODEL, messages=scene.user('text "A choice."'), n=2)
    assert [choice.index for choice in two.choices] == [0, 1]
    assert [choice.message.content for choice in two.choices] == ["A choice."] * 2
    assert one.usage and two.usage
    assert two.usage.prompt_tokens == one.usage.prompt_tokens, "the prompt counts once"
    assert two.usage.completion_tokens == 2 * one.usage.completion_tokens
    assert len(scene.exchanges()) == 3


def test_several_choices_streamed(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('text "one two three"', "deltas 3", "pace 5")
    with client.chat.completions.stream(
        model=MODEL, messages=messages, n=2, stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    assert [choice.index for choice in final.choices] == [0, 1]
    assert [choice.message.content for choice in final.choices] == ["one two three"] * 2
    assert [choice.finish_reason for choice in final.choices] == ["stop"] * 2
    assert final.usage and final.usage.completion_tokens > 0
    assert len(scene.exchanges()) == 2


def test_image_input(client: OpenAI, scene: Scene) -> None:
    text = {"type": "text", "text": scene.prompt('text "A pixel."')}
    image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": [text, image]}]
    )
    assert completion.choices[0].message.content == "A pixel."
    parts = scene.exchange()["request"]["input"][0]["content"]
    assert parts[1] == {"type": "input_image", "image_url": PIXEL, "detail": "low"}


def test_file_input(client: OpenAI, scene: Scene) -> None:
    data = "data:application/pdf;base64,JVBERi0xLjQK"
    text = {"type": "text", "text": scene.prompt('text "A document."')}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": [text, file]}]
    )
    assert completion.choices[0].message.content == "A document."
    part = scene.exchange()["request"]["input"][0]["content"][1]
    assert part == {"type": "input_file", "filename": "a.pdf", "file_data": data}


def test_annotations_of_a_web_search(client: OpenAI, scene: Scene) -> None:
    messages = scene.user(words="Please search for it.")
    whole = client.chat.completions.create(model=MODEL, messages=messages, web_search_options={})
    message = whole.choices[0].message
    (annotation,) = message.annotations or []
    cited = annotation.url_citation
    assert cited.url == "https://example.com/simulated"
    assert (message.content or "")[cited.start_index : cited.end_index].endswith(f"({cited.url}))")
    assert scene.exchange()["request"]["tools"] == [{"type": "web_search"}]

    with client.chat.completions.stream(
        model=MODEL, messages=messages, web_search_options={}
    ) as stream:
        streamed = stream.get_final_completion().choices[0].message
    annotations = (streamed.model_extra or {}).get("annotations") or streamed.annotations
    assert json.loads(json.dumps(annotations, default=lambda a: a.to_dict())) == [
        annotation.to_dict()
    ]


def test_refusal(client: OpenAI, scene: Scene) -> None:
    messages = scene.user('refusal "I would rather not."')
    whole = client.chat.completions.create(model=MODEL, messages=messages).choices[0]
    assert whole.message.refusal == "I would rather not."
    assert whole.message.content is None
    assert whole.finish_reason == "stop"

    with client.chat.completions.stream(model=MODEL, messages=messages) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert streamed.message.refusal == "I would rather not."
    assert streamed.message.content is None
    assert streamed.finish_reason == "stop"


def test_fields_without_counterpart_are_named(client: OpenAI, scene: Scene) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=scene.user(),
        temperature=0,
        seed=7,
        user="someone",
        extra_body={"top_k": 3},
    )
    assert set(raw.headers["x-codex-proxy-dropped"].split(",")) == {
        "temperature",
        "seed",
        "user",
        "top_k",
    }
    assert not {"temperature", "seed", "user", "top_k"} & scene.exchange()["request"].keys()
