"""The frozen values that a checked pipeline file becomes. No YAML here, no I/O, no defaults by magic.

Sizes are bytes, durations are seconds, money is USD, prices are USD per million tokens.
After loading, nobody sees a dict of the file again. Tuples, not dataclasses, for the reason that `kinds.py` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple

Verb = Literal["plan", "implement", "test", "review", "approve", "merge"]
Effort = Literal["low", "medium", "high", "max"]
Pull = Literal["missing", "never", "always"]
Network = Literal["none", "full"]
MergeStrategy = Literal["squash"]
Checkout = Literal["hold"]


class ScriptedCall(NamedTuple):
    """A tool call that a scripted reply plays."""

    tool: str
    args: Mapping[str, object]


class ScriptedReply(NamedTuple):
    """One reply of the `scripted` vendor, chosen by (role, task, change, round, step); None matches any."""

    role: str
    step: int
    task: str | None = None
    change: str | None = None
    round: int | None = None
    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()


class Role(NamedTuple):
    """A name and a model to go with it. `model` is `vendor/name`; `prompt` is the text, not the path."""

    name: str
    model: str
    fallbacks: tuple[str, ...] = ()
    effort: Effort | None = None
    prompt: str | None = None
    context: tuple[str, ...] = ()  # paths in the target's tree
    max_steps: int = 80
    base_url: str | None = None
    api_key_env: str | None = None
    max_output_tokens: int | None = None  # None: the model's own default of relay
    context_window: int | None = None  # None: what relay knows of the model


class Limits(NamedTuple):
    """What one sandbox may use at most."""

    cpus: float = 2.0
    memory: int = 4 * 1024**3
    pids: int = 512
    output: int = 1024**2  # bytes of output kept per command, head and tail


class SandboxPolicy(NamedTuple):
    """The container around a turn or a gate. `setup_inputs` None means: the usual manifests that are found."""

    image: str = "debian"
    pull: Pull = "missing"
    setup: str | None = None
    setup_inputs: tuple[str, ...] | None = None
    env: Mapping[str, str] = MappingProxyType({})
    files: tuple[str, ...] = ()  # untracked files of the user's work tree, relative to the repository
    network: Network = "none"  # of turns; a gate never has the network
    limits: Limits = Limits()


class Results(NamedTuple):
    """How a gate's outcome is read. `junit` with a path: the runner's own report; kind None: found out on L."""

    kind: Literal["junit", "exit-code"] | None = None
    path: str | None = None


class Gate(NamedTuple):
    """How a tree is tested. `protected_files` None: the shipped defaults of the ecosystems found."""

    name: str
    run: str
    results: Results = Results()
    protected_files: tuple[str, ...] | None = None
    min_tests: int = 1
    timeout: float = 600.0


class Stage(NamedTuple):
    """One verb and its objects: role names (plan, implement, review), gate names (test), `human`, or a strategy."""

    name: str
    verb: Verb
    objects: tuple[str, ...]
    max_changes: int = 8  # plan
    max_rounds: int = 4  # implement
    timeout: float = 1800.0  # implement: of a turn
    idle_timeout: float = 600.0  # implement: without a reply or a tool result
    may_change: tuple[str, ...] = ()  # implement: permission of the user for every change
    checkout: Checkout = "hold"  # merge


class Budget(NamedTuple):
    """Limits of a whole run. None: unbounded."""

    max_cost: Decimal | None = None
    max_tokens: int | None = None
    max_time: float | None = None


class Price(NamedTuple):
    """USD per million tokens. Cache rates that are absent count as `input`."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


class Task(NamedTuple):
    """What the user asks. `source` is the file's path as the pipeline names it; None for text."""

    id: str
    text: str
    source: str | None = None
    needs: tuple[str, ...] = ()
    priority: int = 0
    may_change: tuple[str, ...] = ()
    explicit_id: bool = False  # the id stands in the front matter, so it is the identity


class Pipeline(NamedTuple):
    """A checked pipeline: every name in it exists, every file it names has been read."""

    name: str  # the file's name as the user gave it
    target: str | None  # None: the branch that is checked out at start
    roles: Mapping[str, Role]
    sandbox: SandboxPolicy
    gates: Mapping[str, Gate]
    stages: tuple[Stage, ...]
    tasks: tuple[Task, ...] = ()
    budget: Budget = Budget()
    prices: Mapping[str, Price] = MappingProxyType({})
    scripts: Mapping[str, tuple[ScriptedReply, ...]] = MappingProxyType({})  # by model
    named_files: tuple[str, ...] = ()  # every path the file names, relative to it: host paths
