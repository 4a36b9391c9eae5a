"""The models: one Protocol, five vendors. An SDK is imported when its vendor is opened, not before."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from runner.models.base import Model, ModelError, ModelSpec
from runner.models.clean import clean

VENDORS = {
    "anthropic": "runner.models.anthropic",
    "google": "runner.models.google",
    "openai": "runner.models.openai",
    "openai-compatible": "runner.models.openai_compatible",
    "scripted": "runner.models.scripted",
}

__all__ = ["VENDORS", "open_model"]


def open_model(spec: ModelSpec) -> Model:
    """The model `vendor/name`. Calls nobody.

    Raises ModelError: `unknown_model` for a vendor that relay does not have or an empty name, `auth` where a key is
    needed and none was given, or cannot be one, `request` where `base-url` is needed.
    """
    vendor, _, name = spec.model.partition("/")
    if vendor not in VENDORS or not name:
        known = ", ".join(VENDORS)
        raise ModelError("unknown_model", f"{spec.model}: write the model as vendor/name; the vendors are {known}")
    if vendor in ("anthropic", "google", "openai") and not spec.key:
        raise ModelError("auth", f"{spec.model}: no key: set the environment variable that `api-key-env` names")
    if spec.key and not (spec.key.isascii() and spec.key.isprintable()):
        said = "the key holds a line end or another character that no key has: set the variable that holds it anew"
        raise ModelError("auth", f"{spec.model}: {said}")
    if vendor == "openai-compatible" and not spec.base_url:
        raise ModelError("request", f"{spec.model}: `base-url` is missing, e.g. http://127.0.0.1:8080/v1")
    return clean(cast(Model, import_module(VENDORS[vendor]).open_model(spec)), spec.key)
