"""OpenAI's Responses API, through its SDK, stateless: nothing is stored there, reasoning comes back encrypted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.models.base import Entry, ModelError, ModelSpec, Place, Reply, Stop, Tool, ToolCall, Usage
from runner.models.faults import lost, refused, unreadable
from runner.models.history import arguments, seen_by
from runner.models.openai_compatible import open_client, sdk_errors
from runner.models.sizes import output_cap, window
from runner.models.wire import events, shaped, translated

# Models that reason; the others refuse to be asked for an effort or for encrypted reasoning.
_REASONS = re.compile(r"o\d|gpt-([5-9]|\d\d)|codex")
# Refusals of a policy, which are an answer and not a mistake in the request.
_POLICIES = ("invalid_prompt", "content_filter", "content_policy_violation", "bio_policy", "cyber_policy")

_INCOMPLETE: dict[str, Stop] = {"max_output_tokens": "length", "content_filter": "refusal"}


class OpenAI:
    """A model of OpenAI."""

    def __init__(self, spec: ModelSpec) -> None:
        self.name, self.context_window, self.max_output = spec.model, window(spec), output_cap(spec)
        self._spec = spec
        self._reasons = bool(_REASONS.match(spec.model.partition("/")[2]))
        self._client = open_client(spec)

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One request; a second one only where the first was refused for asking this model to reason."""
        body: dict[str, Any] = {
            "model": self.name.partition("/")[2],
            "instructions": system,
            "input": items(self.name, history),
            "max_output_tokens": max_tokens,
            "store": False,
            "prompt_cache_key": cache_key(self.name, system, history),
        }
        if tools:
            body["tools"] = [_tool(tool) for tool in tools]
        if not self._reasons:
            return self._send(body)
        reasoning: dict[str, Any] = {"include": ["reasoning.encrypted_content"]}
        if self._spec.effort:
            reasoning["reasoning"] = {"effort": self._spec.effort}
        try:
            return self._send({**body, **reasoning})
        except ModelError as error:
            refused_for_it = re.search(r"reasoning|effort|encrypted", str(error), re.I)
            if not (error.kind == "request" and error.status == 400 and refused_for_it):
                raise
            if self._spec.effort == "max":  # only the newest know `max`
                try:
                    return self._send({**body, **reasoning, "reasoning": {"effort": "high"}})
                except ModelError as again:
                    if again.kind != "request":
                        raise
            self._reasons = False
            return self._send(body)

    def _send(self, body: dict[str, Any]) -> Reply:
        try:
            return self._read(body)
        except ModelError as error:
            code = getattr(error.__cause__, "code", None)
            if code not in _POLICIES:
                raise
            return Reply(str(error), (), "refusal", str(code), Usage(), None, self.name, error.request_id)

    def _read(self, body: dict[str, Any]) -> Reply:
        raw = self._client.responses.with_streaming_response
        with (
            translated(self._spec),
            sdk_errors(self._spec),
            raw.create(**body, stream=True) as answer,
            shaped(self._spec),
        ):
            return assemble(events(answer, self._spec), self._spec, answer.headers)


def open_model(spec: ModelSpec) -> OpenAI:
    """The model at OpenAI, or at a server that speaks Responses at `spec.base_url` (with `/v1`)."""
    return OpenAI(spec)


def cache_key(name: str, system: str, history: Sequence[Entry]) -> str:
    """The same for all steps of a turn, so that they meet the same cache."""
    first = next((entry.user for entry in history if entry.user), "")
    return hashlib.sha256(f"{name}\0{system}\0{first}".encode()).hexdigest()[:32]


def items(name: str, history: Sequence[Entry]) -> list[dict[str, Any]]:
    """The history as input items: own output as it came, one `function_call_output` for each result."""
    out: list[dict[str, Any]] = []
    for entry in seen_by(name, history):
        if entry.reply is not None:
            said = entry.reply.wire
            out += said if said is not None else [{"role": "assistant", "content": entry.reply.text}]
        elif entry.results:
            out += [
                {"type": "function_call_output", "call_id": result.call.id, "output": result.text}
                for result in entry.results
            ]
        else:
            out.append({"role": "user", "content": entry.user})
    return out


def assemble(stream: Iterable[dict[str, Any]], spec: ModelSpec, headers: Mapping[str, str]) -> Reply:
    """One reply of the events of a stream, or of the one response of a server that does not stream."""
    done: dict[int, dict[str, Any]] = {}
    response: dict[str, Any] | None = None
    for event in stream:
        kind = str(event.get("type") or "")
        if kind == "error" or (not kind and event.get("error") and event.get("object") != "response"):
            return _failed(event.get("error") or event, spec, headers)
        if event.get("object") == "response":
            response = event
        elif kind == "response.output_item.done":
            done[event.get("output_index", len(done))] = event["item"]
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            response = event["response"]
        elif not kind:
            raise unreadable(spec, json.dumps(event))
    if response is None or response.get("status") in (None, "in_progress", "queued"):
        raise lost(spec, "The stream ended before the response was complete")
    if response["status"] in ("failed", "cancelled"):
        return _failed(response.get("error") or {}, spec, headers, usage_of(response.get("usage")))
    output = response.get("output") or [done[index] for index in sorted(done)]
    return _reply(output, response, spec, headers)


def _reply(
    output: list[dict[str, Any]], response: dict[str, Any], spec: ModelSpec, headers: Mapping[str, str]
) -> Reply:
    calls = tuple(
        ToolCall(item["call_id"], item["name"], arguments(item.get("arguments") or ""), item.get("arguments") or "")
        for item in output
        if item.get("type") == "function_call"
    )
    parts = [part for item in output if item.get("type") == "message" for part in item.get("content") or ()]
    refusal = _joined(parts, "refusal", "refusal")
    reason = (response.get("incomplete_details") or {}).get("reason")
    stop: Stop = "tools" if calls else "end"
    if response["status"] == "incomplete":
        stop = _INCOMPLETE.get(str(reason), "other")
    elif refusal:
        stop = "refusal"
    summaries = [part for item in output if item.get("type") == "reasoning" for part in item.get("summary") or ()]
    return Reply(
        _joined(parts, "output_text", "text") or refusal,
        calls,
        stop,
        reason or response["status"],
        usage_of(response.get("usage")),
        output,
        spec.model,
        headers.get("x-request-id") or response.get("id"),
        "\n".join(str(part.get("text") or "") for part in summaries),
    )


def usage_of(counts: Any) -> Usage | None:
    """`input_tokens` includes what was read from and written to the cache; `output_tokens` includes reasoning."""
    if not isinstance(counts, dict) or counts.get("input_tokens") is None:
        return None
    details = counts.get("input_tokens_details") or {}
    read, written = int(details.get("cached_tokens") or 0), int(details.get("cache_write_tokens") or 0)
    reasoned = (counts.get("output_tokens_details") or {}).get("reasoning_tokens") or 0
    fresh = int(counts["input_tokens"]) - read - written
    return Usage(max(0, fresh), read, written, 0, int(counts.get("output_tokens") or 0), int(reasoned))


def _failed(error: dict[str, Any], spec: ModelSpec, headers: Mapping[str, str], usage: Usage | None = None) -> Reply:
    """A response that failed with status 200: a refusal by policy is a reply, the rest is an error."""
    code = str(error.get("code") or error.get("type") or "")
    if code in _POLICIES:
        return Reply(str(error.get("message") or ""), (), "refusal", code, usage, None, spec.model)
    raise refused(spec, 200, error, headers, streamed=True)


def _joined(parts: Sequence[dict[str, Any]], kind: str, key: str) -> str:
    return "".join(str(part.get(key) or "") for part in parts if part.get("type") == kind)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.schema),
        "strict": False,
    }
