"""Any server that speaks Chat Completions at `base-url`, through the openai SDK.

Such servers differ in what they leave out; each allowance below names what it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import openai

from runner.models.base import Entry, ModelError, ModelSpec, Place, Reply, Stop, Tool, ToolCall, Usage
from runner.models.faults import lost, refused, unreadable
from runner.models.history import arguments, seen_by
from runner.models.sizes import output_cap, window
from runner.models.wire import cause, events, http_client, shaped, timeout, translated

_STOPS: dict[str, Stop] = {
    "stop": "end",
    "tool_calls": "tools",
    "function_call": "tools",
    "length": "length",
    "content_filter": "refusal",
    "model_context_window_exceeded": "context",
}
# Keys of a delta that are said whole, and by some servers again in every chunk.
_WHOLE = ("role", "id", "type", "name", "index")
# Parameters that a server may not know; one that refuses a request and names one is asked again without it.
_OPTIONAL = ("reasoning_effort", "stream_options", "max_completion_tokens", "max_tokens")


class OpenAICompatible:
    """A model behind `/chat/completions`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.name, self.context_window, self.max_output = spec.model, window(spec), output_cap(spec)
        self._spec = spec
        self._client = open_client(spec)
        self._dropped: set[str] = set()

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One request; a second one only where the first was refused for a parameter this server does not know."""
        body: dict[str, Any] = {
            "model": self.name.partition("/")[2],
            "messages": [{"role": "system", "content": system}, *messages(self.name, history)],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": max_tokens,
        }
        if tools:
            body["tools"] = [_tool(tool) for tool in tools]
        if self._spec.effort:
            body["reasoning_effort"] = "high" if self._spec.effort == "max" else self._spec.effort
        step = 1 + sum(entry.reply is not None for entry in history)
        while True:
            try:
                return self._send(self._fitted(body), step)
            except ModelError as error:
                named = self._refused_parameter(error, body)
                if named is None:
                    raise
                self._dropped.add(named)

    def _fitted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        fitted = {key: value for key, value in body.items() if key not in self._dropped}
        if "max_tokens" in self._dropped and "max_completion_tokens" not in self._dropped:
            fitted["max_completion_tokens"] = body["max_tokens"]
        if "stream" in self._dropped:
            fitted.pop("stream_options", None)
        return fitted

    def _refused_parameter(self, error: ModelError, body: Mapping[str, Any]) -> str | None:
        if error.kind != "request" or error.status not in (400, 422):
            return None
        sent = self._fitted(body)
        said = str(error).replace("max_completion_tokens", "") if "max_tokens" in sent else str(error)
        return next((key for key in (*_OPTIONAL, "stream") if key in sent and key in said), None)

    def _send(self, body: dict[str, Any], step: int) -> Reply:
        raw = self._client.chat.completions.with_streaming_response
        with translated(self._spec), sdk_errors(self._spec), raw.create(**body) as answer, shaped(self._spec):
            return assemble(events(answer, self._spec), self._spec, answer.headers, step=step)


def open_model(spec: ModelSpec) -> OpenAICompatible:
    """The model at `spec.base_url`; a server without keys needs none."""
    return OpenAICompatible(spec)


def open_client(spec: ModelSpec) -> openai.OpenAI:
    """The SDK's client with nothing left to its environment, and no retry of its own."""
    unset: dict[str, Any] = {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}
    return openai.OpenAI(
        api_key=spec.key or "none",
        base_url=address(spec.base_url),
        default_headers=unset,
        max_retries=0,
        timeout=timeout(spec),
        http_client=http_client(spec),
    )


def address(base_url: str | None) -> str:
    """The address with its version: `/v1` where it names a host only, for every server has its paths below one."""
    base = (base_url or "https://api.openai.com/v1").rstrip("/")
    return base if "/" in base.partition("://")[2] else f"{base}/v1"


class sdk_errors:
    """A context that turns the openai SDK's exceptions into ModelError, or into the network error below them."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, openai.APIStatusError):
            body = error.body if error.body else error.response.text
            raise refused(self._spec, error.status_code, body, error.response.headers) from error
        if isinstance(error, openai.APIConnectionError):
            raise cause(error)
        if isinstance(error, openai.OpenAIError):
            raise unreadable(self._spec, str(error)) from error


def messages(name: str, history: Sequence[Entry]) -> list[dict[str, Any]]:
    """The history as chat messages: one `tool` message for each result, own replies as they came."""
    out: list[dict[str, Any]] = []
    for entry in seen_by(name, history):
        if entry.reply is not None:
            out.append(_replayed(entry.reply))
        elif entry.results:
            out += [
                {"role": "tool", "tool_call_id": result.call.id, "content": result.text} for result in entry.results
            ]
        else:
            out.append({"role": "user", "content": entry.user})
    return out


def assemble(chunks: Iterable[dict[str, Any]], spec: ModelSpec, headers: Mapping[str, str], *, step: int = 1) -> Reply:
    """One reply of the chunks of a stream, or of the one body of a server that does not stream.

    `step` makes the ids of calls that came without one unique in the turn.
    """
    message: dict[str, Any] = {}
    finish, usage, request_id = "", None, headers.get("x-request-id")
    for chunk in _checked(chunks, spec):
        usage = _usage(chunk.get("usage")) or usage
        request_id = request_id or chunk.get("id")
        choice = next(iter(chunk.get("choices") or ()), None)
        if not isinstance(choice, dict):
            continue
        merge(message, choice.get("delta") or choice.get("message") or {})
        finish = choice.get("finish_reason") or finish
    if not finish:
        raise lost(spec, "The stream ended without a finish reason")
    calls = _calls(message, step)
    stop = _STOPS.get(finish, "other")
    if calls and stop in ("end", "other"):
        stop = "tools"  # many servers say `stop` beside calls
    elif stop == "tools" and not calls:
        stop = "end"
    if message.get("refusal"):
        stop = "refusal"
    text = message.get("content") or message.get("refusal") or ""
    message.setdefault("role", "assistant")
    message.setdefault("content", None if calls else "")
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    return Reply(_text(text), calls, stop, finish, usage, message, spec.model, request_id, _text(thinking))


def _replayed(reply: Reply) -> dict[str, Any]:
    """The message as it came. Arguments that are no JSON become `{}`: chat templates fail on them."""
    message: dict[str, Any] = reply.wire or {"role": "assistant", "content": reply.text}
    broken = {call.id for call in reply.calls if call.args is None}
    if not broken:
        return message
    calls = [
        {**item, "function": {**item["function"], "arguments": "{}"}} if item["id"] in broken else item
        for item in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def merge(into: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Adds a delta: texts grow, lists grow by `index`, the rest is replaced. Keys nobody here knows included."""
    for key, value in delta.items():
        old = into.get(key)
        if value is None:
            into.setdefault(key, None)
        elif isinstance(value, str) and isinstance(old, str) and key not in _WHOLE:
            into[key] = old + value
        elif isinstance(value, dict) and isinstance(old, dict):
            merge(old, value)
        elif isinstance(value, list):
            into[key] = old if isinstance(old, list) else []
            for item in value:
                _merge_item(into[key], item)
        elif not (value == "" and old):
            into[key] = value


def _merge_item(items: list[Any], item: Any) -> None:
    if not isinstance(item, dict):
        items.append(item)
        return
    fresh = "index" not in item and ("id" in item or not items)
    same = [have for have in items if isinstance(have, dict) and have.get("index") == item.get("index")]
    # Some servers give every parallel call the index 0, and no server changes the id of a call.
    if fresh or not same or (item.get("id") and same[-1].get("id") and item["id"] != same[-1]["id"]):
        items.append({})
        same = [items[-1]]
    merge(same[-1], item)


def _checked(chunks: Iterable[dict[str, Any]], spec: ModelSpec) -> Iterator[dict[str, Any]]:
    for chunk in chunks:
        error = chunk.get("error") or next((c.get("error") for c in chunk.get("choices") or () if c.get("error")), None)
        if error:
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and code >= 400 else 200
            raise refused(spec, status, error, {}, streamed=True)
        if "choices" not in chunk and "usage" not in chunk:
            raise unreadable(spec, str(chunk))
        yield chunk


def _calls(message: dict[str, Any], step: int) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for number, item in enumerate(message.get("tool_calls") or (), 1):
        item.pop("index", None)
        item.setdefault("type", "function")
        if not item.get("id") or item["id"] in [call.id for call in calls]:
            item["id"] = f"call-{step}-{number}"
        function = item.setdefault("function", {})
        raw = function.get("arguments")
        args = raw if isinstance(raw, dict) else arguments(raw or "")
        calls.append(ToolCall(item["id"], function.get("name") or "", args, raw if isinstance(raw, str) else ""))
    return tuple(calls)


def _usage(counts: Any) -> Usage | None:
    """prompt_tokens includes what came from and went to the cache; completion_tokens includes reasoning, but at xAI."""
    if not isinstance(counts, dict) or counts.get("prompt_tokens") is None:
        return None
    prompt, output = int(counts["prompt_tokens"]), int(counts.get("completion_tokens") or 0)
    details = counts.get("prompt_tokens_details") or {}
    read = int(details.get("cached_tokens") or counts.get("prompt_cache_hit_tokens") or 0)
    write = int(details.get("cache_write_tokens") or 0)
    reasoning = int((counts.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)
    if reasoning and counts.get("total_tokens") == prompt + output + reasoning:
        output += reasoning
    return Usage(max(0, prompt - read - write), read, write, 0, output, reasoning)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content)


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}
