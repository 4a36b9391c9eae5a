"""Servers that speak Chat Completions more or less."""

from typing import Any

import pytest

from runner.models.base import Entry, ErrorKind, ModelError, Place, Reply, ToolResult
from runner.models.openai_compatible import merge
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import COMPATIBLE, TOOLS
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Json

GO = [Entry(user="go")]


def ask(vendor_server: FakeVendor, *answers: Answer, history: list[Entry] | None = None, **more: Any) -> Reply:
    vendor_server.answer(*answers)
    model = COMPATIBLE.open(vendor_server.url, **more)
    return model.ask("sys", history or GO, TOOLS, max_tokens=4096, place=Place("r"))


def deltas(*parts: Json, finish: str = "stop") -> Answer:
    chunks: list[Json | str] = [{"choices": [{"index": 0, "delta": part, "finish_reason": None}]} for part in parts]
    return wire.sse([*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, "[DONE]"])


def call(index: int | None, ident: str | None, name: str, args: str) -> Json:
    item: Json = {"function": {"name": name, "arguments": args}}
    return {**item, **({} if index is None else {"index": index}), **({} if ident is None else {"id": ident})}


@pytest.mark.parametrize(
    "calls",
    [
        [call(0, "a", "bash", '{"command"'), call(0, None, "", ': "ls"}'), call(1, "b", "bash", "{}")],
        [call(0, "a", "bash", '{"command"'), call(0, "a", "bash", ': "ls"}'), call(0, "b", "bash", "{}")],
        [call(None, "a", "bash", '{"command": "ls"}'), call(None, "b", "bash", "{}")],
        [call(0, "", "bash", '{"command": "ls"}'), call(1, "", "bash", "{}")],
        [call(0, "a", "bash", '{"command": "ls"}'), call(1, "a", "bash", "{}")],
    ],
    ids=["as specified", "name repeated, index 0 for all", "no index", "no id", "one id for all"],
)
def test_tool_calls_are_put_together_however_a_server_cuts_them(vendor_server: FakeVendor, calls: list[Json]) -> None:
    """Seen at servers in the wild; most also say `stop` beside calls."""
    reply = ask(vendor_server, deltas(*[{"role": "assistant", "tool_calls": [item]} for item in calls]))
    assert (reply.stop, [item.args for item in reply.calls]) == ("tools", [{"command": "ls"}, {}])
    assert [item.name for item in reply.calls] == ["bash", "bash"]
    assert len({item.id for item in reply.calls}) == 2 and all(item.id for item in reply.calls)
    assert [item["id"] for item in reply.wire["tool_calls"]] == [item.id for item in reply.calls]


def test_reasoning_and_unknown_keys_go_back_as_they_came(vendor_server: FakeVendor) -> None:
    """Some servers want their reasoning back in a tool loop, and call it what they like."""
    parts: list[Json] = [
        {"role": "assistant", "content": None, "reasoning_content": "let "},
        {"reasoning_content": "me", "reasoning_details": [{"index": 0, "type": "x", "data": "b3"}]},
        {"reasoning_details": [{"index": 0, "data": "Bh"}]},
        {"tool_calls": [call(0, "a", "bash", "{}")]},
    ]
    first = ask(vendor_server, deltas(*parts, finish="tool_calls"))
    assert (first.thinking, first.text) == ("let me", "")
    history = [*GO, Entry(reply=first), Entry(results=(ToolResult(first.calls[0], "x"),))]
    ask(vendor_server, COMPATIBLE.says("ok"), history=history)
    replayed = vendor_server.journal[1].body["messages"][2]
    assert replayed["reasoning_content"] == "let me"
    assert replayed["reasoning_details"] == [{"index": 0, "type": "x", "data": "b3Bh"}]
    assert vendor_server.journal[1].body["messages"][3] == {"role": "tool", "tool_call_id": "a", "content": "x"}


def test_a_server_that_does_not_stream_is_read_too(vendor_server: FakeVendor) -> None:
    """It answers `stream: true` with one JSON body."""
    message = {"role": "assistant", "content": "hello"}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    reply = ask(vendor_server, wire.whole(body))
    assert (reply.text, reply.usage and reply.usage.fresh) == ("hello", 3)


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("Unknown parameter: 'stream_options'", "stream_options"),
        ("reasoning_effort is not supported", "reasoning_effort"),
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens"),
        ("streaming is not supported: `stream`", "stream"),
    ],
)
def test_a_parameter_that_a_server_refuses_is_left_out(vendor_server: FakeVendor, said: str, gone: str) -> None:
    """Asked again at once, and from then on without; the output cap is still said."""
    body = {"choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}
    vendor_server.answer(wire.error(400, {"error": {"message": said}}), wire.whole(body), wire.whole(body))
    model = COMPATIBLE.open(vendor_server.url, effort="max")
    for _ in range(2):
        assert model.ask("sys", GO, TOOLS, max_tokens=4096, place=Place("r")).text == "ok"
    first, *others = [request.body for request in vendor_server.journal]
    assert gone in first and all(gone not in body for body in others)
    assert all(4096 in body.values() for body in others)


def test_adjacent_user_texts_are_one_message(vendor_server: FakeVendor) -> None:
    """Chat templates of local models insist on alternating roles."""
    ask(vendor_server, COMPATIBLE.says("ok"), history=[Entry(user="one"), Entry(user="two")])
    assert [message["role"] for message in vendor_server.journal[0].body["messages"]] == ["system", "user"]


def test_arguments_that_are_no_json_are_replayed_as_an_empty_object(vendor_server: FakeVendor) -> None:
    """Chat templates fail on them; the model reads what was wrong in the result."""
    first = ask(vendor_server, wire.sse(wire.chat("", Call("bash", "{half"))))
    history = [*GO, Entry(reply=first), Entry(results=(ToolResult(first.calls[0], "no JSON", is_error=True),))]
    ask(vendor_server, COMPATIBLE.says("ok"), history=history)
    assert vendor_server.journal[1].body["messages"][2]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert first.wire["tool_calls"][0]["function"]["arguments"] == "{half"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "busy", "code": 503}, "overload"),
        ({"message": "slow", "code": 429}, "rate"),
        ({"message": "oops"}, "server"),
        ({"message": "request (12031 tokens) exceeds the available context size (8192 tokens)"}, "context"),
        ("plain text", "server"),
    ],
)
def test_an_error_inside_a_good_answer_is_an_error(vendor_server: FakeVendor, error: Any, kind: ErrorKind) -> None:
    """Routers send them as a chunk, or as the whole body with status 200."""
    for answer in (wire.sse([wire.chat("hello")[0], {"error": error}]), wire.whole({"error": error})):
        with pytest.raises(ModelError) as caught:
            ask(vendor_server, answer)
        assert (caught.value.kind, caught.value.status) == (kind, 200)


def test_stop_reasons_are_mapped_to_the_closed_set(vendor_server: FakeVendor) -> None:
    """A filter is a refusal; an unknown word is `other`, and kept as detail."""
    stops = {"stop": "end", "length": "length", "content_filter": "refusal", "of_next_year": "other"}
    for finish, stop in stops.items():
        reply = ask(vendor_server, deltas({"content": "x"}, finish=finish))
        assert (reply.stop, reply.stop_detail) == (stop, finish)


def test_merging_never_loses_a_key_of_a_delta() -> None:
    """Texts grow, numbers and flags are replaced, null never takes anything away."""
    into: Json = {}
    for delta in ({"a": "x", "n": 1, "d": {"t": "p"}}, {"a": "y", "n": 2, "d": {"t": "q"}, "b": None}, {"a": None}):
        merge(into, delta)
    assert into == {"a": "xy", "n": 2, "d": {"t": "pq"}, "b": None}
