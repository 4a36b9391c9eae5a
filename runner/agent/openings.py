"""The message that opens a turn, for each role. Pure: everything comes in, and the same input gives the same text.

Headings are relay's; whatever the repository, the user's task or another model wrote stands inside a fence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runner.agent.endings import Review, Spec, SpecChange
from runner.agent.evidence import Evidence, comment_text, evidence_text
from runner.agent.fences import fenced
from runner.agent.outputs import capped
from runner.agent.patches import DIFF_LIMIT, bounded
from runner.agent.treemap import tree_map

INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md")  # of the target, shown to planner and implementer where they are
INSTRUCTIONS_LIMIT = 24_000  # bytes of each such file, and of each `context` file


@dataclass(frozen=True)
class GateFacts:
    """A gate, as a role has to know it. `protected` are gitignore patterns; `results` is junit or exit-code."""

    name: str
    run: str
    results: str
    timeout: float
    min_tests: int = 1
    protected: Sequence[str] = ()
    baseline: str = ""  # what the landing branch's own run gave, in a sentence


@dataclass(frozen=True)
class Project:
    """What a turn is told of the project. `texts` are its instructions and `context` files, by path."""

    paths: Sequence[str]
    gates: Sequence[GateFacts]
    texts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()  # relay's own remarks: submodules, LFS, what setup leaves


@dataclass(frozen=True)
class PlanFacts:
    """The task, and the limits of a plan. `allowed` are host paths that the user permits; `landed` what is done."""

    task: str
    max_changes: int
    allowed: Sequence[str] = ()
    landed: Sequence[str] = ()


@dataclass(frozen=True)
class ChangeFacts:
    """A change of a spec. `permitted` are patterns that may be changed although protected, from whomever."""

    spec: Spec
    number: int  # from 1
    permitted: Sequence[str] = ()

    @property
    def change(self) -> SpecChange:
        return self.spec.changes[self.number - 1]


@dataclass(frozen=True)
class RoundFacts:
    """Where in its rounds a change stands, and why it came back."""

    round: int = 1
    max_rounds: int = 4
    evidence: Sequence[Evidence] = ()


@dataclass(frozen=True)
class Earlier:
    """A review of an earlier round, and what the implementer said after it."""

    round: int
    role: str
    review: Review
    answer: str = ""


@dataclass(frozen=True)
class ReviewFacts:
    """What a reviewer judges. `ids` name landing branch, head and candidate; `patch` is the diff between them."""

    ids: Mapping[str, str]
    patch: bytes
    verdict: str
    summary: str = ""  # the implementer's own
    flags: Sequence[str] = ()
    to_acknowledge: Sequence[str] = ()
    ignored: Sequence[str] = ()
    earlier: Sequence[Earlier] = ()
    moved: bytes | None = None  # the difference of old and new candidate, after the landing branch moved
    limit: int = DIFF_LIMIT


@dataclass(frozen=True)
class PermitFacts:
    """A permission that is asked for. `why` is the gate's sentence."""

    paths: Sequence[str]
    why: str
    patch: bytes
    summary: str = ""
    limit: int = DIFF_LIMIT


def plan_opening(project: Project, facts: PlanFacts) -> str:
    """What the architect starts from."""
    landed = ""
    if facts.landed:
        landed = (
            "## Landed already\n\nAn earlier run landed these changes of this task; they are in the tree. Plan what "
            "is left, and nothing twice.\n\n" + fenced("landed changes", "\n".join(facts.landed))
        )
    allowed = ", ".join(f"`{pattern}`" for pattern in facts.allowed) or "none"
    limits = (
        f"## Limits\n\n- At most {facts.max_changes} {'change' if facts.max_changes == 1 else 'changes'}.\n"
        f"- Files for the user's own tools that the user allows to be changed: {allowed}."
    )
    ask = "Study the repository, then end your turn with `spec`."
    return _joined("## The task\n\n" + fenced("task", facts.task), landed, limits, _project(project), ask)


def implement_opening(project: Project, change: ChangeFacts, round_facts: RoundFacts) -> str:
    """What the implementer starts from; in later rounds with the evidence."""
    back = ""
    if round_facts.evidence:
        back = f"## Round {round_facts.round} of {round_facts.max_rounds}: why it came back\n\n" + "\n\n".join(
            evidence_text(evidence) for evidence in round_facts.evidence
        )
    rights = "## Permitted\n\nThis change has no permission to alter protected files. New tests need none."
    if change.permitted:
        rights = "## Permitted\n\nOf the protected files, this change may alter those that match:\n\n" + fenced(
            "patterns", "\n".join(change.permitted)
        )
    ask = "Build this change, test it, then end your turn with `done`."
    return _joined(_spec(change), rights, _project(project), back, ask)


def review_opening(project: Project, change: ChangeFacts, facts: ReviewFacts) -> str:
    """What a reviewer starts from."""
    ids = "\n".join(f"- {name}: {value}" for name, value in facts.ids.items())
    parts = [
        _spec(change),
        _permitted(change.permitted),
        f"## What would land\n\n{ids}",
        "## The gate\n\nThese are the results of relay's own run, not the author's words.\n\n"
        + fenced("verdict", facts.verdict),
        _flags(facts.flags),
        _diff("## The diff that would land", facts.patch, facts.limit),
        _acknowledge(facts.to_acknowledge),
        _ignored(facts.ignored),
    ]
    if facts.summary:
        parts.append("## What the author says\n\nClaims, to be checked.\n\n" + fenced("summary", facts.summary))
    if facts.earlier:
        parts.append("## Earlier rounds\n\n" + "\n\n".join(_earlier(earlier) for earlier in facts.earlier))
    if facts.moved is not None:
        parts.append(
            _diff(
                "## Since the last approval\n\nThe landing branch moved. This is the difference between the candidate "
                "that was approved and the one that would land now.",
                facts.moved,
                facts.limit // 2,
            )
        )
    ask = "Examine the candidate in `/work`, then end your turn with `review`."
    return _joined(*parts, _project(project), ask)


def permit_opening(project: Project, change: ChangeFacts, facts: PermitFacts) -> str:
    """What a permission turn starts from."""
    asked = (
        "## What is asked\n\nMay this change alter these protected files?\n\n"
        + fenced("paths", "\n".join(facts.paths))
        + "\n\n"
        + fenced("what the gate found", facts.why)
    )
    said = "## What the author says\n\n" + fenced("summary", facts.summary) if facts.summary else ""
    diff = _diff("## The diff", facts.patch, facts.limit)
    ask = "Look at the files, then end your turn with `permit`."
    return _joined(_spec(change), asked, diff, said, _project(project), ask)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _spec(facts: ChangeFacts) -> str:
    spec, change = facts.spec, facts.change
    others = "\n".join(f"{number}. {each.title}" for number, each in enumerate(spec.changes, start=1))
    return (
        "## The specification\n\n"
        + fenced("specification", f"{spec.title}\n\n{spec.body}")
        + (f"\n\nIts changes, in order:\n{fenced('changes', others)}" if len(spec.changes) > 1 else "")
        + f"\n\n## This change: {facts.number} of {len(spec.changes)}\n\n"
        + fenced("change", f"{change.title}\n\n{change.body}")
    )


def _project(project: Project) -> str:
    gates = "\n\n".join(_gate(gate) for gate in project.gates)
    notes = "## To know\n\n" + "\n".join(f"- {note}" for note in project.notes) if project.notes else ""
    texts = "\n\n".join(
        fenced("project file", capped(text, INSTRUCTIONS_LIMIT), about=path) for path, text in project.texts.items()
    )
    instructions = f"## The project's own instructions\n\n{texts}" if texts else ""
    tree = "## The tree\n\n" + fenced("files", tree_map(project.paths))
    return _joined("## How the work is tested\n\n" + gates if gates else "", notes, instructions, tree)


def _gate(gate: GateFacts) -> str:
    protected = ", ".join(f"`{pattern}`" for pattern in gate.protected) or "none"
    judged = (
        "judged test by test: every test that passes on the target must still pass, and at least "
        f"{gate.min_tests} must pass"
        if gate.results == "junit"
        else "judged by its exit status"
    )
    baseline = f"\n- The target itself: {gate.baseline}" if gate.baseline else ""
    return (
        f"Gate `{gate.name}`, at most {gate.timeout:.0f} s, without network, {judged}.\n\n"
        f"{fenced('command', gate.run)}\n\n- Protected files: {protected}{baseline}"
    )


def _diff(heading: str, patch: bytes, limit: int) -> str:
    shown = bounded(patch, limit)
    if not patch:
        return f"{heading}\n\n(no difference)"
    text = f"{heading}\n\n" + (fenced("diff", shown.text) if shown.text else "")
    if shown.is_complete:
        return f"{text}\n\nThe diff is complete."
    cut = "\n".join(f"{cut.path}: {cut.size} bytes, {cut.why}" for cut in shown.cut)
    return (
        f"{text}\n\n**{len(shown.cut)} files are left out of it.** Read them in the tree before you decide:\n\n"
        + fenced("left out", cut)
    )


def _flags(flags: Sequence[str]) -> str:
    if not flags:
        return ""
    return "## Flags\n\nrelay noticed this; look at each.\n\n" + fenced("flags", "\n".join(flags))


def _acknowledge(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    return (
        "## To acknowledge\n\nThese protected files, or new configuration files, change. An approval must name each "
        "in `acknowledge`.\n\n" + fenced("paths", "\n".join(paths))
    )


def _permitted(patterns: Sequence[str]) -> str:
    if not patterns:
        return ""
    return (
        "## Permitted\n\nThe change may alter protected files that match these patterns. Their tests were judged as "
        "the candidate has them, so nobody but you looks at whether they were weakened.\n\n"
        + fenced("patterns", "\n".join(patterns))
    )


def _ignored(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    shown = "\n".join(paths[:50]) + (f"\n... and {len(paths) - 50} more" if len(paths) > 50 else "")
    return (
        "## Not taken\n\nThe author made these files, but the project ignores them, so they do not land.\n\n"
        + fenced("ignored files", shown)
    )


def _earlier(earlier: Earlier) -> str:
    comments = "\n".join(comment_text(comment) for comment in earlier.review.comments)
    text = f"{earlier.review.decision}: {earlier.review.summary}" + (f"\n\n{comments}" if comments else "")
    answer = "\n\n" + fenced("what the author said then", earlier.answer) if earlier.answer else ""
    return f"### Round {earlier.round}, `{earlier.role}`\n\n" + fenced("review", text) + answer
