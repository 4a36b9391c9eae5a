"""Anthropic's Messages API, through its SDK. The stream is read raw, so that a reply is replayed as it came."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anthropic

from runner.models.base import Entry, ModelError, ModelSpec, Place, Reply, Stop, Tool, ToolCall, Usage
from runner.models.faults import lost, refused, unreadable
from runner.models.history import arguments, seen_by
from runner.models.sizes import output_cap, window
from runner.models.wire import cause, events, http_client, shaped, timeout, translated

_STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tools",
    "max_tokens": "length",
    "model_context_window_exceeded": "context",
    "refusal": "refusal",
}
_CACHED = {"type": "ephemeral"}
# Models from before adaptive thinking: they get a budget of tokens, and only when an effort is asked for.
_OLDER = re.compile(r"claude-(v?[12]|instant|3|(opus|sonnet|haiku)-4-([0-5]|20\d{6})\b|(opus|sonnet|haiku)-4$)")
_NEVER = re.compile(r"claude-(v?[12]|instant|3-(5|opus|haiku|sonnet))")
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 16_384, "max": 24_576}


class Anthropic:
    """A Claude model."""

    def __init__(self, spec: ModelSpec) -> None:
        self.name, self.context_window, self.max_output = spec.model, window(spec), output_cap(spec)
        self._spec = spec
        self._thinks = True
        self._client = anthropic.Anthropic(
            api_key=spec.key,
            base_url=address(spec.base_url),
            # A foreign server may know the older header only.
            default_headers={"x-api-key": spec.key or ""} if spec.base_url else None,
            max_retries=0,
            timeout=timeout(spec),
            http_client=http_client(spec),
        )

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One request; a second one only where the first was refused for asking this model to think."""
        model = self.name.partition("/")[2]
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": max_tokens,
            "system": [{"type": "text", "text": system, "cache_control": _CACHED}],
            "messages": messages(self.name, history),
        }
        if tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema)}
                for tool in tools
            ]
        thinking = thinking_of(model, self._spec.effort, max_tokens) if self._thinks else {}
        try:
            return self._send({**body, **thinking})
        except ModelError as error:
            refused_for_it = re.search(r"thinking|effort|output_config|adaptive", str(error))
            if not (thinking and error.kind == "request" and error.status == 400 and refused_for_it):
                raise
            self._thinks = False
            return self._send(body)

    def _send(self, body: dict[str, Any]) -> Reply:
        with translated(self._spec):
            try:
                raw = self._client.messages.with_streaming_response
                with raw.create(**body, stream=True) as answer, shaped(self._spec):
                    return assemble(events(answer, self._spec), self._spec, answer.headers)
            except anthropic.APIStatusError as error:
                said = error.body if error.body else error.response.text
                raise refused(self._spec, error.status_code, said, error.response.headers) from error
            except anthropic.APIConnectionError as error:
                raise cause(error) from None
            except anthropic.AnthropicError as error:
                raise unreadable(self._spec, str(error)) from error


def open_model(spec: ModelSpec) -> Anthropic:
    """The model at Anthropic, or at a server that speaks its format at `spec.base_url`, with or without `/v1`."""
    return Anthropic(spec)


def address(base_url: str | None) -> str:
    """The address without the version, which the SDK adds itself."""
    return (base_url or "https://api.anthropic.com").rstrip("/").removesuffix("/v1")


def thinking_of(model: str, effort: str | None, max_tokens: int) -> dict[str, Any]:
    """The parameters that make `model` think: adaptive for those that know it, else a budget where one is asked for."""
    if not _OLDER.match(model):
        return {"thinking": {"type": "adaptive"}, **({"output_config": {"effort": effort}} if effort else {})}
    budget = min(_BUDGETS.get(effort or "", 0), max_tokens // 2)
    if _NEVER.match(model) or budget < 1_024:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def messages(name: str, history: Sequence[Entry]) -> list[dict[str, Any]]:
    """The history as messages: all results of a step in one, the cache marked up to the newest user block."""
    out: list[dict[str, Any]] = []
    for entry in seen_by(name, history):
        if entry.reply is not None:
            said = entry.reply.wire if entry.reply.wire is not None else _text(entry.reply.text)
            role, content = "assistant", list(said)
        elif entry.results:
            role, content = "user", [_result(result.call.id, result.text, result.is_error) for result in entry.results]
        else:
            role, content = "user", _text(entry.user or "")
        if out and out[-1]["role"] == role:
            out[-1]["content"] += content
        elif content:
            out.append({"role": role, "content": content})
    for message in reversed(out):
        if message["role"] == "user" and message["content"]:
            message["content"][-1] = {**message["content"][-1], "cache_control": _CACHED}
            break
    return out


def assemble(stream: Iterable[dict[str, Any]], spec: ModelSpec, headers: Mapping[str, str]) -> Reply:
    """One reply of the events of a stream, or of the one message of a server that does not stream."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    whole = False
    for event in stream:
        kind = event.get("type")
        if kind == "error":
            raise refused(spec, 200, event, headers, streamed=True)
        if kind == "message":
            message, whole = event, True
        elif kind == "message_start":
            message = event["message"]
        elif kind == "message_stop":
            whole = True
        elif kind and message:
            _take(kind, event, message, inputs)
        elif kind != "ping":
            raise unreadable(spec, json.dumps(event))
    if not whole or not message.get("stop_reason"):
        raise lost(spec, "The stream ended without a stop reason")
    return _reply(message, inputs, spec, headers)


def _take(kind: str, event: dict[str, Any], message: dict[str, Any], inputs: dict[int, str]) -> None:
    blocks = message["content"]
    if kind == "content_block_start":
        blocks.append(event["content_block"])
    elif kind == "content_block_delta":
        delta = event["delta"]
        if delta.get("type") == "input_json_delta":
            inputs[event["index"]] = inputs.get(event["index"], "") + delta.get("partial_json", "")
        elif event["index"] < len(blocks):
            _grow(blocks[event["index"]], delta)
    elif kind == "message_delta":
        message.update(event.get("delta") or {})
        counts = event.get("usage") or {}
        message["usage"] = {**(message.get("usage") or {}), **{k: v for k, v in counts.items() if v is not None}}


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Adds a delta of any kind to its block: text grows, a citation is listed, the rest is set."""
    for key, value in delta.items():
        if key == "type":
            continue
        if key == "citation":
            block["citations"] = [*(block.get("citations") or []), value]
        elif isinstance(value, str) and isinstance(block.get(key), str):
            block[key] += value
        else:
            block[key] = value


def _reply(message: dict[str, Any], inputs: dict[int, str], spec: ModelSpec, headers: Mapping[str, str]) -> Reply:
    calls = []
    for index, block in enumerate(message["content"]):
        raw = inputs.get(index)
        if raw is not None and block.get("type") != "tool_use":
            block["input"] = arguments(raw) or {}
        elif block.get("type") == "tool_use":
            args = block.get("input") if raw is None else arguments(raw)
            args = args if isinstance(args, dict) else None
            block["input"] = args or {}
            calls.append(ToolCall(block["id"], block["name"], args, raw or ""))
    reason = message["stop_reason"]
    detail = (message.get("stop_details") or {}).get("category")
    return Reply(
        _joined(message["content"], "text"),
        tuple(calls),
        "tools" if calls and reason == "end_turn" else _STOPS.get(reason, "other"),
        f"{reason}: {detail}" if detail else reason,
        usage_of(message.get("usage")),
        message["content"],
        spec.model,
        headers.get("request-id") or message.get("id"),
        _joined(message["content"], "thinking"),
    )


def usage_of(counts: Any) -> Usage | None:
    """`input_tokens` excludes what was read from and written to the cache; `output_tokens` includes thinking."""
    if not isinstance(counts, dict) or counts.get("input_tokens") is None:
        return None
    written = int(counts.get("cache_creation_input_tokens") or 0)
    hour = int((counts.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0)
    thought = (counts.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return Usage(
        int(counts["input_tokens"]),
        int(counts.get("cache_read_input_tokens") or 0),
        written - hour,
        hour,
        int(counts.get("output_tokens") or 0),
        int(thought),
    )


def _joined(blocks: Sequence[dict[str, Any]], kind: str) -> str:
    return "".join(str(block.get(kind) or "") for block in blocks if block.get("type") == kind)


def _text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text.strip() else []


def _result(call: str, text: str, is_error: bool) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call, "content": text or "(no output)"}
    return {**block, "is_error": True} if is_error else block
