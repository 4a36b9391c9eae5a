"""What `relay doctor FILE` does for time but no money: the environment is built, the gates run on the target."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.pipeline import Pipeline
from runner.agent.ledger import Ledger
from runner.cli.checks import Check
from runner.gate.evidence import Baseline
from runner.git.command import GitError
from runner.git.history import resolve, tree_of
from runner.git.journal import Journal
from runner.git.repo import Repository
from runner.limits import Limit
from runner.opened import SANDBOX_UID
from runner.places import cache_home
from runner.redact import known_secrets, mask, mask_values
from runner.stages.baseline import Blamed, baseline_of, gates_used
from runner.stages.context import Context
from runner.stages.environments import environment_of
from runner.stages.names import journal_ref
from runner.stages.start import HEADS, target_of, untracked
from sandbox.base import SandboxError
from sandbox.docker import Engine
from sandbox.image import SetupFailed, ensure_image
from sandbox.workspace import probe

TAIL = 20  # lines of a log that are shown


def check_pipeline(
    pipeline: Pipeline,
    repository: Repository,
    engine: Engine,
    environ: Mapping[str, str],
    on_line: Callable[[str], None] = lambda line: None,
) -> Iterator[Check]:
    """The environment and each gate on the target branch, as a run would do it before its first paid call.

    What a run would build or judge anew is kept for it. `on_line` gets what setup says.
    """
    try:
        target = target_of(repository, pipeline)
        tip = resolve(repository, f"{HEADS}{target}")
        if tip is None:
            raise GitError(f"there is no branch {target}: git branch {target}")
    except GitError as error:
        sentence, _, todo = str(error).partition(": ")
        yield Check("target", False, sentence, todo)
        return
    yield Check("target", True, f"{target} at {tip[:12]}")
    try:
        with _context(pipeline, repository, engine, environ, on_line) as context:
            tree, began = tree_of(repository, tip), time.monotonic()
            environment = environment_of(context, tree)
            yield Check("setup", True, f"{time.monotonic() - began:.0f} s" if pipeline.sandbox.setup else "none")
            for gate in gates_used(context):
                found = baseline_of(context, gate, tree, tip, environment)
                yield _gate(gate.name, context.target, found)
    except SetupFailed as failed:
        yield Check("setup", False, _tail(str(failed)), "mend `sandbox: setup` in the pipeline file")
    except (SandboxError, GitError) as error:
        yield Check("setup", False, str(error), "mend this, then run relay doctor again")


def _gate(name: str, target: str, found: Baseline | Blamed) -> Check:
    if isinstance(found, Blamed):
        log = _tail(found.log.decode(errors="replace"))
        fix = f"make `gates: {name}: run` pass on {target}: relay starts from what is green"
        return Check(f"gate {name}", False, f"{found.why}\n{log}", fix)
    if found.results == "exit-code":
        return Check(f"gate {name}", True, f"judged by its exit code, {found.seconds:.0f} s")
    told = [f"{len(found.known)} test{'' if len(found.known) == 1 else 's'}"]
    told += [f"{len(found.reds)} old reds"] if found.reds else []
    told += [f"flaky, left out: {', '.join(found.flaky)}"] if found.flaky else []
    return Check(f"gate {name}", True, ", ".join([*told, f"{found.seconds:.0f} s"]))


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-TAIL:])


@contextmanager
def _context(
    pipeline: Pipeline,
    repository: Repository,
    engine: Engine,
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Iterator[Context]:
    """What the stages work with, without a run: no journal is written, no model can be asked."""
    run = f"doctor-{uuid.uuid4().hex[:12]}"
    uid, gid = (os.getuid(), os.getgid()) if os.getuid() else (SANDBOX_UID, SANDBOX_UID)
    secrets = known_secrets(environ)

    def emit(_event: str, /, **keys: object) -> None:
        if isinstance(line := keys.get("line"), str):
            on_line(line)

    policy, target = pipeline.sandbox, target_of(repository, pipeline)
    image = ensure_image(engine, policy.image, pull=policy.pull, on_line=on_line)
    with tempfile.TemporaryDirectory(dir=repository.state, prefix="doctor-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Ledger(folder / "ledger.jsonl", Limit(None, None, None), time.monotonic) as ledger:
            yield Context(
                run=run,
                epoch=1,
                pipeline=pipeline,
                target=target,
                repository=repository,
                engine=engine,
                backend=probe(engine, image, folder, uid, gid),
                image=image,
                files=untracked(repository, policy.files),
                began=resolve(repository, f"{HEADS}{target}") or "",
                named=(),
                sources={},
                uid=uid,
                gid=gid,
                folder=folder,
                cache=cache_home(environ),
                journal=Journal(repository, journal_ref(run)),
                ledger=ledger,
                emit=emit,
                mask=lambda text: mask(text, secrets),
                mask_values=lambda value: mask_values(value, secrets),
                cancelled=threading.Event(),
                environ=environ,
                wall=time.time,
                clock=time.monotonic,
            )
