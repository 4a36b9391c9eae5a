"""From checked plain values to the frozen `Pipeline`, with the files it names read in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar, cast

from pipelines.check import BAD, Findings, Path, check
from pipelines.files import FileRefused, Files
from pipelines.keys import PIPELINE, REPLIES
from pipelines.pipeline import (
    Budget,
    Gate,
    Limits,
    Pipeline,
    Price,
    Results,
    Role,
    SandboxPolicy,
    ScriptedCall,
    ScriptedReply,
    Stage,
    Task,
    Verb,
)
from pipelines.problems import shown
from pipelines.tasks import YamlReader, check_ids, in_run_order, is_file, is_pattern, numbered, task_of_file

MOST_TEXT = 1024 * 1024  # bytes of a prompt or a task
MOST_REPLIES = 16 * 1024 * 1024  # bytes of a file of scripted replies, which may hold whole files
MOST_REPLY_VALUES = 200_000

Values = dict[str, object]
T = TypeVar("T")


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
    source = _Source(draft, files, read_yaml)
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


class _Source:
    """Reads the files that the pipeline names, keeps what it read, and says where a name that fails stands."""

    def __init__(self, draft: Draft, files: Files, read_yaml: YamlReader) -> None:
        self.draft, self.found = draft, draft.found
        self.files, self.read_yaml = files, read_yaml
        self.scripts: dict[str, tuple[ScriptedReply, ...]] = {}
        self.named: list[str] = []

    def text(self, name: str, path: Path, most: int) -> str | None:
        """The text of a named file; None when it cannot be had, which is told at `path`."""
        try:
            raw = self.files.read(name, most)
        except FileRefused as refused:
            key = next(part for part in reversed(path) if isinstance(part, str))
            self.found.add(self.found.at[path], f"{shown(name)} in `{key}`: {refused}", refused.hint)
            return None
        self.draft.read[name] = raw
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self._of_file(name).add((line, 1), "the file is not UTF-8", "save it as UTF-8")
            return None

    def _of_file(self, name: str) -> Findings:
        """Findings about a named file; its problems are told with the pipeline's."""
        return Findings(self.files.shown(name), self.found.problems)

    def prompt(self, name: str, path: Path) -> str | None:
        self.named.append(name)
        text = self.text(name, path, MOST_TEXT)
        if text is not None and not text.strip():
            self.found.add(self.found.at[path], f"the prompt {shown(name)} is empty", "write it, or delete the key")
        return text

    def script(self, model: str, path: Path) -> None:
        """Read the replies of `scripted/FILE`, once."""
        name = model.removeprefix("scripted/")
        if model in self.scripts:
            return
        self.named.append(name)
        self.scripts[model] = ()
        text = self.text(name, path, MOST_REPLIES)
        if text is None:
            return
        found = self._of_file(name)
        root = self.read_yaml(text, found, most_values=MOST_REPLY_VALUES)
        checked = BAD if root is None else check(root, REPLIES, found)
        if checked is not BAD:
            self.scripts[model] = _replies(cast("Values", checked), found)

    def tasks(self, entries: list[object], more: tuple[str, ...]) -> tuple[Task, ...]:
        tasks: list[Task] = []
        found = {"": self.found}
        at = {}
        for place, entry in enumerate(entries):
            path: Path = ("tasks", place)
            if not isinstance(entry, str):
                continue
            if not is_file(entry):
                self._warn_of_path(entry, path)
                tasks.append(Task("", entry.strip()))
                continue
            self.named.append(entry)
            names = self.files.match(entry) if is_pattern(entry) else [entry]
            if not names:
                self.found.add(
                    self.found.at[path], f"{shown(entry)} matches no file", "check the path", severity="warning"
                )
            for name in names:
                if name in found:
                    continue
                text = self.text(name, path, MOST_TEXT)
                found[name] = self._of_file(name)
                if text is not None:
                    tasks.append(task_of_file(name, text, found[name], self.read_yaml))
                    at[name] = found[name].at.get(("id",), (1, 1))
        named = numbered([*tasks, *(Task("", text.strip()) for text in more)])
        check_ids(named, found, at)
        return in_run_order(named)

    def _warn_of_path(self, entry: str, path: Path) -> None:
        if "/" in entry and not any(char.isspace() for char in entry):
            what = f"the task {shown(entry)} looks like a path"
            self.found.add(self.found.at[path], what, "a task file ends in `.md`; a text is a sentence")


def _replies(values: Values, found: Findings) -> tuple[ScriptedReply, ...]:
    replies: list[ScriptedReply] = []
    seen: set[tuple[object, ...]] = set()
    for place, entry in enumerate(cast("list[object]", values.get("replies", []))):
        if not isinstance(entry, dict) or "role" not in entry or "step" not in entry:
            continue
        reply = ScriptedReply(
            role=entry["role"],
            step=entry["step"],
            task=entry.get("task"),
            change=entry.get("change"),
            round=entry.get("round"),
            text=entry.get("text", ""),
            calls=tuple(
                ScriptedCall(call["tool"], call.get("args", {}))
                for call in entry.get("calls", [])
                if isinstance(call, dict) and "tool" in call
            ),
        )
        key = (reply.role, reply.task, reply.change, reply.round, reply.step)
        if key in seen:
            at = found.at[("replies", place)]
            found.add(at, "a second reply for the same role, task, change, round and step", "delete one")
        seen.add(key)
        replies.append(reply)
    return tuple(replies)


def _role(name: str, checked: object, source: _Source) -> Role:
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
        max_steps=_get(values, "max-steps", Role.max_steps),
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
        image=_get(values, "image", SandboxPolicy.image),
        pull=_get(values, "pull", SandboxPolicy.pull),
        setup=_get(values, "setup", None),
        setup_inputs=_texts(values, "setup-inputs") if "setup-inputs" in values else None,
        env=env,
        files=_texts(values, "files"),
        network=_get(values, "network", SandboxPolicy.network),
        limits=Limits(
            cpus=Limits.cpus if cpus is None else float(cpus),
            memory=_get(limits, "memory", Limits.memory),
            pids=_get(limits, "pids", Limits.pids),
            output=_get(limits, "output", Limits.output),
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
        min_tests=_get(values, "min-tests", Gate.min_tests),
        timeout=_get(values, "timeout", Gate.timeout),
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
    default = next(name for name in (verb, *(f"{verb}-{n}" for n in range(2, 10_000))) if name not in taken)
    objects = values.get(verb, ())
    return Stage(
        name=_get(values, "name", default),
        verb=verb,
        objects=(objects,) if isinstance(objects, str) else _texts(values, verb),
        max_changes=_get(values, "max-changes", Stage.max_changes),
        max_rounds=_get(values, "max-rounds", Stage.max_rounds),
        timeout=_get(values, "timeout", Stage.timeout),
        idle_timeout=_get(values, "idle-timeout", Stage.idle_timeout),
        may_change=_texts(values, "may-change"),
        checkout=_get(values, "checkout", Stage.checkout),
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
