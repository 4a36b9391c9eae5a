"""What only Anthropic's wire has: thinking with signatures, cache marks, efforts, its words for stops and errors."""

from typing import Any

import pytest

from runner.models.anthropic import thinking_of
from runner.models.base import Entry, ErrorKind, ModelError, Place, Reply, Stop, ToolResult
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import ANTHROPIC, TOOLS
from tests.runner.models.fake_vendor import Answer, FakeVendor

THINKING = {"type": "thinking", "thinking": "let me see", "signature": "c2ln+/=="}
REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}
UNKNOWN = {"type": "block_of_next_year", "payload": {"deep": [1, None, "é"]}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}


def ask(vendor_server: FakeVendor, answer: Answer, history: list[Entry] | None = None, **more: Any) -> Reply:
    vendor_server.answer(answer)
    model = ANTHROPIC.open(vendor_server.url, **more)
    return model.ask("sys", history or [Entry(user="go")], TOOLS, max_tokens=4096, place=Place("r"))


def test_thinking_signatures_and_unknown_blocks_go_back_as_they_came(vendor_server: FakeVendor) -> None:
    """A tool loop whose thinking block is missing or changed is refused by the vendor."""
    blocks = [THINKING, REDACTED, UNKNOWN, {"type": "text", "text": "I look"}, USE]
    first = ask(vendor_server, wire.sse(wire.messages(blocks, "tool_use")))
    assert (first.wire, first.text, first.thinking, first.stop) == (blocks, "I look", "let me see", "tools")
    results = Entry(results=(ToolResult(first.calls[0], "a.py", is_error=True),))
    ask(vendor_server, ANTHROPIC.says("ok"), [Entry(user="go"), Entry(reply=first), results, Entry(user="hurry")])
    _, replayed, answer = vendor_server.journal[1].body["messages"]
    assert replayed == {"role": "assistant", "content": blocks}
    assert [block["type"] for block in answer["content"]] == ["tool_result", "text"]
    assert answer["content"][0]["is_error"] is True


def test_the_cache_is_marked_at_the_system_prompt_and_at_the_newest_user_block(vendor_server: FakeVendor) -> None:
    """Each step then reads what the step before wrote."""
    ask(vendor_server, ANTHROPIC.says("ok"))
    body = vendor_server.journal[0].body
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert body["thinking"] == {"type": "adaptive"} and "output_config" not in body


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-opus-5-5", "max", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ("claude-sonnet-4-6", None, {"thinking": {"type": "adaptive"}}),
        ("claude-sonnet-4-5", None, {}),
        ("claude-sonnet-4-5-20250929", "high", {"thinking": {"type": "enabled", "budget_tokens": 16384}}),
        ("claude-opus-4-20250514", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-3-5-haiku-latest", "high", {}),
    ],
)
def test_effort_is_said_as_the_model_knows_it(model: str, effort: str | None, expected: dict[str, Any]) -> None:
    """Adaptive thinking for new models, a budget of tokens for older ones, nothing for those that cannot think."""
    assert thinking_of(model, effort, 64_000) == expected


def test_a_model_that_refuses_to_think_is_asked_without(vendor_server: FakeVendor) -> None:
    """A server behind `base-url` may be older than its model's name."""
    refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": "thinking: unexpected field"}}
    vendor_server.answer(wire.error(400, refusal))
    assert ask(vendor_server, ANTHROPIC.says("ok")).text == "ok"
    assert ["thinking" in request.body for request in vendor_server.journal] == [True, False]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "end"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "context"),
        ("refusal", "refusal"),
        ("pause_turn", "other"),
        ("of_next_year", "other"),
    ],
)
def test_stop_reasons_are_mapped_to_the_closed_set(vendor_server: FakeVendor, reason: str, stop: Stop) -> None:
    """An unknown one is `other`, with the vendor's word as detail."""
    reply = ask(vendor_server, wire.sse(wire.messages([{"type": "text", "text": "x"}], reason)))
    assert (reply.stop, reply.stop_detail) == (stop, reason)


def test_a_call_that_the_output_cap_cut_has_no_arguments(vendor_server: FakeVendor) -> None:
    """The SDK would make it a call with `{}`."""
    half = {**USE, "input": '{"command": "rm -r'}
    reply = ask(vendor_server, wire.sse(wire.messages([half], "max_tokens")))
    assert (reply.stop, reply.calls[0].args, reply.wire[0]["input"]) == ("length", None, {})


@pytest.mark.parametrize(
    ("kind_said", "message", "status", "kind"),
    [
        ("invalid_request_error", "prompt is too long: 200001 tokens > 200000 maximum", 400, "context"),
        ("invalid_request_error", "Your credit balance is too low to access the Anthropic API.", 400, "quota"),
        ("billing_error", "pay", 402, "quota"),
        ("not_found_error", "model: claude-x", 404, "unknown_model"),
        ("request_too_large", "too big", 413, "context"),
        ("rate_limit_error", "slow", 429, "rate"),
        ("overloaded_error", "Overloaded", 529, "overload"),
        ("api_error", "oops", 500, "server"),
    ],
)
def test_errors_are_told_apart_by_type_and_words(
    vendor_server: FakeVendor, kind_said: str, message: str, status: int, kind: ErrorKind
) -> None:
    """Recorded bodies."""
    body = {"type": "error", "error": {"type": kind_said, "message": message}, "request_id": "req_1"}
    with pytest.raises(ModelError) as caught:
        ask(vendor_server, wire.error(status, body, request_id="req_1"))
    assert (caught.value.kind, caught.value.request_id) == (kind, "req_1")


def test_an_error_event_inside_a_stream_is_mapped_by_its_type(vendor_server: FakeVendor) -> None:
    """The SDK raises it with status 200, and what came before it may be billed."""
    events = wire.messages([{"type": "text", "text": "x"}])[:4]
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ModelError) as caught:
        ask(vendor_server, wire.sse([*events, event]))
    assert (caught.value.kind, caught.value.status, caught.value.reached) == ("overload", 200, True)


def test_a_server_that_does_not_stream_is_read_too(vendor_server: FakeVendor) -> None:
    """One JSON message instead of events."""
    counts = {"input_tokens": 1, "output_tokens": 2}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [USE], "stop_reason": "tool_use"}
    reply = ask(vendor_server, wire.whole({**message, "usage": counts}))
    assert (reply.stop, reply.calls[0].args) == ("tools", {"command": "ls"})
