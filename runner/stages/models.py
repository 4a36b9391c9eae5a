"""A role's models, ready to be asked: keys from the environment, prices from the pipeline and the price list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from pipelines.lint import key_names
from pipelines.pipeline import Pipeline, Role
from runner.agent.turn import Ask, Link
from runner.models import open_model, prices
from runner.models.base import Entry, Model, ModelSpec, Place, Reply, Tool, Usage
from runner.models.retry import Policy, ask_with_retry
from runner.stages.context import Context


def key_of(role: Role, model: str, environ: Mapping[str, str]) -> str | None:
    """The key itself, or None where none is set."""
    return next((environ[name] for name in key_names(role, model) if environ.get(name)), None)


def chain(context: Context, role: Role) -> tuple[Link, ...]:
    """The role's model and its fallbacks, each opened when it is its turn to speak."""
    return tuple(_link(context, role, model) for model in (role.model, *role.fallbacks))


def _link(context: Context, role: Role, model: str) -> Link:
    table, spec = context.pipeline.prices, spec_of(context.pipeline, role, model, context.environ)

    def cost(usage: Usage) -> Decimal | None:
        return prices.cost(model, usage, table)

    return Link(
        name=model,
        open=lambda heard: open_model(replace(spec, on_progress=heard)),
        rates=prices.rates(model, table),
        cost=cost,
    )


def spec_of(pipeline: Pipeline, role: Role, model: str, environ: Mapping[str, str]) -> ModelSpec:
    """How to open one model of a role: its `base-url` is for all models of its vendor, caps and window its own only."""
    own = model == role.model
    same_vendor = model.partition("/")[0] == role.model.partition("/")[0]
    return ModelSpec(
        model=model,
        key=key_of(role, model, environ),
        base_url=role.base_url if same_vendor else None,
        effort=role.effort,
        context_window=role.context_window if own else None,
        max_output=role.max_output_tokens if own else None,
        script=pipeline.scripts.get(model, ()),
    )


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
            on_wait=on_wait,
            cancelled=context.cancelled,
        )

    return ask
