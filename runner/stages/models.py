"""A role's models, ready to be asked: keys from the environment, prices from the pipeline and the price list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from pipelines.pipeline import Pipeline, Role
from runner.agent.turn import Ask, Link
from runner.models import open_model, prices
from runner.models.base import Entry, Model, ModelSpec, Place, Reply, Tool, Usage
from runner.models.retry import Policy, ask_with_retry
from runner.stages.context import Context

KEYS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
    "openai-compatible": (),
    "scripted": (),
}


def key_names(role: Role, model: str) -> tuple[str, ...]:
    """The environment variables that may hold the key of one of the role's models; the first that is set counts."""
    return (role.api_key_env,) if role.api_key_env and model == role.model else KEYS[model.split("/")[0]]


def key_of(role: Role, model: str, environ: Mapping[str, str]) -> str | None:
    """The key itself, or None where none is set."""
    return next((environ[name] for name in key_names(role, model) if environ.get(name)), None)


def secrets(pipeline: Pipeline, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every key that the pipeline's roles use, to be masked wherever text is kept."""
    found = {
        key_of(role, model, environ) for role in pipeline.roles.values() for model in (role.model, *role.fallbacks)
    }
    known = {environ.get(name) for names in KEYS.values() for name in names}
    return tuple(sorted(value for value in found | known if value))


def chain(context: Context, role: Role) -> tuple[Link, ...]:
    """The role's model and its fallbacks, each opened when it is its turn to speak."""
    return tuple(_link(context, role, model) for model in (role.model, *role.fallbacks))


def _link(context: Context, role: Role, model: str) -> Link:
    table = context.pipeline.prices

    def cost(usage: Usage) -> Decimal | None:
        return prices.cost(model, usage, table)

    return Link(
        name=model,
        open=opener(context.pipeline, role, model, context.environ),
        rates=prices.rates(model, table),
        cost=cost,
    )


def opener(pipeline: Pipeline, role: Role, model: str, environ: Mapping[str, str]) -> Callable[[], Model]:
    """Opens one model of a role. A role's own `base-url`, caps and window belong to its own model, not to fallbacks."""
    own = model == role.model
    spec = ModelSpec(
        model=model,
        key=key_of(role, model, environ),
        base_url=role.base_url if own else None,
        effort=role.effort,
        context_window=role.context_window if own else None,
        max_output=role.max_output_tokens if own else None,
        script=pipeline.scripts.get(model, ()),
    )
    return lambda: open_model(spec)


def asker(context: Context) -> Ask:
    """How a model is asked: with retries, told while it waits, given up when the session ends."""

    def ask(
        model: Model,
        system: str,
        history: Sequence[Entry],
        tools: Sequence[Tool],
        *,
        max_tokens: int,
        place: Place,
        on_wait: Callable[[float, str], None] | None = None,
    ) -> Reply:
        return ask_with_retry(
            model,
            system,
            history,
            tools,
            max_tokens=max_tokens,
            place=place,
            policy=Policy(),
            now=context.clock,
            on_wait=on_wait,
            cancelled=context.cancelled,
        )

    return ask
