"""A pipeline as relay understands it, for `pipeline show` and `--dry-run`: one set of facts, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from pipelines import units
from pipelines.pipeline import Budget, Gate, Pipeline, Role, Stage
from pipelines.problems import printable

Facts = dict[str, object]

# Of every repository, at any depth: what the host, its tools or the next run obey.
HOST_FILES = (
    "Makefile",
    "GNUmakefile",
    "*.mk",
    "AGENTS.md",
    "CLAUDE.md",
    ".github/**",
    ".envrc",
    ".vscode/**",
    ".husky/**",
    ".pre-commit-config.yaml",
    ".gitattributes",
    ".gitmodules",
)


def describe(
    pipeline: Pipeline,
    *,
    target: str | None = None,
    protected: Mapping[str, tuple[str, ...]] | None = None,
    host_files: tuple[str, ...] = HOST_FILES,
) -> Facts:
    """The facts of a pipeline as JSON has them: snake_case, bytes, seconds, USD; null where unknown.

    `target` is the branch that is checked out, for a pipeline that names none; `protected` are the patterns that hold
    in its tree, by gate.
    """
    policy = pipeline.sandbox
    return {
        "name": pipeline.name,
        "target": pipeline.target or target,
        "stages": [_stage(stage, pipeline) for stage in pipeline.stages],
        "roles": [_role(role) for role in pipeline.roles.values()],
        "sandbox": {
            "image": policy.image,
            "pull": policy.pull,
            "setup": policy.setup,
            "setup_inputs": None if policy.setup_inputs is None else list(policy.setup_inputs),
            "network": policy.network,
            "env": sorted(policy.env),
            "files": list(policy.files),
            "limits": {
                "cpus": policy.limits.cpus,
                "memory": policy.limits.memory,
                "pids": policy.limits.pids,
                "output": policy.limits.output,
            },
        },
        "gates": [_gate(gate, protected) for gate in pipeline.gates.values()],
        "host_paths": host_paths(pipeline, host_files),
        "tasks": [
            {
                "id": task.id,
                "title": task.text.strip().splitlines()[0].lstrip("# "),
                "source": task.source,
                "needs": list(task.needs),
                "priority": task.priority,
                "may_change": list(task.may_change),
            }
            for task in pipeline.tasks
        ],
        "budget": _budget(pipeline.budget),
    }


def host_paths(pipeline: Pipeline, host_files: tuple[str, ...] = HOST_FILES) -> list[str]:
    """What only the user may let land: the pipeline file, what it names, and what the host obeys in any repository."""
    context = [path for role in pipeline.roles.values() for path in role.context]
    return list(dict.fromkeys([pipeline.name, *pipeline.named_files, *context, *host_files]))


def _stage(stage: Stage, pipeline: Pipeline) -> Facts:
    facts: Facts = {"name": stage.name, "verb": stage.verb}
    match stage.verb:
        case "plan" | "implement" | "review":
            facts["roles"] = [{"name": name, "model": pipeline.roles[name].model} for name in stage.objects]
        case "test":
            facts["gates"] = list(stage.objects)
        case "approve":
            facts["by"] = stage.objects[0]
        case "merge":
            facts |= {"strategy": stage.objects[0], "checkout": stage.checkout}
    if stage.verb == "plan":
        facts["max_changes"] = stage.max_changes
    if stage.verb == "implement":
        facts |= {"max_rounds": stage.max_rounds, "timeout": stage.timeout, "idle_timeout": stage.idle_timeout}
        facts["may_change"] = list(stage.may_change)
    return facts


def _role(role: Role) -> Facts:
    return {
        "name": role.name,
        "model": role.model,
        "fallbacks": list(role.fallbacks),
        "effort": role.effort,
        "own_prompt": role.prompt is not None,
        "context": list(role.context),
        "max_steps": role.max_steps,
        "base_url": role.base_url,
        "api_key_env": role.api_key_env,
        "max_output_tokens": role.max_output_tokens,
        "context_window": role.context_window,
    }


def _gate(gate: Gate, protected: Mapping[str, tuple[str, ...]] | None) -> Facts:
    files = gate.protected_files if protected is None else protected[gate.name]
    return {
        "name": gate.name,
        "run": gate.run,
        "results": gate.results.kind,
        "results_path": gate.results.path,
        "protected_files": None if files is None else list(files),
        "protected_by_default": gate.protected_files is None,
        "min_tests": gate.min_tests,
        "timeout": gate.timeout,
    }


def _budget(budget: Budget) -> Facts:
    cost = None if budget.max_cost is None else float(budget.max_cost)
    return {"max_cost_usd": cost, "max_tokens": budget.max_tokens, "max_time": budget.max_time}


def render(facts: Facts) -> str:
    """The facts of `describe` for people: a line each, nothing in it that steers a terminal."""
    sandbox = cast("Facts", facts["sandbox"])
    limits = cast("Facts", sandbox["limits"])
    lines = [f"pipeline  {facts['name']}", f"target    {facts['target'] or 'the branch checked out now'}", "", "stages"]
    lines += [f"  {n}. {_stage_line(stage)}" for n, stage in enumerate(_list(facts["stages"]), 1)]
    lines += ["", "roles", *(f"  {_role_line(role)}" for role in _list(facts["roles"]))]
    lines += [
        "",
        f"image     {sandbox['image']} (pull: {sandbox['pull']})",
        f"setup     {_one_line(sandbox['setup'] or 'none')}",
        f"network   {sandbox['network']} in turns, none in gates",
        f"limits    {limits['cpus']:g} cpus, {_show(limits['memory'], 'size')} memory, {limits['pids']} pids, "
        f"{_show(limits['output'], 'size')} output",
    ]
    if sandbox["env"]:
        lines.append(f"env       {_names(sandbox['env'])}")
    if sandbox["files"]:
        lines.append(f"files     {_names(sandbox['files'])}")
    for gate in _list(facts["gates"]):
        lines += ["", f"gate      {gate['name']}", *(f"  {line}" for line in _gate_lines(gate))]
    lines += ["", "host paths (only you may let them change)", f"  {_names(facts['host_paths'])}", "", "tasks"]
    lines += [f"  {task['id']}: {_one_line(task['title'])}" for task in _list(facts["tasks"])] or ["  none in the file"]
    lines += ["", f"budget    {_budget_line(cast('Facts', facts['budget']))}"]
    return "\n".join(printable(line) for line in lines) + "\n"


def _list(value: object) -> list[Facts]:
    return cast("list[Facts]", value)


def _names(value: object) -> str:
    return ", ".join(cast("list[str]", value)) or "none"


def _show(value: object, family: units.Family) -> str:
    return units.show(cast("Decimal", value), family)


def _one_line(text: object) -> str:
    lines = [line.strip() for line in str(text).strip().splitlines()]
    return "; ".join(line for line in lines if line)


def _stage_line(stage: Facts) -> str:
    line = f"{stage['name']}: " if stage["name"] != stage["verb"] else ""
    line += str(stage["verb"])
    if "roles" in stage:
        line += " by " + " and ".join(f"{role['name']} ({role['model']})" for role in _list(stage["roles"]))
    if "gates" in stage:
        line += f" with {_names(stage['gates'])}"
    if "by" in stage:
        line += f" by {stage['by']}"
    if "strategy" in stage:
        line += f": {stage['strategy']}, checkout: {stage['checkout']}"
    if "max_changes" in stage:
        line += f", at most {stage['max_changes']} changes"
    if "max_rounds" in stage:
        line += f", at most {stage['max_rounds']} rounds of {_show(stage['timeout'], 'time')}"
        line += f", {_show(stage['idle_timeout'], 'time')} idle"
        line += f", may change {_names(stage['may_change'])}" if stage["may_change"] else ""
    return line


def _role_line(role: Facts) -> str:
    line = f"{role['name']}: {role['model']}, at most {role['max_steps']} steps"
    if role["fallbacks"]:
        line += f", then {_names(role['fallbacks'])}"
    if role["effort"]:
        line += f", effort {role['effort']}"
    if role["base_url"]:
        line += f", at {role['base_url']}"
    if role["api_key_env"]:
        line += f", key from {role['api_key_env']}"
    for key, words in (("max_output_tokens", "tokens a reply"), ("context_window", "tokens window")):
        if role[key]:
            line += f", {_show(role[key], 'tokens')} {words}"
    if role["own_prompt"]:
        line += ", with a prompt of its own"
    return line + (f", shown {_names(role['context'])}" if role["context"] else "")


def _gate_lines(gate: Facts) -> list[str]:
    files = gate["protected_files"]
    default = "the usual test files of Python, JavaScript and Go" if files is None else _names(files)
    default = default if files != [] or not gate["protected_by_default"] else "the usual test files: none is there yet"
    by = " (default)" if gate["protected_by_default"] else ""
    results = gate["results"] or "junit where the runner is known, else exit-code"
    at = f" at {gate['results_path']}" if gate["results_path"] else ""
    return [
        f"run        {_one_line(gate['run'])}",
        f"results    {results}{at}, at least {gate['min_tests']} passed",
        f"timeout    {_show(gate['timeout'], 'time')}",
        f"protected  {default}{by}",
    ]


def _budget_line(budget: Facts) -> str:
    parts = []
    if budget["max_cost_usd"] is not None:
        parts.append(f"{budget['max_cost_usd']:.2f} USD")
    if budget["max_tokens"] is not None:
        parts.append(f"{_show(budget['max_tokens'], 'tokens')} tokens")
    if budget["max_time"] is not None:
        parts.append(_show(budget["max_time"], "time"))
    return ", ".join(parts) or "unbounded"
