"""Token counts that do not overlap, from bodies as each vendor sends them."""

from typing import Any

import pytest

from runner.models.base import Entry, Place, Usage
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import ANTHROPIC, COMPATIBLE, FACES, GOOGLE, OPENAI, Face
from tests.runner.models.fake_vendor import Answer, FakeVendor

ANTHROPIC_COUNTS = {
    "input_tokens": 10,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 57,
    "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 7},
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 25},
    "service_tier": "standard",
}
OPENAI_COUNTS = {
    "input_tokens": 2400,
    "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 300},
    "output_tokens": 128,
    "output_tokens_details": {"reasoning_tokens": 100},
    "total_tokens": 2528,
}
GOOGLE_COUNTS = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 800,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 300,
    "totalTokenCount": 1320,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
}
CHAT_COUNTS = {
    "prompt_tokens": 500,
    "completion_tokens": 60,
    "total_tokens": 560,
    "prompt_tokens_details": {"cached_tokens": 384},
    "completion_tokens_details": {"reasoning_tokens": 50},
}


def usage(face: Face, vendor_server: FakeVendor, answer: Answer) -> Usage | None:
    vendor_server.answer(answer)
    reply = face.open(vendor_server.url).ask("s", [Entry(user="u")], [], max_tokens=9, place=Place("r"))
    return reply.usage


def test_anthropics_input_excludes_the_cache(vendor_server: FakeVendor) -> None:
    """Read as including it, a run looks up to 20 times cheaper than it is."""
    answer = wire.sse(wire.messages([{"type": "text", "text": "ok"}], usage=ANTHROPIC_COUNTS))
    assert usage(ANTHROPIC, vendor_server, answer) == Usage(10, 100, 50, 7, 40, 25)


def test_openais_input_includes_the_cache(vendor_server: FakeVendor) -> None:
    """Cached tokens billed twice is the commonest mistake of such tools."""
    answer = wire.sse(wire.responses([], usage=OPENAI_COUNTS))
    assert usage(OPENAI, vendor_server, answer) == Usage(100, 2000, 300, 0, 128, 100)


def test_googles_thoughts_stand_beside_the_output(vendor_server: FakeVendor) -> None:
    """Both are billed as output."""
    answer = wire.sse(wire.gemini([[{"text": "ok"}]], usage=GOOGLE_COUNTS))
    assert usage(GOOGLE, vendor_server, answer) == Usage(200, 800, 0, 0, 320, 300)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (CHAT_COUNTS, Usage(116, 384, 0, 0, 60, 50)),
        ({"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}, Usage(7, output=2)),
        # DeepSeek names cache hits in a way of its own.
        ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}, Usage(5, 4, output=2)),
        # xAI counts reasoning beside the completion; the total tells.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 65,
                "completion_tokens_details": {"reasoning_tokens": 50},
            },
            Usage(10, output=55, reasoning=50),
        ),
    ],
)
def test_chat_completions_counts_of_several_servers(
    vendor_server: FakeVendor, counts: dict[str, Any], expected: Usage
) -> None:
    """The counts of a stream arrive in a chunk of their own, after the finish reason."""
    assert usage(COMPATIBLE, vendor_server, wire.sse(wire.chat("ok", usage=counts))) == expected
    assert vendor_server.journal[0].body["stream_options"] == {"include_usage": True}


def test_a_server_that_counts_nothing_is_unknown_and_not_free(vendor_server: FakeVendor) -> None:
    """None, so that the budget books the whole reserve."""
    assert usage(COMPATIBLE, vendor_server, wire.sse(wire.chat("ok"))) is None


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.vendor)
def test_the_parts_add_up_to_the_vendors_total(face: Face, vendor_server: FakeVendor) -> None:
    """Nothing is counted twice and nothing is lost."""
    answers = {
        "anthropic": (wire.messages([{"type": "text", "text": "ok"}], usage=ANTHROPIC_COUNTS), 207),
        "openai": (wire.responses([], usage=OPENAI_COUNTS), 2528),
        "google": (wire.gemini([[{"text": "ok"}]], usage=GOOGLE_COUNTS), 1320),
        "openai-compatible": (wire.chat("ok", usage=CHAT_COUNTS), 560),
    }
    events, total = answers[face.vendor]
    found = usage(face, vendor_server, wire.sse(events))
    assert found is not None and found.total == total
