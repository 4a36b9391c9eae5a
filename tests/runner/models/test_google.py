"""What only Gemini's wire has: thought signatures on parts, calls without ids, refusals without a candidate."""

from dataclasses import replace
from typing import Any

import pytest

from runner.models.base import Entry, ErrorKind, ModelError, Place, Reply, Stop, ToolResult
from runner.models.google import address
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import GOOGLE, TOOLS
from tests.runner.models.fake_vendor import Answer, FakeVendor

SIGNED = {"functionCall": {"name": "bash", "args": {"command": "ls"}}, "thoughtSignature": "c2ln+/8="}
SECOND = {"functionCall": {"name": "bash", "args": {"command": "pwd"}}}
UNKNOWN = {"partOfNextYear": {"deep": [1, "é"]}}
GO = [Entry(user="go")]


def ask(vendor_server: FakeVendor, answer: Answer, history: list[Entry] | None = None, **more: Any) -> Reply:
    vendor_server.answer(answer)
    model = GOOGLE.open(vendor_server.url, **more)
    return model.ask("sys", history or GO, TOOLS, max_tokens=4096, place=Place("r"))


def test_signatures_and_unknown_parts_go_back_as_they_came(vendor_server: FakeVendor) -> None:
    """The SDK re-encodes the first and drops the second; Gemini 3 refuses a call without its signature."""
    chunks = [[{"text": "think", "thought": True}], [{"text": "I "}], [{"text": "look"}], [UNKNOWN], [SIGNED, SECOND]]
    first = ask(vendor_server, wire.sse(wire.gemini(chunks)))
    assert (first.text, first.thinking, first.stop) == ("I look", "think", "tools")
    results = tuple(ToolResult(call, call.args["command"]) for call in first.calls if call.args)
    ask(vendor_server, GOOGLE.says("ok"), [*GO, Entry(reply=first), Entry(results=results)])
    _, replayed, answer = vendor_server.journal[1].body["contents"]
    assert replayed["parts"] == [{"text": "think", "thought": True}, {"text": "I look"}, UNKNOWN, SIGNED, SECOND]
    assert answer["parts"] == [
        {"functionResponse": {"name": "bash", "response": {"output": "ls"}}},
        {"functionResponse": {"name": "bash", "response": {"output": "pwd"}}},
    ]


def test_calls_without_an_id_get_one_that_is_unique_in_the_turn(vendor_server: FakeVendor) -> None:
    """The transcript tells calls apart by id."""
    first = ask(vendor_server, wire.sse(wire.gemini([[SIGNED, SECOND]])))
    history = [*GO, Entry(reply=first), Entry(results=tuple(ToolResult(call, "") for call in first.calls))]
    second = ask(vendor_server, wire.sse(wire.gemini([[SIGNED, SECOND]])), history)
    assert len({call.id for call in (*first.calls, *second.calls)}) == 4


def test_an_id_that_was_given_is_sent_back(vendor_server: FakeVendor) -> None:
    """And one that relay made up is not."""
    call = {"functionCall": {"name": "bash", "args": {}, "id": "g1"}}
    first = ask(vendor_server, wire.sse(wire.gemini([[call]])))
    ask(vendor_server, GOOGLE.says("ok"), [*GO, Entry(reply=first), Entry(results=(ToolResult(first.calls[0], "x"),))])
    assert vendor_server.journal[1].body["contents"][2]["parts"][0]["functionResponse"]["id"] == "g1"


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("STOP", "end"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("MALFORMED_FUNCTION_CALL", "bad_call"),
        ("UNEXPECTED_TOOL_CALL", "bad_call"),
        ("CONTINUATION", "truncated"),
        ("OF_NEXT_YEAR", "other"),
    ],
)
def test_finish_reasons_are_mapped_to_the_closed_set(vendor_server: FakeVendor, reason: str, stop: Stop) -> None:
    """An unknown one makes the SDK warn; here it is `other`. A continuation is not followed: it would be billed."""
    reply = ask(vendor_server, wire.sse(wire.gemini([[{"text": "x"}]], reason)))
    assert (reply.stop, reply.stop_detail, len(vendor_server.journal)) == (stop, reason, 1)


def test_a_blocked_prompt_is_a_refusal(vendor_server: FakeVendor) -> None:
    """It has no candidate at all."""
    counts = {"promptTokenCount": 5, "totalTokenCount": 5}
    reply = ask(vendor_server, wire.sse([{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": counts}]))
    assert (reply.stop, reply.stop_detail, reply.calls) == ("refusal", "SAFETY", ())


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-3.5-flash", "max", {"thinkingLevel": "HIGH"}),
        ("gemini-3.5-flash", None, None),
        ("gemini-2.5-pro", "low", {"thinkingBudget": 2048}),
        ("gemini-2.0-flash", "high", None),
    ],
)
def test_effort_is_said_as_the_model_knows_it(
    vendor_server: FakeVendor, model: str, effort: str | None, thinking: dict[str, Any] | None
) -> None:
    """Levels since Gemini 3, budgets before, nothing for models that do not think."""
    vendor_server.answer(GOOGLE.says("ok"))
    face = replace(GOOGLE, model=f"google/{model}")
    face.open(vendor_server.url, effort=effort).ask("s", GO, [], max_tokens=9, place=Place("r"))
    assert vendor_server.journal[0].body["generationConfig"].get("thinkingConfig") == thinking


def test_a_model_that_refuses_to_think_is_asked_without(vendor_server: FakeVendor) -> None:
    """Its error names the parameter."""
    body = {
        "error": {
            "code": 400,
            "message": "Thinking level is not supported for this model.",
            "status": "INVALID_ARGUMENT",
        }
    }
    vendor_server.answer(wire.error(400, body))
    assert ask(vendor_server, GOOGLE.says("ok"), effort="high").text == "ok"


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (None, ("https://generativelanguage.googleapis.com", "v1beta")),
        ("http://h:1/gemini/", ("http://h:1/gemini", "v1beta")),
        ("http://h:1/v1", ("http://h:1", "v1")),
        ("http://h:1/x/v1alpha/", ("http://h:1/x", "v1alpha")),
    ],
)
def test_the_api_version_is_v1beta_unless_the_address_ends_with_one(
    base: str | None, expected: tuple[str, str]
) -> None:
    """Foreign servers know `v1beta` only, the SDK's own default is `v1`."""
    assert address(base) == expected


def _google_error(status: int, word: str, message: str, *details: dict[str, Any]) -> Answer:
    return wire.error(status, {"error": {"code": status, "status": word, "message": message, "details": list(details)}})


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}


@pytest.mark.parametrize(
    ("answer", "kind", "wait"),
    [
        (_google_error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), "auth", None),
        (_google_error(400, "INVALID_ARGUMENT", "bad", {"reason": "API_KEY_INVALID"}), "auth", None),
        (_google_error(429, "RESOURCE_EXHAUSTED", "quota", RETRY_INFO), "rate", 17.5),
        (
            _google_error(429, "RESOURCE_EXHAUSTED", "q", {"violations": [{"quotaId": "RequestsPerDayPerProject"}]}),
            "quota",
            None,
        ),
        (_google_error(404, "NOT_FOUND", "models/x is not found for API version v1beta"), "unknown_model", None),
        (_google_error(503, "UNAVAILABLE", "The model is overloaded."), "overload", None),
        (_google_error(500, "INTERNAL", "oops"), "server", None),
        (
            _google_error(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            "context",
            None,
        ),
    ],
)
def test_errors_are_told_apart_by_status_details_and_words(
    vendor_server: FakeVendor, answer: Answer, kind: ErrorKind, wait: float | None
) -> None:
    """Google says a wrong key with 400, and how long to wait in the body."""
    with pytest.raises(ModelError) as caught:
        ask(vendor_server, answer)
    assert (caught.value.kind, caught.value.retry_after) == (kind, wait)
