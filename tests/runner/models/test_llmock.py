"""All faces against `llmock`, a server that nobody here wrote: it breaks on demand and judges the client."""

from collections.abc import Callable
from typing import Any

import pytest
from llmock.scenarios import Fail, Match, Reply, StreamFault, ToolCall, ToolFault

from runner.models.base import Entry, Model, ModelError, Place, ToolResult
from runner.models.base import Reply as ModelReply
from runner.models.retry import Policy, ask_with_retry
from tests.runner.models.faces import FACES, KEY, TOOLS, Face

every_face = pytest.mark.parametrize("face", FACES, ids=lambda face: face.vendor)
POLICY = Policy(base=0.1, ceiling=0.4)
LONG = "a text of a good many words so that there is something to be cut in the middle of it"


def opened(face: Face, llmock: Any, **more: Any) -> Model:
    return face.open(llmock.base_url(face.llmock).removesuffix(face.base), **more)


def ask(model: Model, history: list[Entry], on_wait: Callable[[float, str], None] | None = None) -> ModelReply:
    return ask_with_retry(
        model, "sys", history, TOOLS, max_tokens=1000, place=Place("r"), policy=POLICY, on_wait=on_wait,
        random=lambda: 0.5,  # else one wait in a hundred is so near the one before that the referee sees no growth
    )  # fmt: skip


@every_face
def test_a_scripted_tool_loop_runs(face: Face, llmock: Any) -> None:
    """Call, result, text: the vendors' formats as somebody else reads them."""
    llmock.call_tool("bash", {"command": "make test"}).reply("it works")
    model, history = opened(face, llmock), [Entry(user="implement add")]
    first = ask(model, history)
    assert (first.stop, first.calls[0].args) == ("tools", {"command": "make test"})
    second = ask(model, [*history, Entry(reply=first), Entry(results=(ToolResult(first.calls[0], "1 passed"),))])
    assert (second.text, second.stop) == ("it works", "end")
    assert second.usage is not None and second.usage.output > 0
    llmock.assert_resilient(strict=True)


FAULTS: dict[str, list[Any]] = {
    "rate limit": [Fail(429, retry_after=0.3, times=2)],
    "overloaded": [Fail(529, retry_after=0.1)],
    "outage": [Fail(503, times=3, retry_after=0.05)],
    "server error": [Fail(500)],
    "truncated": [StreamFault("truncate", after_chunks=1)],
    "disconnected": [StreamFault("disconnect", after_chunks=1)],
    "stalled": [StreamFault("stall", after_chunks=1, stall_seconds=5)],
    "half a chunk": [StreamFault("malformed", after_chunks=1)],
    "one after another": [Fail(529, retry_after=0.1), StreamFault("truncate", after_chunks=1, times=2)],
}


@every_face
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_waited_out_and_the_verdict_is_clean(face: Face, llmock: Any, faults: list[Any]) -> None:
    """No half answer accepted, Retry-After kept, backoff that grows, a read timeout."""
    llmock.pace(20)
    llmock.add(*faults, Reply(text=LONG, times=None))
    waits: list[str] = []
    reply = ask(opened(face, llmock, read_timeout=0.5), [Entry(user="say it")], lambda _, why: waits.append(why))
    assert (reply.text, reply.stop) == (LONG, "end")
    assert waits and KEY not in "".join(waits)
    llmock.assert_resilient(strict=True)


@every_face
def test_what_no_retry_can_mend_is_asked_once(face: Face, llmock: Any) -> None:
    """A wrong key and a full window: the referee counts a second request as a fault of the client."""
    for fail in (Fail(401), Fail(400, message="bad"), Fail(404)):
        llmock.add(fail)
        with pytest.raises(ModelError) as caught:
            ask(opened(face, llmock), [Entry(user=f"status {fail.status}")])
        assert not caught.value.retryable
    llmock.limits(context_window=50)
    with pytest.raises(ModelError) as caught:
        ask(opened(face, llmock), [Entry(user="word " * 500)])
    assert caught.value.kind == "context"
    assert len(llmock.requests) == 4
    llmock.assert_resilient(strict=True)


@every_face
def test_a_broken_tool_call_reaches_the_loop_as_one(face: Face, llmock: Any) -> None:
    """Gemini sends arguments decoded, so they cannot be broken there."""
    call = Reply(tool_calls=(ToolCall("bash", {"command": "ls"}),), match=Match(tools=True))
    llmock.add(call, ToolFault("malformed_arguments"))
    reply = ask(opened(face, llmock), [Entry(user="go")])
    assert reply.stop == "tools"
    assert reply.calls[0].args is None or face.vendor == "google"
