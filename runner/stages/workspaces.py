"""What a turn and a gate work in: the workspace of a tree, and the container around it."""

from __future__ import annotations

from pathlib import Path

from runner.git.checkout import base_directory
from runner.git.layer import git_layer
from runner.stages.context import Context
from sandbox.base import Limits, SandboxSpec
from sandbox.image import Environment
from sandbox.workspace import Workspace, open_workspace

# What a model runs to try its work must not become part of the work where no .gitignore names it.
TURN_ENV = {"PYTHONDONTWRITEBYTECODE": "1"}


def workspace_of(
    context: Context, environment: Environment, *, tree: str, history: str, home: Path, name: str
) -> Workspace:
    """A workspace of `tree` in the directory `home`, with the history of the commit `history` to be read in it.

    `name` is unique in the run among workspaces that are open. Raises SandboxError, GitError.
    """
    repository, cache, uid, gid = context.repository, context.cache, context.uid, context.gid
    return open_workspace(
        context.engine,
        context.backend,
        home=home,
        base=base_directory(repository, tree, cache, uid, gid),
        extras=environment.extras,
        gitdir=git_layer(repository, tree, history, cache, uid, gid, base=context.began),
        name=f"relay-{context.run}-{name}",
        uid=uid,
        gid=gid,
        files=context.files,
    )


def sandbox_spec(context: Context, environment: Environment, workspace: Workspace, kind: str) -> SandboxSpec:
    """The container around a workspace. A gate never has the network; a turn leaves no compiled files."""
    policy = context.pipeline.sandbox
    limits = policy.limits
    return SandboxSpec(
        image=environment.image_id,
        user=f"{context.uid}:{context.gid}",
        mounts=(workspace.mount,),
        labels=context.labels(kind),
        env={**TURN_ENV, **policy.env} if kind == "turn" else policy.env,
        network=policy.network if kind == "turn" else "none",
        limits=Limits(limits.cpus, limits.memory, limits.pids, limits.output),
    )
