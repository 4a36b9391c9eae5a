"""The environment of a tree: base image, setup, and the blobs of its setup inputs; built once for each of these."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from runner.codec import encode
from runner.gate.protect import setup_inputs
from runner.git.checkout import base_directory
from runner.git.objects import ls_tree
from runner.stages.context import Context
from sandbox.image import Environment, HostAccess, build_environment

SETUP_TIMEOUT = 3600.0  # seconds


def inputs_of(context: Context, tree: str) -> Mapping[str, str]:
    """The setup inputs that a tree has: path -> blob."""
    entries = ls_tree(context.repository, tree)
    paths = setup_inputs(context.pipeline.sandbox.setup_inputs, list(entries))
    return {path.decode(errors="surrogateescape"): entries[path].id for path in paths}


def environment_key(context: Context, tree: str, *, only_for: str | None = None) -> str:
    """What an environment is known by. `only_for`: the candidate that alone may use it."""
    setup = context.pipeline.sandbox.setup
    parts = (context.image, setup or "", inputs_of(context, tree) if setup else {}, only_for or "")
    return hashlib.sha256(encode(parts)).hexdigest()


def environment_of(context: Context, tree: str, *, only_for: str | None = None) -> Environment:
    """The environment of a tree, built now if it is not there. Raises SetupFailed, SandboxError."""
    setup = context.pipeline.sandbox.setup
    if setup is None:
        return Environment(context.image, None, environment_key(context, tree), "")
    return build_environment(
        context.engine,
        base_image=context.image,
        setup=setup,
        key=environment_key(context, tree, only_for=only_for),
        tree=base_directory(context.repository, tree, context.cache, context.uid, context.gid),
        uid=context.uid,
        gid=context.gid,
        cache=context.cache,
        host=HostAccess.of(context.environ),
        on_line=lambda line: context.emit("setup", line=line),
    )
