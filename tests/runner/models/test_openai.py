"""What only OpenAI's Responses wire has: encrypted reasoning, refusals as parts, failures with status 200."""

from dataclasses import replace
from typing import Any

import pytest

from runner.models.base import Entry, ErrorKind, ModelError, Place, Reply, ToolResult
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import OPENAI, TOOLS
from tests.runner.models.fake_vendor import Answer, FakeVendor

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA+/=="}
UNKNOWN = {"type": "item_of_next_year", "id": "x_1", "payload": [None, {"é": 1}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "bash", "arguments": '{"command":"ls"}'}
GO = [Entry(user="go")]


def ask(vendor_server: FakeVendor, answer: Answer, history: list[Entry] | None = None, **more: Any) -> Reply:
    vendor_server.answer(answer)
    model = OPENAI.open(vendor_server.url, **more)
    return model.ask("sys", history or GO, TOOLS, max_tokens=4096, place=Place("r"))


def test_reasoning_and_unknown_items_go_back_as_they_came(vendor_server: FakeVendor) -> None:
    """Stateless: nothing is stored at the vendor, so everything has to be sent again."""
    first = ask(vendor_server, wire.sse(wire.responses([REASONING, UNKNOWN, CALL])))
    ask(
        vendor_server,
        OPENAI.says("ok"),
        [*GO, Entry(reply=first), Entry(results=(ToolResult(first.calls[0], "a.py"),))],
    )
    body = vendor_server.journal[1].body
    assert body["input"][1:4] == [REASONING, UNKNOWN, CALL]
    assert body["input"][4] == {"type": "function_call_output", "call_id": "c1", "output": "a.py"}
    assert (body["store"], body["include"], body["instructions"]) == (False, ["reasoning.encrypted_content"], "sys")


def test_the_cache_key_is_the_same_for_a_turn_and_differs_between_turns(vendor_server: FakeVendor) -> None:
    """So that the steps of a turn meet the same cache."""
    for history in (GO, [*GO, Entry(user="more")], [Entry(user="other task")]):
        ask(vendor_server, OPENAI.says("ok"), history)
    keys = [request.body["prompt_cache_key"] for request in vendor_server.journal]
    assert keys[0] != keys[2] and len(keys[0]) == 32


@pytest.mark.parametrize(
    ("model", "effort", "reasoning"),
    [("gpt-6-sol", "max", {"effort": "max"}), ("gpt-6-sol", None, None), ("gpt-4o", "high", None)],
)
def test_effort_goes_to_models_that_reason(
    vendor_server: FakeVendor, model: str, effort: str | None, reasoning: dict[str, str] | None
) -> None:
    """The others refuse the parameter."""
    vendor_server.answer(OPENAI.says("ok"))
    face = replace(OPENAI, model=f"openai/{model}")
    face.open(vendor_server.url, effort=effort).ask("s", GO, [], max_tokens=9, place=Place("r"))
    assert vendor_server.journal[0].body.get("reasoning") == reasoning


def test_a_model_that_does_not_know_the_effort_is_asked_with_less(vendor_server: FakeVendor) -> None:
    """First without `max`, then without any."""
    said = "Unsupported value: 'reasoning.effort' does not support 'max' with this model."
    refusal = wire.error(
        400, {"error": {"message": said, "type": "invalid_request_error", "code": "unsupported_value"}}
    )
    vendor_server.answer(refusal, refusal)
    assert ask(vendor_server, OPENAI.says("ok"), effort="max").text == "ok"
    efforts = [request.body.get("reasoning") for request in vendor_server.journal]
    assert efforts == [{"effort": "max"}, {"effort": "high"}, None]


def test_a_full_output_and_a_filter_are_told_apart(vendor_server: FakeVendor) -> None:
    """Both come as `incomplete`."""
    for reason, stop in (("max_output_tokens", "length"), ("content_filter", "refusal"), ("new", "other")):
        answer = wire.sse(wire.responses([REASONING], status="incomplete", incomplete_details={"reason": reason}))
        assert ask(vendor_server, answer).stop == stop


def test_a_refusal_part_is_a_refusal(vendor_server: FakeVendor) -> None:
    """Its text is what the model said."""
    message = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I will not"}]}
    reply = ask(vendor_server, wire.sse(wire.responses([message])))
    assert (reply.stop, reply.text) == ("refusal", "I will not")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("rate_limit_exceeded", "rate"), ("server_error", "server"), ("context_length_exceeded", "context")],
)
def test_a_failure_with_status_200_is_an_error(vendor_server: FakeVendor, code: str, kind: ErrorKind) -> None:
    """The SDK raises nothing: `response.failed`, and the `error` event."""
    failed = wire.sse(wire.responses([], status="failed", error={"code": code, "message": "no"}))
    event = wire.sse([{"type": "error", "code": code, "message": "no"}])
    for answer in (failed, event):
        with pytest.raises(ModelError) as caught:
            ask(vendor_server, answer)
        assert (caught.value.kind, caught.value.status) == (kind, 200)


def test_a_policy_that_stops_a_response_is_a_refusal(vendor_server: FakeVendor) -> None:
    """Next fallback, not a broken provider: as an event, and as HTTP 400."""
    failed = wire.sse(wire.responses([], status="failed", error={"code": "invalid_prompt", "message": "policy"}))
    refused = wire.error(400, {"error": {"code": "invalid_prompt", "message": "policy"}})
    assert [ask(vendor_server, answer).stop for answer in (failed, refused)] == ["refusal", "refusal"]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"code": "insufficient_quota", "type": "insufficient_quota", "message": "You exceeded"}, "quota"),
        (429, {"code": "rate_limit_exceeded", "type": "requests", "message": "Rate limit reached"}, "rate"),
        (400, {"code": "context_length_exceeded", "type": "invalid_request_error", "message": "x"}, "context"),
        (404, {"code": "model_not_found", "type": "invalid_request_error", "message": "x"}, "unknown_model"),
        (401, {"code": "invalid_api_key", "type": "invalid_request_error", "message": "x"}, "auth"),
    ],
)
def test_errors_are_told_apart_by_code(
    vendor_server: FakeVendor, status: int, error: dict[str, str], kind: ErrorKind
) -> None:
    """A used-up quota looks like a rate limit, and waiting for it is waiting for ever."""
    with pytest.raises(ModelError) as caught:
        ask(vendor_server, wire.error(status, {"error": error}))
    assert caught.value.kind == kind


def test_a_server_that_numbers_no_items_is_read_too(vendor_server: FakeVendor) -> None:
    """llama.cpp leaves out `output_index`, and some leave the closing output empty."""
    done = [{"type": "response.output_item.done", "item": item} for item in (REASONING, CALL)]
    end = {"type": "response.completed", "response": {"status": "completed", "output": [], "usage": None}}
    reply = ask(vendor_server, wire.sse([*done, end]))
    assert (reply.wire, reply.stop) == ([REASONING, CALL], "tools")
