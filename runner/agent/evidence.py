"""Why a change came back, as the implementer reads it: a red gate, a review, a turn that ended too soon, a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.agent.endings import Comment, Review
from runner.agent.fences import fenced
from runner.agent.outputs import capped, readable

LOG_LIMIT = 12_000  # bytes of a gate's log
MESSAGE_LIMIT = 1_500  # bytes of one failing test's message
FAILING_SHOWN = 20


@dataclass(frozen=True)
class Failing:
    """A test that is not as it should be, and what it said."""

    id: str
    message: str = ""


@dataclass(frozen=True)
class GateFailed:
    """A gate that did not pass. `reason` is the verdict's word, `why` its sentence; `log` may be of any size."""

    gate: str
    reason: str
    why: str
    failing: Sequence[Failing] = ()
    missing: Sequence[str] = ()
    log: bytes = b""
    omitted: int = 0  # bytes that the log lost already


@dataclass(frozen=True)
class ChangesRequested:
    """A review that sent the change back, and who wrote it."""

    role: str
    review: Review


@dataclass(frozen=True)
class PermissionRefused:
    """A permission that was asked for and not given."""

    paths: Sequence[str]
    reason: str


@dataclass(frozen=True)
class TurnEnded:
    """The last turn ended without `done`; its files were kept."""

    end: str
    detail: str


@dataclass(frozen=True)
class Conflicted:
    """The landing branch moved against the change: the work tree holds the merge with conflict markers."""

    paths: Sequence[str]
    messages: str = ""


Evidence = GateFailed | ChangesRequested | PermissionRefused | TurnEnded | Conflicted

ENDS = {
    "steps": "it used all its steps. Do the essential first, and end with `done` in time",
    "timeout": "its time was over. Run only what you need, with time limits",
    "idle": "nothing happened for too long. Something that you ran waited or did not end: give commands a `timeout_s`",
    "context": "the context window was full. Read less at a time, and search before you read",
    "format": "three replies in a row asked for nothing that could be tried",
    "stuck": "the sandbox died three times under its commands: too much memory, or a command that killed it",
    "limit": "what it left in the work tree was beyond a limit",
    "no-change": "it called `done`, but no file had changed",
    "done": "it called `done`, but no file had changed",
}


def evidence_text(evidence: Evidence) -> str:
    """One piece of evidence, as a section of an opening message."""
    match evidence:
        case GateFailed():
            return _gate(evidence)
        case ChangesRequested():
            return _review(evidence)
        case PermissionRefused():
            return (
                "### A permission was refused\n\nYou changed these protected files, and the change does not pass "
                "without that. The permission was asked for and not given.\n\n"
                + fenced("paths", "\n".join(evidence.paths))
                + "\n\n"
                + fenced("reason", evidence.reason)
            )
        case TurnEnded():
            said = ENDS.get(evidence.end, "it did not come to its end")
            return (
                f"### The last turn ended as `{evidence.end}`\n\nThe turn before this one did not end with a change "
                f"that could be tested: {said}. What it left in the work tree is there; look at `git status` and "
                "`git diff` first, and go on from it.\n\n" + fenced("what was recorded", evidence.detail)
            )
        case Conflicted():
            return _conflict(evidence)


def _gate(failed: GateFailed) -> str:
    parts = [f"### The gate `{failed.gate}` says `{failed.reason}`", fenced("what it found", failed.why)]
    if failed.failing:
        shown = "\n".join(_failing(test) for test in failed.failing[:FAILING_SHOWN])
        parts.append(f"{_count(len(failed.failing), FAILING_SHOWN, 'failing')}\n" + fenced("failing tests", shown))
    if failed.missing:
        shown = "\n".join(failed.missing[:100])
        parts.append(
            f"{_count(len(failed.missing), 100, 'missing or newly skipped')}\n" + fenced("missing tests", shown)
        )
    if failed.log:
        log = capped(readable(failed.log), LOG_LIMIT, omitted=failed.omitted)
        parts.append("The end of its output matters most:\n" + fenced("output of the gate", log))
    return "\n\n".join(parts)


def _count(all_of_them: int, shown: int, what: str) -> str:
    more = f", the first {shown} are shown" if all_of_them > shown else ""
    return f"{all_of_them} {'test is' if all_of_them == 1 else 'tests are'} {what}{more}:"


def _failing(test: Failing) -> str:
    return f"{test.id}\n{_indented(capped(test.message, MESSAGE_LIMIT))}" if test.message else test.id


def _review(sent_back: ChangesRequested) -> str:
    review = sent_back.review
    comments = "\n".join(comment_text(comment) for comment in review.comments) or "(no comments by file)"
    return (
        f"### The reviewer `{sent_back.role}` requests changes\n\n"
        + fenced("summary of the review", review.summary)
        + "\n\nComments (those of severity minor need not be followed):\n"
        + fenced("comments of the review", comments)
    )


def comment_text(comment: Comment) -> str:
    """A comment as `path:line [severity]` and its body."""
    where = f"{comment.path}:{comment.line}" if comment.line else comment.path
    kind = f" [{comment.severity}]" if comment.severity else ""
    return f"{where}{kind}\n{_indented(comment.body)}"


def _conflict(conflict: Conflicted) -> str:
    return (
        "### The change conflicts with what landed meanwhile\n\nThe work tree holds the merge of your change and the "
        "landing branch, with conflict markers (`<<<<<<<`, `=======`, `>>>>>>>`) in the files below. Resolve each one "
        "so that both sides keep their meaning, remove every marker, and test the result.\n\n"
        + fenced("files in conflict", "\n".join(conflict.paths))
        + ("\n\n" + fenced("what the merge said", capped(conflict.messages, 4_000)) if conflict.messages else "")
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().split("\n"))
