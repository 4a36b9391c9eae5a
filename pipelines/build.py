"""From checked plain values to the frozen `Pipeline`, with the files it names read in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, count
from typing import TypeVar, cast

from pipelines.check import check
from pipelines.files import Files
from pipelines.findings import BAD, Findings, Path
from pipelines.keys import PIPELINE
from pipelines.pipeline import (
    Budget,
    Gate,
    Limits,
    Pipeline,
    Price,
    Results,
    Role,
    SandboxPolicy,
    Stage,
    Verb,
)
from pipelines.sources import Source
from pipelines.tasks import YamlReader

Values = dict[str, object]
T = TypeVar("T")

# What holds for a key that is not there.
_ROLE, _GATE, _STAGE = Role("", ""), Gate("", ""), Stage("", "merge", ())
_POLICY, _LIMITS = SandboxPolicy(), Limits()


@dataclass
class Draft:
    """What could be made of a file, for the checks that follow. `pipeline` None: nothing could."""

    found: Findings
    pipeline: Pipeline | None = None
    read: dict[str, bytes] = field(default_factory=dict)  # files read, by the names that the pipeline uses
    roles: frozenset[str] | None = None  # also those that have mistakes, as for the gates; None: unreadable
    gates: frozenset[str] | None = None
    places: tuple[int, ...] = ()  # where in the file's list each stage of the pipeline stands
    whole: bool = False  # the stages could all be read, so that their order can be judged


def build(name: str, text: str, files: Files, read_yaml: YamlReader, tasks: tuple[str, ...] = ()) -> Draft:
    """A draft of the pipeline `text`; problems are in `Draft.found`. `tasks` are texts that join those of the file."""
    draft = Draft(Findings(name))
    root = read_yaml(text, draft.found)
    if root is None:
        return draft
    checked = check(root, PIPELINE, draft.found)
    if checked is BAD:
        return draft
    top = cast("Values", checked)
    source = Source(draft.found, files, read_yaml)
    draft.read = source.read
    roles = _mapping(top, "roles")
    gates = _mapping(top, "gates")
    stages = cast("list[object]", top.get("stages", []))
    draft.places = tuple(place for place, stage in enumerate(stages) if stage is not BAD)
    draft.whole = bool(stages) and BAD not in stages
    draft.roles = frozenset(roles) if "roles" in top else None
    draft.gates = frozenset(gates) if "gates" in top or ("gates",) not in draft.found.at else None
    built = {role: _role(role, values, source) for role, values in roles.items() if _is_record(values)}
    draft.pipeline = Pipeline(
        name=name,
        target=_get(top, "target", None),
        roles=built,
        sandbox=_sandbox(_mapping(top, "sandbox")),
        gates={gate: _gate(gate, cast("Values", values)) for gate, values in gates.items() if _is_record(values)},
        stages=_stages(stages, draft.found),
        tasks=source.tasks(cast("list[object]", top.get("tasks", [])), tasks),
        budget=_budget(_mapping(top, "budget")),
        prices={model: _price(cast("Values", v)) for model, v in _mapping(top, "prices").items() if _is_price(v)},
        scripts=source.scripts,
        named_files=tuple(dict.fromkeys(source.named)),
    )
    return draft


def _is_record(value: object) -> bool:
    return value is not BAD


def _is_price(value: object) -> bool:
    return isinstance(value, dict) and "input" in value and "output" in value


def _mapping(values: Values, key: str) -> Values:
    return cast("Values", values.get(key, {}))


def _get(values: Values, key: str, default: T) -> T:
    return cast("T", values.get(key, default))


def _texts(values: Values, key: str) -> tuple[str, ...]:
    return tuple(text for text in cast("list[object]", values.get(key, [])) if isinstance(text, str))


def _role(name: str, checked: object, source: Source) -> Role:
    values = cast("Values", checked)
    path: Path = ("roles", name)
    model = _get(values, "model", "")
    fallbacks = _texts(values, "fallbacks")
    for one, where in [(model, (*path, "model")), *((f, (*path, "fallbacks", n)) for n, f in enumerate(fallbacks))]:
        if one.startswith("scripted/"):
            source.script(one, where)
    prompt = cast("str | None", values.get("prompt"))
    return Role(
        name=name,
        model=model,
        fallbacks=fallbacks,
        effort=_get(values, "effort", None),
        prompt=None if prompt is None else source.prompt(prompt, (*path, "prompt")),
        context=_texts(values, "context"),
        max_steps=_get(values, "max-steps", _ROLE.max_steps),
        base_url=_get(values, "base-url", None),
        api_key_env=_get(values, "api-key-env", None),
        max_output_tokens=_get(values, "max-output-tokens", None),
        context_window=_get(values, "context-window", None),
    )


def _sandbox(values: Values) -> SandboxPolicy:
    limits = _mapping(values, "limits")
    env = {key: value for key, value in _mapping(values, "env").items() if isinstance(value, str)}
    cpus = cast("Decimal | None", limits.get("cpus"))
    return SandboxPolicy(
        image=_get(values, "image", _POLICY.image),
        pull=_get(values, "pull", _POLICY.pull),
        setup=_get(values, "setup", None),
        setup_inputs=_texts(values, "setup-inputs") if "setup-inputs" in values else None,
        env=env,
        files=_texts(values, "files"),
        network=_get(values, "network", _POLICY.network),
        limits=Limits(
            cpus=_LIMITS.cpus if cpus is None else float(cpus),
            memory=_get(limits, "memory", _LIMITS.memory),
            pids=_get(limits, "pids", _LIMITS.pids),
            output=_get(limits, "output", _LIMITS.output),
        ),
    )


def _gate(name: str, values: Values) -> Gate:
    results = values.get("results")
    if isinstance(results, dict):
        reading = Results("junit", cast("str | None", results.get("junit")))
    else:
        reading = Results(_get(values, "results", None))
    return Gate(
        name=name,
        run=_get(values, "run", ""),
        results=reading,
        protected_files=_texts(values, "protected-files") if "protected-files" in values else None,
        min_tests=_get(values, "min-tests", _GATE.min_tests),
        timeout=_get(values, "timeout", _GATE.timeout),
    )


def _stages(entries: list[object], found: Findings) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        stage = _stage(cast("Values", entry), stages)
        if any(stage.name == other.name for other in stages):
            at = found.at[("stages", place, "name")]
            found.add(at, f"a second stage with the name `{stage.name}`", "give it another `name:`")
        stages.append(stage)
    return tuple(stages)


def _stage(values: Values, before: list[Stage]) -> Stage:
    verb = cast("Verb", values["verb"])
    taken = {stage.name for stage in before}
    default = next(name for name in chain([verb], (f"{verb}-{n}" for n in count(2))) if name not in taken)
    objects = values.get(verb, ())
    return Stage(
        name=_get(values, "name", default),
        verb=verb,
        objects=(objects,) if isinstance(objects, str) else _texts(values, verb),
        max_changes=_get(values, "max-changes", _STAGE.max_changes),
        max_rounds=_get(values, "max-rounds", _STAGE.max_rounds),
        timeout=_get(values, "timeout", _STAGE.timeout),
        idle_timeout=_get(values, "idle-timeout", _STAGE.idle_timeout),
        may_change=_texts(values, "may-change"),
        checkout=_get(values, "checkout", _STAGE.checkout),
    )


def _budget(values: Values) -> Budget:
    return Budget(_get(values, "max-cost", None), _get(values, "max-tokens", None), _get(values, "max-time", None))


def _price(values: Mapping[str, object]) -> Price:
    return Price(
        input=cast("Decimal", values["input"]),
        output=cast("Decimal", values["output"]),
        cache_read=cast("Decimal | None", values.get("cache-read")),
        cache_write=cast("Decimal | None", values.get("cache-write")),
    )
