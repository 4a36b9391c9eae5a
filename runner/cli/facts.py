"""What the checks of a pipeline ask of this machine: keys by name, branches, the price list. Each only when asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipelines.lint import Facts

# Models of the shipped pipelines and of `relay init`. The price list knows them, and loading it takes longer than all
# other checks together; a test asks the list itself.
PRICED = frozenset(
    {
        "anthropic/claude-opus-5-5",
        "anthropic/claude-sonnet-5-5",
        "google/gemini-3.1-pro-preview",
        "google/gemini-3.5-flash",
        "openai/gpt-5.4-mini",
        "openai/gpt-6-sol",
    }
)


def facts(repo: Path, *, to_run: bool, money_budget: bool = False, environ: Mapping[str, str] = os.environ) -> Facts:
    """The facts about the repository at `repo` and this environment.

    `to_run`: a run is meant to start. `money_budget`: the command line gives one.
    """
    return Facts(
        env=frozenset(name for name, value in environ.items() if value.strip()),
        branches=partial(branches, repo),
        price_known=price_known,
        money_budget=money_budget,
        to_run=to_run,
    )


def branches(repo: Path) -> frozenset[str] | None:
    """The names of the repository's branches; None when there is no repository to look into."""
    from runner.git.command import GitError
    from runner.git.refs import listed
    from runner.git.repo import open_repository

    try:
        found = listed(open_repository(repo), "refs/heads")
    except GitError:
        return None
    return frozenset(name.removeprefix("refs/heads/") for name in found)


def price_known(model: str) -> bool:
    """Whether the price list has `vendor/model`."""
    if model in PRICED:
        return True
    from runner.models.prices import is_known

    return is_known(model)
