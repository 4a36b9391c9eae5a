"""From the vendors' HTTP answers to JSON events. The only importer of httpx2, the library below all three SDKs.

The SDKs build, sign and send; the stream is read here as raw JSON, because their typed views drop or rename what they
do not know, and a reply must be replayed as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import httpx2

from runner.models.base import ModelError, ModelSpec
from runner.models.clean import decoded
from runner.models.faults import lost, unreadable

DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MOST_ERROR = 1024**2  # bytes
_ABOUT_BODY = ("content-encoding", "content-length", "transfer-encoding")
_ONE_ANSWER = httpx2.Limits(max_keepalive_connections=0)


class Streamed(Protocol):
    """What relay needs of an SDK's open answer."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    def iter_bytes(self) -> Iterator[bytes]: ...


def timeout(spec: ModelSpec) -> httpx2.Timeout:
    """Time limits that are never left to an SDK's default (google's is: for ever)."""
    return httpx2.Timeout(spec.read_timeout, connect=spec.connect_timeout)


@contextmanager
def translated(spec: ModelSpec) -> Iterator[None]:
    """Turns what the network does into ModelError, also where an SDK lets it through bare."""
    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise ModelError("request", f"{spec.model}: {error}: check `base-url`", reached=False) from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
        raise lost(spec, f"No connection: {error or type(error).__name__}", reached=False) from error
    except httpx2.TimeoutException as error:
        raise lost(spec, f"Nothing came for {spec.read_timeout:g} s") from error
    except (RecursionError, UnicodeError) as error:  # an SDK that reads the body of an error
        raise unreadable(spec, f"{type(error).__name__}: {error}") from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise lost(spec, f"The answer was cut: {error or type(error).__name__}") from error


@contextmanager
def shaped(spec: ModelSpec) -> Iterator[None]:
    """Turns the lack of what an answer must have into ModelError("server"); around the reading of events only."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise unreadable(spec, f"{type(error).__name__}: {error}") from error


def cause(error: BaseException) -> BaseException:
    """The network error below an SDK's connection error, for `translated` to read."""
    while error.__cause__ is not None and not isinstance(error, httpx2.HTTPError):
        error = error.__cause__
    return error


def events(answer: Streamed, spec: ModelSpec) -> Iterator[dict[str, Any]]:
    """The JSON objects of an event stream (WHATWG HTML, 9.2), until its end or `[DONE]`.

    A server that did not stream sends one JSON body: it comes out as one event. Raises ModelError: `network` for an
    event that is not whole, `server` for a body of another format. Calls `on_progress` for each event.
    """
    for data in _data(_lines(answer.iter_bytes(), spec), answer.headers.get("content-type", ""), spec):
        if spec.on_progress:
            spec.on_progress()
        if data.strip() == DONE:
            return
        try:
            event = decoded(data)
        except ValueError as error:
            raise lost(spec, "An event of the stream was not whole") from error
        if not isinstance(event, dict):
            raise unreadable(spec, data)
        yield event


def http_client(spec: ModelSpec) -> httpx2.Client:
    """The client below an SDK. No connection outlives its answer: a turn's tools may run longer than a server keeps
    one open, and nothing is left to be closed."""
    return _Client(spec)


class _Client(httpx2.Client):
    """A client that reads no more of an error than can be of use: an SDK would read on, perhaps without an end."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(timeout=timeout(spec), limits=_ONE_ANSWER)

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        response = super().send(request, stream=True, **options)
        if response.status_code != 200:
            return _error_of(response)
        if not stream:
            response.read()
        return response


class RecordingClient(_Client):
    """A client for an SDK whose stream cannot be read raw: keeps a good answer's events and hands on an empty one.

    `recorded` holds the events of the last answer. Errors pass through, for the SDK to raise.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self._spec = spec
        self.recorded: list[dict[str, Any]] = []
        self.recorded_headers: Mapping[str, str] = {}

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        self.recorded, self.recorded_headers = [], {}
        response = super().send(request, stream=True, **options)
        if response.status_code != 200:
            return response
        try:
            self.recorded_headers = response.headers
            self.recorded = list(events(response, self._spec))
        finally:
            response.close()
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"", request=request)


def _error_of(response: httpx2.Response) -> httpx2.Response:
    """The same answer with its body read, or with the first megabyte of it."""
    content = bytearray()
    try:
        for piece in response.iter_bytes():
            content += piece
            if len(content) > _MOST_ERROR:
                break
    finally:
        response.close()
    kept = {name: value for name, value in response.headers.items() if name not in _ABOUT_BODY}
    body = bytes(content[:_MOST_ERROR])
    return httpx2.Response(response.status_code, headers=kept, content=body, request=response.request)


def _lines(pieces: Iterable[bytes], spec: ModelSpec) -> Iterator[str]:
    """The lines of a stream, ended by LF, CR LF or CR and by nothing else: JSON may hold U+2028 and U+0085 as they are.

    Raises ModelError when the whole answer is larger than any reply can be.
    """
    line: list[bytes] = []
    size, after_cr = 0, False
    for piece in pieces:
        size += len(piece)
        if size > spec.largest_answer:
            said = f"{spec.model}: the answer went beyond {spec.largest_answer} bytes, so relay left it"
            raise ModelError("request", said, status=200)
        if after_cr:
            piece = piece.removeprefix(b"\n")
        after_cr = piece.endswith(b"\r")
        first, *others = _LINE_END.split(piece)
        line.append(first)
        for other in others:
            yield b"".join(line).decode("utf-8", "replace")
            line = [other]
    if any(line):
        yield b"".join(line).decode("utf-8", "replace")


def _data(lines: Iterable[str], content_type: str, spec: ModelSpec) -> Iterator[str]:
    if "event-stream" not in content_type:
        lines = list(lines)
        if not any(line.startswith(("data:", "event:")) for line in lines):
            yield _body("\n".join(lines), spec)
            return
    pending: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            pending.append(line[5:].removeprefix(" "))
        elif not line.strip() and pending:
            yield "\n".join(pending)
            pending = []
    if pending:
        yield "\n".join(pending)


def _body(text: str, spec: ModelSpec) -> str:
    try:
        body = decoded(text)
    except ValueError as error:
        raise unreadable(spec, text) from error
    # Gemini without `alt=sse` sends a list of what would be the events.
    return json.dumps(body[0]) if isinstance(body, list) and len(body) == 1 else text
