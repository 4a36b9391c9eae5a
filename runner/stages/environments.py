"""The environment of a tree: base image, setup, and the blobs of its setup inputs; built once for each of these."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from runner.codec import encode
from runner.gate.protect import matching, path_text, setup_inputs
from runner.git.checkout import base_directory
from runner.git.layer import git_layer
from runner.git.objects import listing
from runner.stages.branches import landing_tip
from runner.stages.context import Context
from sandbox.image import Environment, HostAccess, SetupFailed, build_environment, find_environment

SETUP_TIMEOUT = 3600.0  # seconds


def input_patterns(context: Context, paths: Collection[bytes]) -> tuple[str, ...]:
    """What the setup is made from, as patterns, from the listing of a trusted tree."""
    policy = context.pipeline.sandbox
    return setup_inputs(paths, setup=policy.setup, given=policy.setup_inputs)


def inputs_of(context: Context, tree: str, patterns: Sequence[str] | None = None) -> Mapping[bytes, str]:
    """The setup inputs that a tree has, path -> blob; by the tree's own listing, or by the `patterns` of another."""
    entries = listing(context.repository, tree)
    chosen = input_patterns(context, entries) if patterns is None else patterns
    return {path: entries[path].id for path in sorted(matching(chosen, entries))}


def environment_key(context: Context, tree: str, *, only_for: str | None = None) -> str:
    """What an environment is known by. `only_for`: the change that alone may use it, and only for this very tree.

    A setup runs the tree's own code: what an earlier candidate's left behind must not judge a later one.
    """
    setup, env = context.pipeline.sandbox.setup, context.pipeline.sandbox.env
    inputs = sorted((path_text(path), blob) for path, blob in inputs_of(context, tree).items()) if setup else []
    parts = (
        context.image,
        setup or "",
        inputs,
        f"{only_for} {tree}" if only_for else "",
        sorted(env.items()) if setup else [],
    )
    return hashlib.sha256(encode(parts)).hexdigest()


def environment_of(context: Context, tree: str, *, only_for: str | None = None) -> Environment:
    """The environment of a tree, built now if it is not there. Raises SetupFailed, Interrupted, SandboxError."""
    repository, engine, cache, uid, gid = context.repository, context.engine, context.cache, context.uid, context.gid
    setup, key = context.pipeline.sandbox.setup, environment_key(context, tree, only_for=only_for)
    ready = find_environment(engine, base_image=context.image, setup=setup, key=key, uid=uid, gid=gid, cache=cache)
    if ready is not None:
        return ready
    base, host = base_directory(repository, tree, cache, uid, gid), HostAccess.of(context.environ)
    try:
        return build_environment(
            engine,
            base_image=context.image,
            setup=setup or "",
            key=key,
            tree=base,
            uid=uid,
            gid=gid,
            cache=cache,
            host=replace(host, env={**host.env, **context.pipeline.sandbox.env}),
            on_line=lambda line: context.emit("setup", line=line),
            gitdir=git_layer(repository, tree, landing_tip(context), cache, uid, gid),
            # What was found out for the state folder holds for the cache where both lie on one file system.
            backend=context.backend if base.stat().st_dev == context.folder.stat().st_dev else None,
            timeout=SETUP_TIMEOUT,
            labels=context.labels("setup"),
        )
    except SetupFailed:
        context.check_interrupted()  # then it did not fail: it was ended
        raise
