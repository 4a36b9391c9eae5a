"""System texts of the roles: relay's contract from `pipelines/prompts/`, and after it what the user adds for a role."""

from __future__ import annotations

from importlib.resources import files

from runner.agent.tools import RoleKind


def system_text(kind: RoleKind, own: str | None = None) -> str:
    """The instructions of a role. `own` is the role's `prompt`: added to relay's contract, never in its place."""
    parts = [contract(kind), contract("common")]
    if own and own.strip():
        parts.append(f"## From the user, for your role\n\n{own.strip()}")
    return "\n\n".join(parts) + "\n"


def contract(name: str) -> str:
    """One of relay's own prompts, by the name of its file without `.md`."""
    return files("pipelines").joinpath("prompts", f"{name}.md").read_text(encoding="utf-8").strip()
