"""The only door of msgspec: frozen dataclasses to canonical JSON and back, with one error that says what is wrong."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class CodecError(ValueError):
    """The bytes are no JSON, or no JSON of the wanted shape. The text names the field and what was expected there."""


def encode(value: object, *, sort_keys: bool = True) -> bytes:
    """JSON (RFC 8259, UTF-8, no spaces) of dataclasses, mappings, sequences, strings, numbers, Decimal and bytes.

    With `sort_keys` the same value gives the same bytes always. Decimal becomes a string, bytes base64, NaN null.
    Half a surrogate pair, which no UTF-8 can hold, becomes U+FFFD. Raises CodecError for what JSON cannot say.
    """
    order: Any = "sorted" if sort_keys else None
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(plain(value)), order=order)
    except (TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise CodecError(f"{type(value).__name__} cannot be written as JSON: {error}") from error


def decode(data: bytes, kind: type[T]) -> T:
    """The value of type `kind` that the JSON text says. Fields that `kind` does not know are ignored.

    Raises CodecError, naming the field, when the text is no JSON or has another shape.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(f"not the JSON of {_name(kind)}: {error}") from error


def convert(value: object, kind: type[T]) -> T:
    """Like `decode`, from plain dicts and lists instead of bytes. Raises CodecError."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.MsgspecError as error:
        raise CodecError(f"no {_name(kind)}: {error}") from error


def plain(value: object) -> Any:
    """The dicts, lists, strings and numbers that `encode` would write."""
    return msgspec.to_builtins(value)


def _name(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
