"""The loop: what each reply leads to, and each way a turn can end."""

import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.pipeline import ScriptedCall, ScriptedReply
from runner.limits import Limit
from runner.models.base import Model, ModelError, Reply, ToolCall, Usage
from runner.models.retry import ask_with_retry
from runner.models.scripted import Scripted
from tests.runner.agent.play import DONE, Player, Table, says


def results(player: Player) -> list[str]:
    """The tool results that a player saw in the end."""
    return [result.text for entry in player.seen[-1] for result in entry.results]


def test_a_scripted_turn_changes_files_and_ends_with_done(tmp_path: Path) -> None:
    """The scripted vendor plays a whole turn through the same loop as any other."""
    lines = [
        ScriptedReply("implement", 1, calls=(ScriptedCall("write", {"path": "a.py", "content": "x = 1\n"}),)),
        ScriptedReply("implement", 2, calls=(ScriptedCall("edit", {"path": "a.py", "old": "1", "new": "2"}),)),
        ScriptedReply("implement", 3, calls=(ScriptedCall("bash", {"command": "cat a.py"}),)),
        ScriptedReply("implement", 4, calls=(ScriptedCall("done", {"summary": "set x"}),)),
    ]
    table = Table(tmp_path, [Scripted("scripted/x", lines)])
    result = table.play()
    assert (result.end, result.detail, result.steps, result.models) == ("done", "set x", 4, ("scripted/x",))
    assert result.payload == {"summary": "set x"}
    assert (table.work / "a.py").read_text() == "x = 2\n"
    assert [keys["tool"] for keys in table.said("tool ran")] == ["write", "edit", "bash", "done"]
    assert [sandbox.closed for sandbox in table.sandboxes] == [1]


def test_no_scripted_reply_ends_as_provider_and_names_the_key(tmp_path: Path) -> None:
    """A script that does not fit is the provider's trouble, and says what was looked for."""
    result = Table(tmp_path, [Scripted("scripted/x", [])]).play()
    assert result.end == "provider"
    assert "role: implement" in result.detail


def test_the_ending_tool_runs_after_the_other_calls_of_its_reply(tmp_path: Path) -> None:
    """A model that writes and ends in one reply, in whatever order, loses nothing."""
    table = Table(tmp_path, [Player([says(DONE, ("write", {"path": "a", "content": "1"}))])])
    assert table.play().end == "done"
    assert (table.work / "a").read_text() == "1"


def test_a_turn_does_not_end_in_the_reply_in_which_another_call_failed(tmp_path: Path) -> None:
    """Nobody is done before having seen that an edit did not happen."""
    player = Player([says(("edit", {"path": "no", "old": "a", "new": "b"}), DONE), says(DONE)])
    result = Table(tmp_path, [player]).play()
    assert (result.end, result.steps) == ("done", 2)
    assert results(player)[1].startswith("not ended: edit")


def test_results_stand_in_the_order_of_the_calls(tmp_path: Path) -> None:
    """Vendors that match results by order must find them in it."""
    player = Player([says(("bash", {"command": "echo 1"}), ("bash", {"command": "echo 2"})), says(DONE)])
    Table(tmp_path, [player]).play()
    assert results(player) == ["1\n[exit status 0]", "2\n[exit status 0]"]


def test_three_replies_in_a_row_without_a_call_end_as_format(tmp_path: Path) -> None:
    """Talk is answered by a reminder twice, then the turn is over."""
    player = Player([says(text="I think.")])
    result = Table(tmp_path, [player]).play()
    assert (result.end, result.steps) == ("format", 3)
    assert "calls no tool" in (player.seen[1][-1].user or "")


def test_a_usable_reply_starts_the_count_of_unusable_ones_again(tmp_path: Path) -> None:
    """Only three in a row end a turn."""
    talk, work = says(text="Hm."), says(("bash", {"command": "true"}))
    result = Table(tmp_path, [Player([talk, talk, work, talk, talk, says(DONE)])]).play()
    assert (result.end, result.steps) == ("done", 6)


def test_calls_that_are_refused_three_times_in_a_row_end_as_format(tmp_path: Path) -> None:
    """No such tool, arguments that are none, an ending that is not accepted: nobody pays for eighty of them."""
    unknown, bad, early = says(("nosuch", {})), says(("bash", {"comand": "ls"})), says(DONE)
    result = Table(tmp_path, [Player([unknown, bad, early])], check=lambda _args: "name the file").play()
    assert (result.end, result.steps) == ("format", 3)
    assert result.detail.endswith("not accepted: name the file")


def test_arguments_that_are_no_json_get_the_schema_and_then_format(tmp_path: Path) -> None:
    """What cannot be parsed is answered by what was expected."""
    broken = Reply("", (ToolCall("c", "bash", None, "{oops"),), "tools", "", None, {}, "test/one")
    player = Player([broken])
    assert Table(tmp_path, [player]).play().end == "format"
    assert "no JSON object" in results(player)[0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("setup", {}), "there is no tool setup; you have bash, read, edit, write, done"),
        (("bash", {"comand": "ls"}), "comand is no argument; did you mean command?; command is missing"),
        (("read", {"path": 3}), "path must be a string, not a number"),
        (("bash", {"command": "ls", "timeout_s": 0}), "timeout_s must be at least 1"),
        (("read", {"path": "../etc/passwd"}), "is not a file below /work"),
        (("read", {"path": "a\x00b"}), "NUL"),
        (("write", {"path": "a", "content": "\ud800"}), "surrogate"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_told_why(tmp_path: Path, call: tuple[str, Any], told: str) -> None:
    """A bad call is a tool error that names what is wrong; the turn goes on."""
    player = Player([says(call), says(DONE)])
    assert Table(tmp_path, [player]).play().end == "done"
    assert told in results(player)[0]


@pytest.mark.parametrize("stop", ["length", "truncated"])
def test_a_reply_that_was_cut_off_is_never_run(tmp_path: Path, stop: Any) -> None:
    """Not even where its calls look whole: `length` is never success."""
    player = Player([says(("write", {"path": "a", "content": "half"}), DONE, stop=stop)])
    table = Table(tmp_path, [player])
    assert table.play().end == "format"
    assert list(table.work.iterdir()) == []
    assert "cut off" in results(player)[0]


def test_a_bad_call_without_content_is_reminded(tmp_path: Path) -> None:
    """A vendor's own report of a malformed call counts as unusable."""
    bad = says(stop="bad_call", stop_detail="MALFORMED_FUNCTION_CALL")
    player = Player([bad])
    assert Table(tmp_path, [player]).play().end == "format"
    assert "MALFORMED_FUNCTION_CALL" in (player.seen[-1][-1].user or "")


def test_a_turn_ends_when_its_steps_are_used_and_is_told_before(tmp_path: Path) -> None:
    """`max-steps` counts replies; the last ones are announced."""
    player = Player([says(("bash", {"command": "true"}))])
    result = Table(tmp_path, [player], turn={"max_steps": 6}).play()
    assert (result.end, result.steps, len(player.seen)) == ("steps", 6, 6)
    assert "[5 steps left" in results(player)[0]
    assert "[1 step left in this turn; end it with done]" in results(player)[4]


def test_what_an_ending_tool_says_is_checked_by_the_stage(tmp_path: Path) -> None:
    """A payload that the stage does not accept is a tool error, and the turn goes on."""
    review = {"decision": "approve", "summary": "Good."}
    player = Player([says(("review", review)), says(("review", review | {"acknowledge": ["tests/a"]}))])
    result = Table(
        tmp_path,
        [player],
        role="review",
        check=lambda payload: None if payload.get("acknowledge") else "acknowledge tests/a",
    ).play()
    assert (result.end, result.steps) == ("done", 2)
    assert results(player) == ["not accepted: acknowledge tests/a"]


def test_the_payload_is_what_the_tool_takes(tmp_path: Path) -> None:
    """Null for what may be left out is gone, also after a resume, so that a stage reads plain values."""
    review = {"decision": "approve", "summary": "Good.", "comments": None, "acknowledge": None}
    table = Table(tmp_path, [Player([says(("review", review))])], role="review")
    assert table.play().payload == table.play().payload == {"decision": "approve", "summary": "Good."}


def test_a_refusal_goes_to_the_next_model_and_is_not_shown_to_it(tmp_path: Path) -> None:
    """Another model starts from what was done, not from a no."""
    first = Player([says(("bash", {"command": "echo one"})), says(text="I cannot.", stop="refusal")])
    second = Player([says(DONE, model="test/two")] * 2, name="test/two")
    table = Table(tmp_path, [first, second])
    result = table.play()
    assert (result.end, result.models, result.steps) == ("done", ("test/one", "test/two"), 3)
    assert [entry.reply.text for entry in second.seen[0] if entry.reply] == [""]
    assert table.said("model switched")[0]["to"] == "test/two"


def test_a_refusal_of_the_last_model_ends_the_turn(tmp_path: Path) -> None:
    """With nobody left the turn ends as `refusal`."""
    result = Table(tmp_path, [Player([says(text="No.", stop="refusal", stop_detail="cyber")])]).play()
    assert (result.end, "cyber" in result.detail) == ("refusal", True)


@pytest.mark.parametrize("kind", ["quota", "auth", "rate", "unknown_model"])
def test_a_model_that_cannot_be_asked_hands_over_inside_the_turn(tmp_path: Path, kind: Any) -> None:
    """Quota, auth and a spent retry budget lead to the fallback, with its own usage counted apart."""
    first = Player([says(("bash", {"command": "echo one"})), ModelError(kind, "no more", status=429)])
    second = Player([says(DONE, model="test/two")] * 2, name="test/two")
    result = Table(tmp_path, [first, second]).play()
    assert result.end == "done"
    assert {name: usage.total for name, usage in result.usage.items()} == {"test/one": 110, "test/two": 110}
    assert (result.cost, result.at_most) == (Decimal("0.0022"), False)
    assert [entry.results[0].text for entry in second.seen[0] if entry.results] == ["one\n[exit status 0]"]


def test_with_no_model_left_the_turn_ends_as_provider_and_can_go_on_later(tmp_path: Path) -> None:
    """A provider's trouble is not final: the next session starts with the role's own model."""
    player = Player([says(("bash", {"command": "echo one"})), ModelError("auth", "bad key", status=401)])
    table = Table(tmp_path, [player])
    assert table.play().end == "provider"
    player.answers = [player.answers[0], says(DONE)]
    assert table.play().end == "done"
    assert len(player.seen) == 3


def test_the_turn_time_is_over_between_two_steps(tmp_path: Path) -> None:
    """`timeout` is the time of a turn by the given clock."""
    table = Table(tmp_path, [])

    def slow() -> Reply:
        table.clock[0] += 400
        return says(("bash", {"command": "true"}))

    table.models = [Player([slow])]
    result = table.play()
    assert (result.end, result.steps, result.seconds) == ("timeout", 5, 2000.0)


def test_no_reply_for_too_long_ends_as_idle(tmp_path: Path) -> None:
    """A model that says nothing is given up while it is silent."""
    table, hang = Table(tmp_path, []), threading.Event()

    def silent() -> Reply:
        table.clock[0] += 601
        hang.wait(10)
        return says(DONE)

    table.models = [Player([silent])]
    result = table.play()
    hang.set()
    assert result.end == "idle"
    assert "waiting for test/one" in result.detail
    assert result.at_most


def test_a_long_reply_that_keeps_coming_is_not_idle(tmp_path: Path) -> None:
    """A slow local model may write for half an hour; each piece of a stream is a sign of life."""
    looked = threading.Event()
    table = Table(tmp_path, [], turn={"timeout": 9_999.0}, cancelled=lambda: looked.set() is not None)

    def slow() -> Reply:
        for _ in range(4):
            player.heard()
            table.clock[0] += 500
            looked.clear()
            assert looked.wait(10)
        return says(DONE)

    table.models = [player := Player([slow])]
    assert (table.play().end, table.clock[0]) == ("done", 2_000)


def test_a_cancelled_turn_ends_at_once_while_the_model_is_silent_and_goes_on_later(tmp_path: Path) -> None:
    """Ctrl-C does not wait for a vendor, and costs nothing of the turn."""
    stop, hang = threading.Event(), threading.Event()

    def silent() -> Reply:
        stop.set()
        hang.wait(10)
        return says(DONE)

    player = Player([says(("write", {"path": "a", "content": "1"})), silent])
    table = Table(tmp_path, [player], cancelled=stop.is_set)
    assert table.play().end == "cancelled"
    hang.set()
    stop.clear()
    player.answers = [player.answers[0], says(DONE)]
    result = table.play()
    assert (result.end, result.steps) == ("done", 2)


def test_a_sandbox_that_dies_is_replaced_and_the_third_time_the_turn_is_stuck(tmp_path: Path) -> None:
    """A model that kills its own container is told so, and cannot do it for ever."""
    player = Player([says(("bash", {"command": "die"}))])
    table = Table(tmp_path, [player])
    result = table.play()
    assert (result.end, result.steps, len(table.sandboxes)) == ("stuck", 3, 3)
    assert "You have a fresh one" in results(player)[0]
    assert [sandbox.closed for sandbox in table.sandboxes] == [1, 1, 1]


def test_a_call_that_does_not_fit_the_budget_is_not_made(tmp_path: Path) -> None:
    """The limit holds before the call, and the end says what is used."""
    player = Player([says(("bash", {"command": "true"}))])
    result = Table(tmp_path, [player], limit=Limit(max_cost=Decimal("0.05"))).play()
    assert result.end == "budget"
    assert (player.caps, result.cost) == ([], Decimal(0))
    assert "the budget is reached" in result.detail


def test_the_output_cap_comes_down_near_the_limit(tmp_path: Path) -> None:
    """A lower cap lets one more call fit."""
    player = Player([says(DONE)], max_output=50_000)
    result = Table(tmp_path, [player], limit=Limit(max_tokens=20_000)).play()
    assert result.end == "done"
    assert 4_000 <= player.caps[0] < 20_000


def test_an_attempt_whose_stream_was_cut_is_booked_at_its_reserve(tmp_path: Path) -> None:
    """Nobody knows what a cut stream cost, so it counts in full and the result says `at most`."""
    first = Player([ModelError("network", "cut")])
    second = Player([says(DONE, model="test/two")], name="test/two")
    result = Table(tmp_path, [first, second]).play()
    assert (result.end, result.at_most) == ("done", True)
    assert result.cost is not None and result.cost > Decimal("0.08")


@pytest.mark.parametrize(
    "error",
    [
        ModelError("network", "no route", reached=False),
        ModelError("overload", "busy", status=529),
        ModelError("server", "oops", status=500),
    ],
)
def test_an_attempt_that_the_vendor_did_not_take_costs_nothing(tmp_path: Path, error: ModelError) -> None:
    """A request that never left, or was turned down, is settled at zero."""
    second = Player([says(DONE, model="test/two")], name="test/two")
    result = Table(tmp_path, [Player([error]), second]).play()
    assert (result.end, result.at_most, result.cost) == ("done", False, Decimal("0.0011"))


def test_a_wait_that_the_vendor_asked_for_is_no_time_of_the_turn(tmp_path: Path) -> None:
    """An hour of rate limit is neither idle nor a time-out; the retries are the model layer's own."""
    answers: list[Any] = [ModelError("rate", "slow down", status=429, retry_after=3000.0), says(DONE)]
    table = Waiting(tmp_path, [Player([lambda: _next(answers)])])
    result = table.play()
    assert (result.end, result.seconds) == ("done", pytest.approx(0.0, abs=1.0))
    assert table.said("model waits")[0]["why"] == "slow down"
    assert (result.at_most, result.tokens.total) == (False, 110)


class Waiting(Table):
    """A table whose models are asked again, on its own clock."""

    def _ask(self, model: Model, *args: Any, **keys: Any) -> Reply:
        return ask_with_retry(model, *args, **keys, random=lambda: 0.0, sleep=self._pass)

    def _pass(self, seconds: float) -> None:
        self.clock[0] += seconds


def _next(answers: list[Any]) -> Reply:
    answer = answers.pop(0)
    if isinstance(answer, ModelError):
        raise answer
    assert isinstance(answer, Reply)
    return answer


def test_a_reply_without_usage_is_booked_at_its_reserve(tmp_path: Path) -> None:
    """A vendor that does not say what it used is charged the most it can have used."""
    result = Table(tmp_path, [Player([says(DONE, usage=None)])]).play()
    assert (result.end, result.at_most) == ("done", True)
    assert result.tokens == Usage()


def test_the_time_of_the_run_is_a_limit_too(tmp_path: Path) -> None:
    """`max-time` ends a turn as `budget`."""
    table = Table(tmp_path, [], limit=Limit(max_time=100))

    def slow() -> Reply:
        table.clock[0] += 60
        return says(("bash", {"command": "true"}))

    table.models = [Player([slow])]
    result = table.play()
    assert (result.end, result.steps) == ("budget", 2)
    assert "max-time" in result.detail


def test_what_was_opened_is_told(tmp_path: Path) -> None:
    """A review that opened nothing can be marked."""
    calls: Sequence[tuple[str, dict[str, Any]]] = [
        ("write", {"path": "a", "content": "1\n"}),
        ("read", {"path": "/work/a"}),
        ("read", {"path": "missing"}),
        ("bash", {"command": "cat a"}),
    ]
    result = Table(tmp_path, [Player([says(*calls), says(DONE)])]).play()
    assert (result.opened, result.commands) == (("a",), 1)
