"""What a vendor's refusal means: status, error words and headers in, one ModelError out.

One table for all vendors, since foreign servers mix each other's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from runner.models.base import ErrorKind, ModelError, ModelSpec
from runner.models.clean import SHORTEST_KEY, mended

# Words that decide whatever the status says, as vendors put them into `type`, `code`, `status` or `reason`.
_WORDS: dict[str, ErrorKind] = {
    "insufficient_quota": "quota",
    "billing_error": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "credit_balance_too_low": "quota",
    "context_length_exceeded": "context",
    "string_above_max_length": "context",
    "exceed_context_size_error": "context",
    "request_too_large": "context",
    "model_not_found": "unknown_model",
    "not_found_error": "unknown_model",
    "NOT_FOUND": "unknown_model",
    "invalid_api_key": "auth",
    "API_KEY_INVALID": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "overloaded_error": "overload",
    "UNAVAILABLE": "overload",
    "slow_down": "overload",
    "rate_limit_error": "rate",
    "rate_limit_exceeded": "rate",
    "RESOURCE_EXHAUSTED": "rate",
    "api_error": "server",
    "server_error": "server",
    "internal_error": "server",
    "timeout_error": "server",
    "INTERNAL": "server",
    "DEADLINE_EXCEEDED": "server",
}

# Sentences of vendors that say it in prose only.
_SENTENCES: tuple[tuple[ErrorKind, re.Pattern[str]], ...] = (
    ("quota", re.compile(r"credit balance is too low|exceeded your monthly|out of credits|insufficient balance", re.I)),
    ("auth", re.compile(r"api key not valid|api key expired|incorrect api key|invalid api key", re.I)),
    (
        "context",
        re.compile(
            r"prompt is too long|maximum context length|exceeds? the (maximum number of tokens|context window)"
            r"|exceeds? the available context size|exceed context limit|input token count .* exceeds",
            re.I,
        ),
    ),
    ("unknown_model", re.compile(r"\bmodel\b.{0,80}\b(does not exist|not found|is not supported|unknown)", re.I)),
)

_STATUSES: dict[int, ErrorKind] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "unknown_model",
    408: "server",
    409: "server",
    413: "context",
    425: "server",
    429: "rate",
    503: "overload",
    529: "overload",
}

_TO_DO: dict[ErrorKind, str] = {
    "rate": "the vendor limits requests",
    "overload": "the vendor is overloaded",
    "server": "the vendor's server failed",
    "network": "the connection failed",
    "quota": "the account's quota or credit is used up: add credit, or name a model in `fallbacks`",
    "auth": "the key was refused: check the environment variable that holds it (`api-key-env`)",
    "context": "the conversation no longer fits into the model's window",
    "request": "the request was refused",
    "unknown_model": "the vendor does not know this model: check `model` and `base-url` of the role",
}


def refused(
    spec: ModelSpec, status: int, body: Any, headers: Mapping[str, str], *, streamed: bool = False
) -> ModelError:
    """The error for an answer that is no reply: an HTTP error, or with `streamed` an error event inside a good answer.

    The latter keeps the status 200, since what came before it may be billed.
    `body` is the decoded JSON, or text. The key is masked in the vendor's own words, which are cut to 500 characters.
    """
    error = _error_object(body)
    words = [str(error[key]) for key in ("code", "type", "status", "reason") if error.get(key)]
    message = _message(error, body)
    details = [entry for entry in _list(error.get("details")) if isinstance(entry, dict)]
    words += [str(entry["reason"]) for entry in details if entry.get("reason")]
    kind = _kind(status, words, message)
    if kind == "rate" and any("PerDay" in str(v.get("quotaId")) for v in _violations(details)):
        kind = "quota"
    wait = retry_after(headers)
    if wait is None:
        wait = next((_google_delay(entry["retryDelay"]) for entry in details if "retryDelay" in entry), None)
    shown = "error in the stream" if streamed else f"HTTP {status}"
    to_do = "the address has moved: write the new one into `base-url`" if 300 <= status < 400 else _TO_DO[kind]
    return ModelError(
        kind,
        f"{spec.model}: {to_do}. It said ({shown}): {_masked(message, spec.key)}",
        retry_after=wait,
        status=200 if streamed else status,
        request_id=headers.get("request-id") or headers.get("x-request-id"),
    )


def lost(spec: ModelSpec, why: str, *, reached: bool = True) -> ModelError:
    """The error for a connection that failed, a stream that was cut, or a time limit."""
    return ModelError("network", f"{spec.model}: {_TO_DO['network']}. {_masked(why, spec.key)}", reached=reached)


def unreadable(spec: ModelSpec, what: str) -> ModelError:
    """The error for an answer with status 200 that is no reply of this vendor's format."""
    return ModelError(
        "server",
        f"{spec.model}: the server answered with something that is no reply of this vendor: check `base-url`. "
        f"It began: {_masked(what, spec.key)!r}",
        status=200,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as `retry-after-ms` or `Retry-After` ask (RFC 9110, 10.2.3: seconds or an HTTP date).

    A date counts from the answer's own `Date`, so that clocks need not agree. None: nothing usable was said.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) / scale
        if value and name == "retry-after":
            return _until(value, headers.get("date", ""))
    return None


def _until(date: str, start: str) -> float | None:
    end = _date(date)
    return None if end is None else max(0.0, (end - (_date(start) or datetime.now(UTC))).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _kind(status: int, words: list[str], message: str) -> ErrorKind:
    for word in words:
        if word in _WORDS and not (_WORDS[word] == "server" and status in _STATUSES):
            return _WORDS[word]
    if status in (200, 400, 404, 422, 429) or 400 <= status < 404:
        for kind, sentence in _SENTENCES:
            if sentence.search(message):
                return kind
    if status in _STATUSES:
        return _STATUSES[status]
    return "server" if status >= 500 or status < 300 else "request"


def _error_object(body: Any) -> dict[str, Any]:
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict):
        inner = body.get("error")
        if isinstance(inner, dict):
            return inner
        return body
    return {}


def _message(error: dict[str, Any], body: Any) -> str:
    for key in ("message", "error", "detail"):
        if error.get(key):
            return str(error[key])
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _violations(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [v for entry in details for v in _list(entry.get("violations")) if isinstance(v, dict)]


def _google_delay(value: Any) -> float | None:
    """google.rpc.RetryInfo: a protobuf Duration such as `17s`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(value))
    return float(match[1]) if match else None


def _masked(text: str, key: str | None) -> str:
    if key and len(key) >= SHORTEST_KEY:
        text = text.replace(key, "***")
    text = " ".join(mended(text).split())
    return text if len(text) <= 500 else text[:500] + "..."
