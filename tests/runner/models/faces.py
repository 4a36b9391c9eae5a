"""The four faces of the models room, so that one test can ask the same of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.models import open_model
from runner.models.base import Model, ModelSpec, Tool
from tests.runner.models import fake_vendor as wire
from tests.runner.models.fake_vendor import Answer, Call, Json

KEY = "key-of-the-test"
BASH = Tool("bash", "Runs a command.", {"type": "object", "properties": {"command": {"type": "string"}}})
TOOLS = [BASH]


@dataclass(frozen=True)
class Face:
    """A vendor as a test sees it: how it is opened, and how its server says text and calls."""

    vendor: str
    model: str
    base: str
    text: Callable[[str], list[Json | str]]
    calls: Callable[..., list[Json | str]]
    llmock: str

    def open(self, url: str, **more: Any) -> Model:
        return open_model(ModelSpec(self.model, key=KEY, base_url=url + self.base, **more))

    def says(self, text: str) -> Answer:
        return wire.sse(self.text(text))


def _uses(*calls: Call) -> list[Json]:
    return [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.args} for call in calls]


def _function_calls(*calls: Call) -> list[Json]:
    return [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.name,
            "arguments": wire.arguments_of(call),
            "status": "completed",
        }
        for call in calls
    ]


def _message(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


ANTHROPIC = Face(
    "anthropic",
    "anthropic/claude-opus-5-5",
    "",
    lambda text: wire.messages([{"type": "text", "text": text}]),
    lambda *calls: wire.messages(_uses(*calls), "tool_use"),
    "anthropic",
)
GOOGLE = Face(
    "google",
    "google/gemini-3.5-flash",
    "",
    lambda text: wire.gemini([[{"text": text[:2]}], [{"text": text[2:]}]]),
    lambda *calls: wire.gemini([[{"functionCall": {"name": c.name, "args": c.args, "id": c.id}} for c in calls]]),
    "gemini",
)
OPENAI = Face(
    "openai",
    "openai/gpt-6-sol",
    "/v1",
    lambda text: wire.responses([_message(text)]),
    lambda *calls: wire.responses(_function_calls(*calls)),
    "openai",
)
COMPATIBLE = Face(
    "openai-compatible", "openai-compatible/qwen3", "/v1", wire.chat, lambda *c: wire.chat("", *c), "openai"
)
FACES = (ANTHROPIC, GOOGLE, OPENAI, COMPATIBLE)
