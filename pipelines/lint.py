"""Checks of a whole pipeline: its names, the order of its stages, and what the outside has to offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipelines.build import Draft
from pipelines.findings import Path, nearest
from pipelines.nodes import Position
from pipelines.pipeline import Budget, Pipeline, Role, Stage, Verb
from pipelines.problems import Problem, Severity, shown

# Where each vendor's key is looked for, in this order. `openai-compatible` and `scripted` need none.
KEYS: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}


@dataclass(frozen=True)
class Facts:
    """What the checks know of the outside."""

    env: frozenset[str]  # names of environment variables that are set and not empty
    branches: Callable[[], frozenset[str] | None]  # of the repository; None: there is none to look into
    price_known: Callable[[str], bool]  # whether the price list has `vendor/model`
    money_budget: bool = False  # one comes from the command line
    to_run: bool = True  # False: the file is judged, nothing starts: no task is needed, a missing key is a warning


def lint(draft: Draft, facts: Facts | None) -> tuple[Problem, ...]:
    """Problems and warnings of a draft, by position. Without facts, only what the file itself shows."""
    if draft.pipeline is None:
        return ()
    pipeline = draft.pipeline
    found = [*_names(draft), *_vendors(draft, pipeline), *_gates(draft, pipeline), *_order(draft, pipeline)]
    if facts is not None:
        found += [*_keys(draft, pipeline, facts), *_prices(draft, pipeline, facts), *_outside(draft, pipeline, facts)]
    if any(problem.severity == "error" for problem in (*found, *draft.found.problems)):
        # A missing key is told with the mistakes, since it is one when the pipeline runs.
        return tuple(replace(problem, severity="error") for problem in found)
    return (*found, *_warnings(draft, pipeline, facts is not None and facts.money_budget))


def used_roles(pipeline: Pipeline) -> tuple[Role, ...]:
    """The roles that a stage names, in the file's order."""
    named = {
        name for stage in pipeline.stages if stage.verb in ("plan", "implement", "review") for name in stage.objects
    }
    return tuple(role for role in pipeline.roles.values() if role.name in named)


def models(role: Role) -> Iterator[tuple[str, Path]]:
    """The models of a role, each with the place where the file names it."""
    if role.model:
        yield role.model, ("roles", role.name, "model")
    for place, model in enumerate(role.fallbacks):
        yield model, ("roles", role.name, "fallbacks", place)


def _vendor(model: str) -> str:
    return model.partition("/")[0]


def _at(draft: Draft, *paths: Path) -> Position:
    """The position of the first of the paths that the file has."""
    return next((draft.found.at[path] for path in paths if path in draft.found.at), (1, 1))


def _problem(draft: Draft, at: Position, what: str, hint: str, severity: Severity = "error") -> Problem:
    return Problem(draft.found.file, at[0], at[1], what, hint, severity)


def _stages(draft: Draft) -> Iterator[tuple[int, Stage]]:
    """The stages, each with its place in the file."""
    if draft.pipeline is not None:
        yield from zip(draft.places, draft.pipeline.stages, strict=True)


def _names(draft: Draft) -> Iterator[Problem]:
    """Every role and gate that a stage names exists."""
    for n, stage in _stages(draft):
        what = "gate" if stage.verb == "test" else "role"
        known = draft.gates if what == "gate" else draft.roles
        if known is None or stage.verb in ("approve", "merge"):
            continue
        for place, name in enumerate(stage.objects):
            if name not in known:
                meant = nearest(name, sorted(known))
                hint = f"did you mean `{meant}`?" if meant else f"{what}s: {', '.join(sorted(known)) or 'none'}"
                at = _at(draft, ("stages", n, stage.verb, place), ("stages", n, stage.verb))
                yield _problem(draft, at, f"there is no {what} {shown(name)}", hint)


def _vendors(draft: Draft, pipeline: Pipeline) -> Iterator[Problem]:
    """What a vendor needs is there, and what it has no use for is not."""
    for role in pipeline.roles.values():
        for model, path in models(role):
            reaches = role.base_url is not None and _vendor(model) == _vendor(role.model)
            written = ("roles", role.name, "base-url") in draft.found.at
            if _vendor(model) == "openai-compatible" and not reaches and not (written and model == role.model):
                hint = "add `base-url:` to a role of its own" if model != role.model else "add `base-url:` to the role"
                yield _problem(draft, _at(draft, path), f"{shown(model)} needs the address of its server", hint)
        for key in ("base-url", "api-key-env"):
            path = ("roles", role.name, key)
            if _vendor(role.model) == "scripted" and path in draft.found.at:
                yield _problem(draft, _at(draft, path), f"`{key}` has no effect on `scripted`", "delete it")


def _gates(draft: Draft, pipeline: Pipeline) -> Iterator[Problem]:
    for name, gate in pipeline.gates.items():
        path: Path = ("gates", name, "min-tests")
        if gate.results.kind == "exit-code" and path in draft.found.at:
            hint = "delete one of the two"
            yield _problem(draft, _at(draft, path), "`min-tests` has no effect with `results: exit-code`", hint)


def _order(draft: Draft, pipeline: Pipeline) -> Iterator[Problem]:
    """The list of stages makes sense: each finds above it what it works on, and nothing lands unjudged."""
    if not draft.whole:
        return
    stages = pipeline.stages
    verbs = [stage.verb for stage in stages]
    if "implement" not in verbs:
        at = _at(draft, ("stages",))
        yield _problem(draft, at, "no `implement` stage, so nothing would be written", "add `- implement: ROLE`")
    for n, stage in enumerate(stages):
        above = verbs[:n]
        since = above[len(above) - above[::-1].index("implement") :] if "implement" in above else []
        told = _misplaced(stage, above, since, last=n == len(stages) - 1)
        below = verbs[n + 1 :]
        if stage.verb in ("review", "approve") and "merge" in below and not {"test", "implement"} & set(below):
            told = None  # told of the `merge`, which lacks the same test
        # Without any `implement`, that is the one thing to say.
        if told and ("implement" in verbs or stage.verb == "plan"):
            yield _problem(draft, _at(draft, ("stages", n, stage.verb), ("stages", n)), told[0], told[1])


def _misplaced(stage: Stage, above: list[Verb], since: list[Verb], *, last: bool) -> tuple[str, str] | None:
    """What is wrong with a stage's place: `above` it the verbs, `since` those after the nearest `implement`."""
    match stage.verb:
        case "plan" if above:
            return "`plan` must be the first stage, and there is one", "a spec is made once, before the work"
        case "test" | "review" | "approve" | "merge" if "implement" not in above:
            return f"`{stage.verb}` has no `implement` above it", "it works on what an `implement` made: move it down"
        case "review" | "approve" if "test" not in since:
            what = f"`{stage.verb}` has no `test` between it and the `implement` above"
            return what, "only what passed its tests is worth a look: add `- test: GATE` above it"
        case "merge" if "test" not in since:
            what = "`merge` has no `test` between it and the `implement` above"
            return what, "nothing lands untested: add `- test: GATE` above it"
        case "merge" if "review" not in since and "approve" not in since:
            what = "`merge` has no `review` or `approve` between it and the `implement` above"
            return what, "nothing lands unreviewed: add `- review: ROLE` or `- approve: human` above it"
        case "merge" if not last:
            return "`merge` must be the last stage", "what has landed is done: move the stages below it above it"
        case _:
            return None


def _keys(draft: Draft, pipeline: Pipeline, facts: Facts) -> Iterator[Problem]:
    """Each vendor's key is in the environment; told once for each variable."""
    severity: Severity = "error" if facts.to_run else "warning"
    told: set[tuple[str, ...]] = set()
    for role in used_roles(pipeline):
        for model, path in models(role):
            names = key_names(role, model)
            if not names or names in told or facts.env & set(names):
                continue
            told.add(names)
            what = f"no key for {shown(model)} in the environment: {' or '.join(names)} is not set"
            yield _problem(draft, _at(draft, path), what, f"`export {names[0]}=...`", severity)


def key_names(role: Role, model: str) -> tuple[str, ...]:
    """The environment variables that may hold the key of one of the role's models; empty: it needs none.

    `base-url` and `api-key-env` belong to the role's own model and to fallbacks of the same vendor.
    """
    if _vendor(model) == "scripted":
        return ()
    if role.api_key_env is not None and _vendor(model) == _vendor(role.model):
        return (role.api_key_env,)
    return KEYS.get(_vendor(model), ())


def _prices(draft: Draft, pipeline: Pipeline, facts: Facts) -> Iterator[Problem]:
    """With a money budget every model has a known price: an unknown one is never 0."""
    if pipeline.budget.max_cost is None and not facts.money_budget:
        return
    told: set[str] = set()
    for role in used_roles(pipeline):
        for model, path in models(role):
            priced = ("prices", model) in draft.found.at or _vendor(model) == "scripted" or model in told
            if not priced and not facts.price_known(model):
                told.add(model)
                key = f'"{model}"' if ":" in model else model
                line = f"prices: {{{key}: {{input: 0.00, output: 0.00}}}}"
                what = f"the price of {shown(model)} is unknown, and `max-cost` needs it"
                hint = f"add `{line}` with the USD per million tokens"
                yield _problem(draft, _at(draft, path), what, hint)


TASK_EXAMPLE = '`tasks: ["Add a --version option"]` or `--task "Add a --version option"`'


def _outside(draft: Draft, pipeline: Pipeline, facts: Facts) -> Iterator[Problem]:
    """The target exists, and there is something to do."""
    target = pipeline.target
    branches = facts.branches() if target is not None else None
    if target is not None and branches is not None and target not in branches:
        meant = nearest(target, sorted(branches))
        hint = f"did you mean `{meant}`?" if meant else f"make it with `git branch {target}`"
        yield _problem(draft, _at(draft, ("target",)), f"there is no branch {shown(target)}", hint)
    if facts.to_run and not pipeline.tasks and not _has_problem_in(draft, ("tasks",)):
        yield _problem(draft, _at(draft, ("tasks",), ()), "no task, so there is nothing to do", f"add {TASK_EXAMPLE}")


def _has_problem_in(draft: Draft, path: Path) -> bool:
    """Whether something at or below `path` is told already."""
    places = {at for known, at in draft.found.at.items() if known[: len(path)] == path}
    return any((problem.line, problem.column) in places for problem in draft.found.problems)


def _warnings(draft: Draft, pipeline: Pipeline, money_budget: bool) -> Iterator[Problem]:
    """What may be meant so, and is worth a second look."""

    def warn(path: Path, what: str, hint: str) -> Problem:
        return _problem(draft, _at(draft, path, path[:-1]), what, hint, "warning")

    budget = pipeline.budget
    if not money_budget and budget == Budget():
        yield warn(("budget",), "no budget, so nothing bounds what a run costs", "add `budget: {max-cost: 10.00}`")
    authors = {pipeline.roles[s.objects[0]].model for s in pipeline.stages if s.verb == "implement"}
    for n, stage in _stages(draft):
        for place, name in enumerate(stage.objects if stage.verb == "review" else ()):
            model = pipeline.roles[name].model
            if model in authors and _vendor(model) != "scripted":
                what = f"`{name}` reviews with the implementer's own model, {shown(model)}"
                where: Path = ("stages", n, "review", place)
                yield warn(where, what, "another model sees other mistakes")
    for name, gate in pipeline.gates.items():
        if gate.protected_files == ():
            hint = "delete the key for the defaults, or name the tests"
            what = f"the gate `{name}` protects no file, so the implementer may rewrite the tests that judge it"
            yield warn(("gates", name, "protected-files"), what, hint)
    yield from _unused(draft, pipeline)


def _unused(draft: Draft, pipeline: Pipeline) -> Iterator[Problem]:
    tested = {name for stage in pipeline.stages if stage.verb == "test" for name in stage.objects}
    for name in pipeline.gates:
        if name not in tested:
            at = _at(draft, ("gates", name))
            yield _problem(draft, at, f"no stage uses the gate `{name}`", "add it to a `test` stage", "warning")
    used = {role.name for role in used_roles(pipeline)}
    for name in pipeline.roles:
        if name not in used:
            yield _problem(draft, _at(draft, ("roles", name)), f"no stage uses the role `{name}`", "use it", "warning")
    if all(stage.verb != "merge" for stage in pipeline.stages):
        what = "no `merge` stage, so nothing lands and each change's branch waits for you"
        yield _problem(
            draft, _at(draft, ("stages",)), what, "add `- merge: squash` to land what was approved", "warning"
        )
