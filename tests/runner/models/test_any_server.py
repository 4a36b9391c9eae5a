"""Whatever a server sends, the loop gets a reply that can be kept and sent back, or a ModelError."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runner.codec import decode, encode
from runner.models import anthropic, google, openai, openai_compatible
from runner.models.base import Entry, ModelError, ModelSpec, Place, Reply, Tool, ToolResult
from runner.models.clean import Clean
from runner.models.wire import shaped
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import FACES, Face
from tests.runner.models.fake_vendor import Call

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "id", "text", "x"]), inner),
    max_leaves=4,
)
ASSEMBLE: dict[str, Callable[..., Reply]] = {
    "anthropic": anthropic.assemble,
    "google": google.assemble,
    "openai": openai.assemble,
    "openai-compatible": openai_compatible.assemble,
}
REPLAY: dict[str, Callable[[str, Sequence[Entry]], Any]] = {
    "anthropic": anthropic.messages,
    "google": google.contents,
    "openai": openai.items,
    "openai-compatible": openai_compatible.messages,
}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))][bool(not path) :]


class Assembled:
    """A model that answers with one stream of events."""

    context_window, max_output = 1_000, 100

    def __init__(self, face: Face, events: list[Any]) -> None:
        self.name, self.face, self.events = face.model, face, events

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        spec = ModelSpec(self.name)
        with shaped(spec):
            return ASSEMBLE[self.face.vendor](iter(self.events), spec, {})


@given(st.sampled_from(FACES), st.data())
def test_a_reply_can_be_kept_and_sent_back_whatever_was_in_it(face: Face, data: st.DataObject) -> None:
    """A good stream in which up to three places hold something else."""
    calls = (Call("bash", {"command": "ls"}, "a1"), Call("read", {"path": "x"}, "a2"))
    good = [face.calls(*calls), face.text("hello"), wire.chat("hi", *calls, usage=USAGE)]
    stream = data.draw(st.sampled_from(good[: 3 if face.vendor == "openai-compatible" else 2]))
    events: list[Any] = copy.deepcopy([event for event in stream if isinstance(event, dict)])
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([path for path in places(events) if len(path) > 1]))
        holder: Any = events
        for key in path:
            holder = holder[key]
        holder[last] = data.draw(JSON)
    try:
        reply = Clean(Assembled(face, events)).ask("", [], [], max_tokens=1, place=Place("r"))
    except ModelError:
        return
    assert decode(encode(reply), Reply) == reply
    assert reply.usage is None or min(vars(reply.usage).values()) >= 0
    results = tuple(ToolResult(call, "out") for call in reply.calls)
    history = [Entry(user="go"), Entry(reply=reply), Entry(results=results) if results else Entry(user="on")]
    encode(REPLAY[face.vendor](face.model, history))
