"""One short question to a role's model, for `relay doctor --models`."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.lint import key_names
from pipelines.pipeline import Pipeline, Role
from runner.cli.checks import Check
from runner.models import open_model
from runner.models.base import Entry, ModelError, Place
from runner.redact import known_secrets, mask, one_line
from runner.stages.models import spec_of

_TODO = {
    "auth": "check the key",
    "quota": "check the account's credit",
    "unknown_model": "check the model's name in the pipeline file",
    "network": "check the network and base-url",
}


def ask_model(pipeline: Pipeline, role: Role, environment: Mapping[str, str]) -> Check:
    """Whether the role's own model answers. `scripted` is not asked: it has nothing to say out of its play."""
    name = f"model {role.name}"
    if role.model.startswith("scripted/"):
        return Check(name, True, f"{role.model} plays from its file")
    try:
        model = open_model(spec_of(pipeline, role, role.model, environment))
        reply = model.ask(
            "Answer in one word.", [Entry(user="Say: ready")], [], max_tokens=4096, place=Place(role=role.name)
        )
    except ModelError as error:
        said = one_line(mask(str(error), known_secrets(environment)))
        keys = " or ".join(key_names(role, role.model))
        todo = _TODO.get(error.kind, "try again later, or name another model")
        return Check(name, False, said, f"{todo} ({keys})" if error.kind == "auth" and keys else todo)
    return Check(name, True, f"{role.model} answered: {one_line(reply.text, 40)}")
