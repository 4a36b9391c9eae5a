"""The scripted vendor plays what fits the place and the history."""

import pytest

from pipelines.pipeline import ScriptedCall, ScriptedReply
from runner.models import open_model
from runner.models.base import Entry, ModelError, ModelSpec, Place

SCRIPT = (
    ScriptedReply("coder", 1, change="t1-1", round=2, text="second round"),
    ScriptedReply("coder", 1, text="first", calls=(ScriptedCall("bash", {"command": "ls"}),)),
    ScriptedReply("coder", 2, text="then"),
    ScriptedReply("planner", 1, task="t1", text="plan"),
)
MODEL = open_model(ModelSpec("scripted/demo", script=SCRIPT))


def ask(place: Place, replies: int = 0) -> str:
    history = [Entry(user="go")]
    for _ in range(replies):
        reply = MODEL.ask("", history, [], max_tokens=1, place=Place("coder"))
        history += [Entry(reply=reply)]
    return MODEL.ask("", history, [], max_tokens=1, place=place).text


def test_the_step_is_counted_in_the_history_and_not_in_the_model() -> None:
    """The same question gets the same answer however often it is asked, so that a resume plays on."""
    assert [ask(Place("coder")), ask(Place("coder")), ask(Place("coder"), 1)] == ["first", "first", "then"]


def test_a_more_special_line_wins_when_it_stands_first() -> None:
    """Change and round choose among lines of one step."""
    assert ask(Place("coder", "t1", "t1-1", 2)) == "second round"
    assert ask(Place("coder", "t1", "t1-1", 1)) == "first"


def test_one_role_plans_and_reviews_with_lines_in_any_order() -> None:
    """A plan's line names its task, and is not played in the turn of a change that has a line of its own."""
    plan, review = ScriptedReply("boss", 1, task="t1", text="plan"), ScriptedReply("boss", 1, text="review", round=1)
    second = ScriptedReply("boss", 1, change="t1-2", text="second")
    for script in ((plan, review, second), (second, review, plan)):
        boss = open_model(ModelSpec("scripted/demo", script=script))
        places = (Place("boss", "t1"), Place("boss", "t1", "t1-1", 1), Place("boss", "t1", "t1-2", 3))
        said = [boss.ask("", [], [], max_tokens=1, place=place).text for place in places]
        assert said == ["plan", "review", "second"]


def test_calls_come_out_as_tool_calls_and_cost_nothing() -> None:
    """A scripted reply looks like any other to the loop."""
    reply = MODEL.ask("", [], [], max_tokens=1, place=Place("coder"))
    assert (reply.stop, reply.calls[0].name, reply.calls[0].args) == ("tools", "bash", {"command": "ls"})
    assert reply.usage is not None and reply.usage.total == 0


def test_no_match_names_the_key_that_was_looked_for() -> None:
    """The user can write the missing line from the error alone."""
    with pytest.raises(ModelError, match=r"\{role: planner, task: t2, round: 1, step: 1\}") as caught:
        ask(Place("planner", "t2", None, 1))
    assert caught.value.kind == "request" and not caught.value.retryable
