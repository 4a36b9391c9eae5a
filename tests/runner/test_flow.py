"""The flow: where a change goes after each result, told by a dummy that plays the stages."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pipelines.pipeline import Pipeline, SandboxPolicy, Stage, Task
from runner.flow import (
    Answered,
    At,
    ChangeResult,
    Implemented,
    Judged,
    Landed,
    Planned,
    PlannedChange,
    TaskResult,
    in_order,
    run_change,
    run_pipeline,
)
from runner.outcomes import EXIT, PRECEDENCE, run_outcome

STAGES = (
    Stage("spec", "plan", ("architect",)),
    Stage("code", "implement", ("implementer",), max_rounds=3),
    Stage("check", "test", ("tests",)),
    Stage("look", "review", ("architect",)),
    Stage("land", "merge", ("squash",)),
)


@dataclass
class Script:
    """Stages that answer what a test told them to, in order, and the default when nothing is left."""

    turns: list[Implemented] = field(default_factory=list)
    verdicts: list[Judged] = field(default_factory=list)
    permits: list[Answered] = field(default_factory=list)
    reviews: list[Answered] = field(default_factory=list)
    landings: list[Landed] = field(default_factory=list)
    begun: Judged = Judged("passed")
    planned: Planned = Planned((PlannedChange("t1-1", "first"), PlannedChange("t1-2", "second", ("t1-1",))))
    skipped: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def begin(self) -> Judged:
        return self.begun

    def landed_before(self, task: str) -> str | None:
        return self.skipped.get(task)

    def plan(self, task: str) -> Planned:
        self.calls.append(f"plan {task}")
        return self.planned

    def implement(self, at: At) -> Implemented:
        self.calls.append(f"implement {at.round}")
        return self.turns.pop(0) if self.turns else Implemented("done", "head")

    def gate(self, at: At) -> Judged:
        self.calls.append(f"gate {at.round}.{at.attempt}")
        return self.verdicts.pop(0) if self.verdicts else Judged("passed")

    def permit(self, at: At) -> Answered:
        self.calls.append(f"permit {at.round}")
        return self.permits.pop(0)

    def review(self, at: At) -> Answered:
        self.calls.append(f"review {at.round}.{at.attempt}")
        return self.reviews.pop(0) if self.reviews else Answered("yes")

    def approve(self, at: At) -> Answered:
        self.calls.append("approve")
        return Answered("waits", "for you")

    def land(self, at: At) -> Landed:
        self.calls.append(f"land {at.round}.{at.attempt}")
        return self.landings.pop(0) if self.landings else Landed("landed", "commit")

    def close(self, result: ChangeResult, at: At) -> None:
        self.calls.append(f"close {result.outcome}")

    def change(self, change: PlannedChange, task: str) -> ChangeResult:
        return run_change(self, STAGES, change, task)


def _one(script: Script, stages: tuple[Stage, ...] = STAGES) -> ChangeResult:
    return run_change(script, stages, PlannedChange("t1-1", "first"), "t1")


def _run(script: Script, *tasks: Task):
    return run_pipeline(script, Pipeline("p", "main", {}, SandboxPolicy(), {}, STAGES, tasks or (Task("t1", "x"),)))


def test_a_green_and_approved_change_lands() -> None:
    """The straight way."""
    script = Script()
    assert _one(script).outcome == "landed"
    assert script.calls == ["implement 1", "gate 1.1", "review 1.1", "land 1.1", "close landed"]


def test_a_red_gate_never_reaches_the_reviewer() -> None:
    """The wire shows no reviewer call for a head without a passed verdict."""
    script = Script(verdicts=[Judged("failed", "red")])
    assert _one(script).rounds == 2
    assert script.calls[:4] == ["implement 1", "gate 1.1", "implement 2", "gate 2.1"]


def test_a_change_sent_back_goes_to_the_implementer_in_the_next_round() -> None:
    """request-changes costs a round."""
    script = Script(reviews=[Answered("no", "too thin")])
    assert _one(script).outcome == "landed"
    assert script.calls[2:4] == ["review 1.1", "implement 2"]


def test_rounds_are_bounded_and_then_the_change_is_given_up() -> None:
    """The last reason is told."""
    result = _one(Script(verdicts=[Judged("failed", "red", f"{n} red") for n in range(9)]))
    assert (result.outcome, result.rounds) == ("gave-up", 3)
    assert "2 red" in result.why


def test_the_users_own_permission_is_taken_when_no_round_is_left() -> None:
    """A model's is not: each of both is one more round, and only a user cannot go on for ever."""
    stages = (STAGES[0], Stage("code", "implement", ("implementer",), max_rounds=1), *STAGES[2:])
    asked = Judged("failed", "needs-permission")
    assert _one(Script(verdicts=[asked], permits=[Answered("yes", by_user=True)]), stages).outcome == "landed"
    assert _one(Script(verdicts=[asked], permits=[Answered("yes")]), stages).outcome == "gave-up"
    forever = Script(verdicts=[asked] * 99, permits=[Answered("yes")] * 99)
    assert _one(forever).outcome == "gave-up"


def test_a_rejected_change_ends_at_its_next_turn() -> None:
    """Nothing is gated or reviewed any more."""
    script = Script(turns=[Implemented("done", rejected=True, why="not this way")])
    assert (_one(script).outcome, script.calls) == ("rejected", ["implement 1", "close rejected"])


def test_a_permission_costs_a_round_and_no_implementer_turn() -> None:
    """The same head is gated again after a yes."""
    script = Script(verdicts=[Judged("failed", "needs-permission")], permits=[Answered("yes")])
    assert _one(script).rounds == 2
    assert script.calls[:5] == ["implement 1", "gate 1.1", "permit 1", "gate 2.1", "review 2.1"]


def test_a_refused_permission_is_evidence_for_the_implementer() -> None:
    """A no goes back like a red gate."""
    script = Script(verdicts=[Judged("failed", "needs-permission")], permits=[Answered("no", "keep the tests")])
    assert _one(script).rounds == 2
    assert script.calls[:4] == ["implement 1", "gate 1.1", "permit 1", "implement 2"]


def test_a_landing_branch_that_moved_is_gated_again_without_a_round() -> None:
    """The new candidate is tested before it lands."""
    script = Script(landings=[Landed("moved")])
    assert _one(script).rounds == 1
    assert script.calls[3:7] == ["land 1.1", "gate 1.2", "review 1.2", "land 1.2"]


def test_a_turn_without_a_change_ends_the_change_only_in_the_first_round() -> None:
    """Later it is a spent round."""
    assert _one(Script(turns=[Implemented("no-change")])).outcome == "no-change"
    script = Script(turns=[Implemented("done", "h"), Implemented("no-change")], verdicts=[Judged("failed", "red")])
    assert _one(script).rounds == 3
    assert script.calls[2:4] == ["implement 2", "implement 3"]


def test_an_unfinished_turn_is_not_gated() -> None:
    """Its work is kept as the next round's start."""
    script = Script(turns=[Implemented("steps", "h")])
    _one(script)
    assert script.calls[:3] == ["implement 1", "implement 2", "gate 2.1"]


def test_a_change_that_waits_for_a_person_does_not_land() -> None:
    """`approve: human` ends the change as needs-human until somebody answers."""
    stages = (*STAGES[:4], Stage("sign-off", "approve", ("human",)), STAGES[4])
    script = Script()
    assert _one(script, stages).outcome == "needs-human"
    assert not any(call.startswith("land") for call in script.calls)


def test_followers_of_a_change_that_was_given_up_are_skipped_and_the_next_task_goes_on() -> None:
    """Named by what they need."""
    script = Script(verdicts=[Judged("failed", "red")] * 3)
    result = _run(script, Task("t1", "x"), Task("t2", "y"))
    first, second = result.tasks[0].changes
    assert (first.outcome, second.outcome, second.why) == ("gave-up", "skipped", "needs t1-1")
    assert result.tasks[1].outcome == "landed"
    assert result.outcome == "partial"


def test_followers_of_a_change_without_effect_go_on() -> None:
    """no-change is no obstacle."""
    result = _run(Script(turns=[Implemented("no-change")]))
    assert [change.outcome for change in result.tasks[0].changes] == ["no-change", "landed"]
    assert result.outcome == "landed"


def test_nothing_is_planned_while_the_landing_branch_is_broken() -> None:
    """No paid call before the blame is known."""
    script = Script(begun=Judged("broken", "target-red", "3 tests fail on main"))
    result = _run(script)
    assert (result.outcome, result.why, script.calls) == ("broken", "3 tests fail on main", [])


def test_a_task_that_landed_before_is_skipped_by_name() -> None:
    """So the same task files can be given every night."""
    result = _run(Script(skipped={"t1": "landed in r1"}))
    assert (result.outcome, result.tasks[0].why) == ("nothing-to-do", "landed in r1")


def test_a_spent_budget_ends_the_run() -> None:
    """No further task is begun."""
    result = _run(Script(turns=[Implemented("budget")]), Task("t1", "x"), Task("t2", "y"))
    assert (result.outcome, len(result.tasks)) == ("budget", 1)


def test_a_needed_task_runs_first_and_priority_orders_the_rest() -> None:
    """Needs beat priority, priority beats the listing."""
    tasks = [Task("a", "", needs=("c",), priority=9), Task("b", ""), Task("c", ""), Task("d", "", priority=1)]
    assert [task.id for task in in_order(tasks)] == ["d", "b", "c", "a"]


def test_a_task_whose_need_failed_is_skipped() -> None:
    """Named by what it needs."""
    script = Script(verdicts=[Judged("failed", "red")] * 3)
    result = _run(script, Task("t1", "x"), Task("t2", "y", needs=("t1",)))
    assert result.tasks[1] == TaskResult("t2", "partial", why="skipped: needs t1")


@given(st.lists(st.sampled_from(PRECEDENCE), min_size=1))
def test_a_run_is_never_called_better_than_its_worst_task(words: list) -> None:
    """Law: exit 0 only where every task landed or had nothing to do."""
    outcome = run_outcome(words)
    assert (EXIT[outcome] == 0) == (set(words) <= {"landed", "nothing-to-do"})


results = st.sampled_from(["passed", "red", "broken", "permission"])


@given(
    st.lists(st.sampled_from([Implemented("done", "h"), Implemented("no-change"), Implemented("steps", "h")])),
    st.lists(
        st.sampled_from(
            [
                Judged("passed"),
                Judged("failed", "red"),
                Judged("failed", "needs-permission"),
                Judged("broken", "engine"),
            ]
        )
    ),
    st.lists(st.sampled_from([Answered("yes"), Answered("no")])),
    st.lists(st.sampled_from([Landed("landed", "c"), Landed("moved"), Landed("waits")]), max_size=4),
)
def test_a_change_lands_only_right_after_a_passed_gate_and_an_approval(turns, verdicts, answers, landings) -> None:
    """Law: whatever the stages answer, the flow ends, and what lands was gated and reviewed last."""
    script = Script(list(turns), list(verdicts), [Answered("no")] * 9, list(answers), list(landings))
    result = _one(script)
    assert script.calls[-1] == f"close {result.outcome}"
    for before, call in zip(script.calls, script.calls[1:], strict=False):
        if call.startswith("land"):
            assert before == call.replace("land", "review")
        if call.startswith("review"):
            assert before == call.replace("review", "gate")
