"""A vendor on a loopback socket: queued answers out, a journal of what came in. Its shapes are those of the real wires.

Any test may use it through the fixture `vendor_server`.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call of a built reply."""

    name: str
    args: Json | str
    id: str = "call_a"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `promise` above the body's length cuts the connection; `hang` keeps it open without an end."""

    body: bytes
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    promise: int = 0
    hang: bool = False


@dataclass(frozen=True)
class Request:
    """One line of the wire log."""

    path: str
    headers: Mapping[str, str]
    body: Json


class FakeVendor:
    """Answers requests from a queue, or from `respond` where the queue is empty."""

    def __init__(self) -> None:
        self.journal: list[Request] = []
        self.asked = threading.Event()  # set by the first request
        self.respond: Callable[[Request], Answer] | None = None
        self._queue: list[Answer] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                vendor._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, *answers: Answer) -> None:
        """Queue answers, one for each request to come."""
        self._queue += answers

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.path, headers, json.loads(raw or b"{}"))
        with self._lock:
            self.journal.append(request)
            answer = self._queue.pop(0) if self._queue else None
        self.asked.set()
        if answer is None:
            answer = self.respond(request) if self.respond else error(500, {"error": {"message": "queue is empty"}})
        handler.send_response_only(answer.status)
        handler.send_header("content-type", answer.content_type)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.promise:
            handler.send_header("content-length", str(answer.promise))
        handler.end_headers()
        handler.wfile.write(answer.body)
        handler.wfile.flush()
        if answer.hang:
            self._closing.wait()


def sse(events: Sequence[Json | str], **options: Any) -> Answer:
    """An event stream; a str is sent as it is."""
    lines = []
    for event in events:
        named = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
        data = event if isinstance(event, str) else json.dumps(event)
        lines.append(f"{named}data: {data}\n\n")
    return Answer("".join(lines).encode(), **options)


def error(status: int, body: Any, **headers: str) -> Answer:
    """An HTTP error; underscores in header names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(raw, status, "text/html" if isinstance(body, str) else "application/json", named)


def whole(body: Json) -> Answer:
    """A JSON body with status 200, as a server that does not stream sends it."""
    return Answer(json.dumps(body).encode(), content_type="application/json")


def arguments_of(call: Call) -> str:
    return call.args if isinstance(call.args, str) else json.dumps(call.args)


def chat(text: str = "", *calls: Call, finish: str | None = None, usage: Json | None = None) -> list[Json | str]:
    """A Chat Completions stream."""

    def chunk(delta: Json, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}

    events: list[Json | str] = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in _halves(text) if piece]
    for index, call in enumerate(calls):
        function = {"name": call.name, "arguments": ""}
        events.append(
            chunk({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})
        )
        raw = arguments_of(call)
        for piece in (raw[:5], raw[5:]):
            events.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
    events.append(chunk({}, finish or ("tool_calls" if calls else "stop")))
    if usage is not None:
        events.append({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return [*events, "[DONE]"]


def messages(blocks: Sequence[Json], stop: str = "end_turn", usage: Json | None = None) -> list[Json | str]:
    """An Anthropic Messages stream of whole blocks, cut into deltas as the vendor does."""
    counts = usage or {"input_tokens": 10, "output_tokens": 1}
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    events: list[Json | str] = [
        {"type": "message_start", "message": {**start, "usage": {**counts, "output_tokens": 1}}}
    ]
    events.append({"type": "ping"})
    for index, block in enumerate(blocks):
        empty, deltas = _block_deltas(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": counts["output_tokens"]}})
    return [*events, {"type": "message_stop"}]


def _block_deltas(block: Json) -> tuple[Json, list[Json]]:
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in _halves(block["text"])]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _halves(block["thinking"])]
        signature = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]
    if block["type"] == "tool_use":
        raw = block["input"] if isinstance(block["input"], str) else json.dumps(block["input"])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in _halves(raw)]
    return block, []


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def responses(items: Sequence[Json], usage: Json | None = None, **final: Any) -> list[Json | str]:
    """An OpenAI Responses stream. `final` changes the closing response, e.g. its status."""
    counts = usage or {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
    base: Json = {"id": "resp_1", "object": "response", "model": "m", "error": None, "incomplete_details": None}
    events: list[Json | str] = [
        {"type": "response.created", "response": {**base, "status": "in_progress", "output": []}}
    ]
    for index, item in enumerate(items):
        events.append({"type": "response.output_item.added", "output_index": index, "item": item})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    response = {**base, "status": "completed", "output": list(items), "usage": counts, **final}
    return [*events, {"type": f"response.{response['status']}", "response": response}]


def gemini(
    chunks: Sequence[Sequence[Json]], finish: str | None = "STOP", usage: Json | None = None
) -> list[Json | str]:
    """A streamGenerateContent stream; each chunk is a list of parts."""
    events: list[Json | str] = []
    for number, parts in enumerate(chunks, 1):
        candidate: Json = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
        event: Json = {"candidates": [candidate], "responseId": "gem-1", "modelVersion": "m"}
        if number == len(chunks) and finish:
            candidate["finishReason"] = finish
            event["usageMetadata"] = usage or {"promptTokenCount": 10, "candidatesTokenCount": 2}
        events.append(event)
    return events
