"""Google's Gemini API, through google-genai. Requests and replies are raw parts: the SDK's types drop what they do not
know and re-encode thought signatures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google import genai
from google.genai import errors, types

from runner.models.base import Entry, ModelError, ModelSpec, Place, Reply, Stop, Tool, ToolCall, ToolResult, Usage
from runner.models.faults import lost, refused, unreadable
from runner.models.history import seen_by
from runner.models.sizes import output_cap, window
from runner.models.wire import RecordingClient, shaped, translated

_STOPS: dict[str, Stop] = {
    "STOP": "end",
    "FUNCTION_CALL": "tools",
    "MAX_TOKENS": "length",
    "CONTINUATION": "truncated",
    "MALFORMED_FUNCTION_CALL": "bad_call",
    "UNEXPECTED_TOOL_CALL": "bad_call",
    "TOO_MANY_TOOL_CALLS": "bad_call",
    "MISSING_THOUGHT_SIGNATURE": "bad_call",
    "MALFORMED_RESPONSE": "bad_call",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
}
_LEVELS = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH", "max": "HIGH"}
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576, "max": 24_576}  # of 2.5, which knows no levels
_VERSION = re.compile(r"/(v\d+(?:alpha|beta)?\d*)/?$")


class Google:
    """A Gemini model."""

    def __init__(self, spec: ModelSpec) -> None:
        self.name, self.context_window, self.max_output = spec.model, window(spec), output_cap(spec)
        self._spec = spec
        self._thinks = True
        self._http = RecordingClient(spec)
        base, version = address(spec.base_url)
        options = types.HttpOptions(
            base_url=base,
            api_version=version,
            timeout=int(spec.read_timeout * 1000),
            httpx_client=self._http,
        )
        self._client = genai.Client(api_key=spec.key, vertexai=False, http_options=options)

    def ask(
        self, system: str, history: Sequence[Entry], tools: Sequence[Tool], *, max_tokens: int, place: Place
    ) -> Reply:
        """One request; a second one only where the first was refused for asking this model to think."""
        step = 1 + sum(entry.reply is not None for entry in history)
        body: dict[str, Any] = {
            "contents": contents(self.name, history),
            "systemInstruction": {"parts": [{"text": system}]},
            "generationConfig": {"maxOutputTokens": max_tokens},
        }
        if tools:
            declared = [
                {"name": tool.name, "description": tool.description, "parametersJsonSchema": dict(tool.schema)}
                for tool in tools
            ]
            body["tools"] = [{"functionDeclarations": declared}]
        thinking = thinking_of(self.name.partition("/")[2], self._spec.effort) if self._thinks else {}
        if not thinking:
            return self._send(body, step)
        try:
            return self._send(
                {**body, "generationConfig": {"maxOutputTokens": max_tokens, "thinkingConfig": thinking}}, step
            )
        except ModelError as error:
            if not (error.kind == "request" and error.status == 400 and re.search("thinking", str(error), re.I)):
                raise
            self._thinks = False
            return self._send(body, step)

    def _send(self, body: dict[str, Any], step: int) -> Reply:
        config = types.GenerateContentConfig(
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,
            http_options=types.HttpOptions(extra_body=body),
        )
        with translated(self._spec):
            try:
                model = self.name.partition("/")[2]
                # The SDK wants contents of its own types; `extra_body` puts the raw ones in their place.
                for _ in self._client.models.generate_content_stream(model=model, contents="-", config=config):
                    pass
            except errors.APIError as error:
                headers = getattr(error.response, "headers", {})
                raise refused(self._spec, error.code, error.details, headers) from error
        with shaped(self._spec):
            return assemble(self._http.recorded, self._spec, self._http.recorded_headers, step=step)


def open_model(spec: ModelSpec) -> Google:
    """The model at Google, or at a server that speaks its format at `spec.base_url` (a version at its end is kept)."""
    return Google(spec)


def address(base_url: str | None) -> tuple[str, str]:
    """Base and API version. `v1beta` unless the URL ends with another: it has the newest features, and foreign servers
    know no other."""
    base = base_url or "https://generativelanguage.googleapis.com"
    version = _VERSION.search(base)
    return (base[: version.start()], version[1]) if version else (base.rstrip("/"), "v1beta")


def thinking_of(model: str, effort: str | None) -> dict[str, Any]:
    """The thinking that `effort` means for `model`; {} leaves it to the model."""
    if not effort or re.match(r"(models/)?gemini-(1|2\.0|pro)", model):
        return {}
    if re.match(r"(models/)?gemini-2\.5", model):
        return {"thinkingBudget": _BUDGETS[effort]}
    return {"thinkingLevel": _LEVELS[effort]}


def contents(name: str, history: Sequence[Entry]) -> list[dict[str, Any]]:
    """The history as contents: own replies as they came, all results of a step in one, ids only where one was given."""
    out: list[dict[str, Any]] = []
    given: set[str] = set()
    for entry in seen_by(name, history):
        if entry.reply is not None:
            content = entry.reply.wire or {"role": "model", "parts": [{"text": entry.reply.text}]}
            parts = content.get("parts") or []
            given = {part["functionCall"]["id"] for part in parts if (part.get("functionCall") or {}).get("id")}
            if parts:
                out.append(content)
            continue
        parts = [_result(result, given) for result in entry.results] or [{"text": entry.user}]
        if out and out[-1]["role"] == "user":
            out[-1] = {"role": "user", "parts": [*out[-1]["parts"], *parts]}
        else:
            out.append({"role": "user", "parts": parts})
    return out


def assemble(stream: Iterable[dict[str, Any]], spec: ModelSpec, headers: Mapping[str, str], *, step: int = 1) -> Reply:
    """One reply of the chunks of a stream, or of the one response of a server that does not stream.

    `step` makes the ids of calls that came without one unique in the turn.
    """
    parts: list[dict[str, Any]] = []
    content: dict[str, Any] = {}
    finish = blocked = ""
    detail, counts, response_id = "", None, None
    for chunk in stream:
        if chunk.get("error"):
            raise refused(spec, 200, chunk, headers, streamed=True)
        if not any(key in chunk for key in ("candidates", "promptFeedback", "usageMetadata")):
            raise unreadable(spec, json.dumps(chunk))
        counts = chunk.get("usageMetadata") or counts
        response_id = chunk.get("responseId") or response_id
        blocked = (chunk.get("promptFeedback") or {}).get("blockReason") or blocked
        candidate: dict[str, Any] = next(iter(chunk.get("candidates") or ()), {})
        content = {**content, **(candidate.get("content") or {})}
        for part in (candidate.get("content") or {}).get("parts") or ():
            _add(parts, part)
        finish = candidate.get("finishReason") or finish
        detail = candidate.get("finishMessage") or detail
    if not finish and not blocked:
        raise lost(spec, "The stream ended without a finish reason")
    content = {**content, "role": "model", "parts": parts}
    calls = _calls(parts, step)
    stop = _STOPS.get(finish, "other") if finish else "refusal"
    if calls and stop in ("end", "other"):
        stop = "tools"
    elif stop == "tools" and not calls:
        stop = "end"
    reason = finish or blocked
    return Reply(
        "".join(str(part.get("text") or "") for part in parts if not part.get("thought")),
        calls,
        stop,
        f"{reason}: {detail}" if detail else reason,
        usage_of(counts),
        content,
        spec.model,
        response_id,
        "".join(str(part.get("text") or "") for part in parts if part.get("thought")),
    )


def usage_of(counts: Any) -> Usage | None:
    """`promptTokenCount` includes what was cached; `candidatesTokenCount` excludes thoughts, which cost as output."""
    if not isinstance(counts, dict) or counts.get("promptTokenCount") is None:
        return None
    prompt = int(counts["promptTokenCount"]) + int(counts.get("toolUsePromptTokenCount") or 0)
    read, thought = int(counts.get("cachedContentTokenCount") or 0), int(counts.get("thoughtsTokenCount") or 0)
    return Usage(max(0, prompt - read), read, 0, 0, int(counts.get("candidatesTokenCount") or 0) + thought, thought)


def _add(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Appends a part. Pieces of one text grow together; a part with a signature or anything else stays alone."""
    last = parts[-1] if parts else {}
    plain = set(part) <= {"text", "thought"} and set(last) <= {"text", "thought"}
    if plain and "text" in part and "text" in last and part.get("thought") == last.get("thought"):
        parts[-1] = {**last, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def _calls(parts: Sequence[dict[str, Any]], step: int) -> tuple[ToolCall, ...]:
    calls: list[ToolCall] = []
    for part in parts:
        call = part.get("functionCall")
        if call:
            args = call.get("args", {})
            whole = isinstance(args, dict)
            ident = call.get("id") or f"call-{step}-{len(calls) + 1}"
            calls.append(
                ToolCall(ident, call.get("name") or "", args if whole else None, "" if whole else json.dumps(args))
            )
    return tuple(calls)


def _result(result: ToolResult, given: set[str]) -> dict[str, Any]:
    response: dict[str, Any] = {
        "name": result.call.name,
        "response": {"error" if result.is_error else "output": result.text},
    }
    if result.call.id in given:
        response["id"] = result.call.id
    return {"functionResponse": response}
