"""Failures: the SDK's exceptions, their fields, and who tries again."""

import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from conftest import MODEL, Scene
from openai import OpenAI

STREAMING = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def ask(client: OpenAI, scene: Scene, *directives: str, stream: bool, **more: Any) -> str:
    """The text of an answer."""
    messages = scene.user(*directives)
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, stream=stream, **more
    )
    if not stream:
        return answer.choices[0].message.content or ""
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer)


@pytest.mark.parametrize(
    ("request_of", "param", "code"),
    [
        (lambda messages: {"temperature": 3, "messages": messages}, "temperature", "decimal_above_max_value"),
        (lambda messages: {"n": 99, "messages": messages}, "n", "integer_above_max_value"),
        (
            lambda messages: {"messages": [*messages, {"role": "narrator", "content": "x"}]},
            "messages[1].role",
            "invalid_value",
        ),
        (lambda _: {"messages": []}, "messages", "empty_array"),
        (lambda messages: {"messages": messages, "logprobs": True}, "logprobs", "unsupported_parameter"),
    ],
    ids=["temperature", "n", "role", "no messages", "logprobs"],
)
def test_a_wrong_request_stays_here(
    client: OpenAI, scene: Scene, request_of: Callable[..., dict], param: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, **request_of(scene.user()))
    error = caught.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", param, code)
    assert error.request_id and error.request_id.startswith("req_")
    assert scene.exchanges() == []


def test_a_schema_that_the_backend_refuses(client: OpenAI, scene: Scene) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=MODEL,
            messages=scene.user(),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": schema, "strict": True},
            },
        )
    assert caught.value.param == "response_format.json_schema.schema"
    assert "'required' is required" in caught.value.message


@STREAMING
def test_an_unknown_model(client: OpenAI, scene: Scene, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-0", messages=scene.user(), stream=stream)
    error = caught.value
    assert (error.type, error.param, error.code) == (
        "invalid_request_error",
        "model",
        "model_not_found",
    )
    assert MODEL in error.message, "the models there are"
    assert scene.exchanges() == []


@STREAMING
def test_a_used_up_plan_is_not_tried_again(client: OpenAI, scene: Scene, stream: bool) -> None:
    patient = client.with_options(max_retries=2)
    begun = time.monotonic()
    with pytest.raises(openai.RateLimitError) as caught:
        ask(patient, scene, "error 429 usage_limit_reached", stream=stream)
    assert time.monotonic() - begun < 5, "nobody slept"
    error = caught.value
    assert (error.type, error.code) == ("insufficient_quota", "usage_limit_reached")
    assert "resets at" in error.message
    assert int(error.response.headers["retry-after"]) > 60
    assert error.response.headers["x-should-retry"] == "false"
    assert len(scene.exchanges()) == 1


@STREAMING
def test_a_rate_limit_is_tried_again_when_it_says(
    client: OpenAI, scene: Scene, stream: bool
) -> None:
    patient = client.with_options(max_retries=1)
    begun = time.monotonic()
    limited = "fail rate_limit_exceeded first times=1"
    assert ask(patient, scene, 'text "Now."', limited, stream=stream) == "Now."
    assert 0.5 <= time.monotonic() - begun < 5
    assert len(scene.exchanges()) == 2


def test_a_rate_limit(client: OpenAI, scene: Scene) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, scene, "error 429 rate_limit_exceeded", stream=False)
    error = caught.value
    assert (error.type, error.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert error.response.headers["retry-after"] == "1"
    assert error.response.headers["retry-after-ms"] == "500"
    assert len(scene.exchanges()) == 5, "as often as the settings allow"


@pytest.mark.parametrize("code", ["token_expired", "token_invalidated", "unauthorized"])
def test_a_refused_login_names_the_remedy(client: OpenAI, scene: Scene, code: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(client, scene, f"error 401 {code}", stream=False)
    assert (caught.value.type, caught.value.code) == ("authentication_error", "upstream_auth")
    assert "codex-proxy login" in caught.value.message


@STREAMING
def test_a_missing_login_names_the_remedy(
    signed_out_url: str, scene: Scene, stream: bool
) -> None:
    with OpenAI(base_url=signed_out_url, api_key="any", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            ask(client, scene, stream=stream)
        assert caught.value.code == "upstream_auth"
        assert "codex-proxy login" in caught.value.message
        assert client.models.list().data, "the models are known all the same"
    assert scene.exchanges() == []


@STREAMING
def test_an_overload_is_tried_again_by_the_daemon(
    client: OpenAI, scene: Scene, stream: bool
) -> None:
    assert ask(client, scene, 'text "Now."', "error 503 times=1", stream=stream) == "Now."
    assert [exchange["status"] for exchange in scene.exchanges()] == [503, 200]


@STREAMING
def test_a_lasting_overload(client: OpenAI, scene: Scene, stream: bool) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, scene, "error 503", stream=stream)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (
        503,
        "server_error",
        "server_is_overloaded",
    )
    assert error.response.headers["retry-after"] == "5"
    assert len(scene.exchanges()) == 5


@STREAMING
def test_an_overload_at_the_start_of_a_stream_is_tried_again(
    client: OpenAI, scene: Scene, stream: bool
) -> None:
    overload = "fail server_is_overloaded times=1"
    assert ask(client, scene, 'text "Now."', overload, stream=stream) == "Now."
    assert len(scene.exchanges()) == 2


@STREAMING
@pytest.mark.parametrize(
    ("directive", "error", "status", "code"),
    [
        ("fail context_length_exceeded", openai.BadRequestError, 400, "context_length_exceeded"),
        ("fail usage_limit_reached", openai.RateLimitError, 429, "usage_limit_reached"),
        ("fail cyber_policy first", openai.BadRequestError, 400, "cyber_policy"),
        ("fail server_error flat", openai.InternalServerError, 502, "server_error"),
        ("cut after=0", openai.InternalServerError, 502, "upstream_disconnected"),
        ("end after=0", openai.InternalServerError, 502, "upstream_disconnected"),
        ("error 403", openai.InternalServerError, 502, "upstream_blocked"),
        ("html", openai.InternalServerError, 502, "upstream_blocked"),
        ("error 402", openai.PermissionDeniedError, 403, "deactivated_workspace"),
    ],
)
def test_a_failure_before_the_first_byte_has_its_status(
    client: OpenAI,
    scene: Scene,
    directive: str,
    error: type[openai.APIStatusError],
    status: int,
    code: str,
    stream: bool,
) -> None:
    with pytest.raises(error) as caught:
        ask(client, scene, directive, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.request_id
    assert "<html" not in str(caught.value.body)


@pytest.mark.parametrize("shape", ["pair", "failed", "flat", "nested"])
def test_a_failure_after_the_first_byte(client: OpenAI, scene: Scene, shape: str) -> None:
    said = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(
            model=MODEL,
            messages=scene.user("deltas 9", f"fail server_error {shape} after=3"),
            stream=True,
        ):
            assert chunk.choices[0].finish_reason is None
            said += chunk.choices[0].delta.content or ""
    assert said == "word1 word2 word3"
    assert not isinstance(caught.value, openai.APIStatusError)
    assert (caught.value.type, caught.value.code) == ("server_error", "server_error")
    assert "An error occurred" in caught.value.message
    assert len(scene.exchanges()) == 1, "what was said is not taken back"


@pytest.mark.parametrize("fault", ["cut after=3", "end after=3"])
def test_a_cut_stream(client: OpenAI, scene: Scene, fault: str) -> None:
    said = ""
    with pytest.raises(openai.APIError) as caught:
        with client.chat.completions.stream(
            model=MODEL, messages=scene.user("deltas 9", fault)
        ) as stream:
            for event in stream:
                if event.type == "content.delta":
                    said += event.delta
    assert said == "word1 word2 word3"
    assert caught.value.code == "upstream_disconnected"


@pytest.mark.parametrize("fault", ["fail server_error after=3", "cut after=3"])
def test_a_whole_answer_is_tried_again_from_its_start(
    client: OpenAI, scene: Scene, fault: str
) -> None:
    text = ask(client, scene, "deltas 4", f"{fault} times=1", stream=False)
    assert text == "word1 word2 word3 word4"
    assert len(scene.exchanges()) == 2
