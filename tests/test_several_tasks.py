"""Several tasks and several changes: their order, what is skipped and why, what a second night does again."""

from pathlib import Path

from tests.playing import Play, Told, approve, done, edit, play, refuse, spec, write

PLAN, CODE, CHECK, LAND = {"plan": "architect"}, {"implement": "implementer"}, {"test": "tests"}, {"merge": "squash"}
LOOK = {"review": "reviewer"}


def task(story: Play, name: str, matter: str = "") -> None:
    (story.root / f"{name}.md").write_text(f"---\n{matter}\n---\nMake {name}.\n" if matter else f"Make {name}.\n")


def makes(story: Play, change: str, name: str, **where: int) -> None:
    """The implementer's turn that writes one new file."""
    story.says("implementer", [write(f"{name}.txt", f"{name}\n"), done(f"{name} is there.")], change=change, **where)


def outcomes(told: Told) -> dict[str, str]:
    return {task["id"]: task["outcome"] for task in told.json["tasks"]}


def test_tasks_run_by_priority_and_need_and_what_has_landed_is_skipped_by_name(tmp_path: Path) -> None:
    """One task is given up, the one that needs it is skipped; the next night only these two are tried again."""
    story = play(tmp_path, stages=[{**CODE, "max-rounds": 1}, CHECK, LOOK, LAND], tasks=["*.md"])
    task(story, "a", "needs: [c]\npriority: 9")
    task(story, "b")
    task(story, "c")
    task(story, "d", "priority: 5")
    task(story, "e", "needs: [d]")
    for name in "abcde":
        makes(story, f"{name}-1", name)
        story.says("reviewer", refuse("no", "d.txt") if name == "d" else approve(), change=f"{name}-1")
    told = story.run()
    assert told.code == 1, told.err
    assert outcomes(told) == {"a": "landed", "b": "landed", "c": "landed", "d": "partial", "e": "partial"}
    assert "needs d" in told.err
    order = story.git("log", "-3", "--format=%(trailers:key=Relay-Change,valueonly,separator=%x2C)", "main")
    # d first, by its priority, and given up; a has the highest one, and waits for c.
    assert order.splitlines() == ["a-1 1/1", "c-1 1/1", "b-1 1/1"]
    begin = story.git("rev-parse", "main")
    story.replies = [reply for reply in story.replies if reply.get("change") in ("d-1", "e-1")]
    story.replies = [reply for reply in story.replies if reply["role"] == "implementer"]
    story.says("reviewer", approve())
    again = story.run()
    assert (again.code, again.outcome) == (0, "landed"), again.err
    run = told.json["run"]
    assert {t["id"] for t in again.json["tasks"] if t["changes"]} == {"d", "e"}
    assert f"landed in {run}" in again.err
    assert story.git("rev-list", "--count", f"{begin}..main") == "2"


def test_a_task_that_landed_in_part_is_planned_again_with_what_has_landed(tmp_path: Path) -> None:
    """After a change that was given up its followers are skipped; the next plan is told of the first."""
    story = play(tmp_path, stages=[PLAN, {**CODE, "max-rounds": 1}, CHECK, LOOK, LAND], tasks=["t.md"])
    task(story, "t")
    story.says("architect", spec({"title": "The first part"}, {"title": "The second"}, {"title": "The third"}))
    makes(story, "t-1", "one")
    makes(story, "t-2", "two")
    story.says("reviewer", approve(), change="t-1")
    story.says("reviewer", refuse("no", "two.txt"), change="t-2")
    told = story.run()
    assert told.code == 1, told.err
    assert [c["outcome"] for c in told.changes.values()] == ["landed", "gave-up", "skipped"]
    story.replies.clear()
    story.says("architect", spec({"title": "What is left"}))
    makes(story, "t-1", "rest")
    story.says("reviewer", approve())
    again = story.run()
    assert (again.code, again.outcome) == (0, "landed"), again.err
    refs = story.git("for-each-ref", "--format=%(refname)", f"refs/relay/runs/{again.json['run']}/journal")
    assert "The first part" in story.git("show", f"{refs}:plan.t/transcript.jsonl")
    third = story.run()
    assert (third.code, third.outcome) == (0, "nothing-to-do"), third.err


def test_a_change_without_a_change_ends_as_that_and_its_followers_go_on(tmp_path: Path) -> None:
    """`no-change` is no failure, also of a whole run; without `needs` the order is all that binds."""
    story = play(tmp_path, stages=[PLAN, CODE, CHECK, LOOK, LAND])
    changes = [{"title": "Nothing"}, {"title": "Something"}, {"title": "Alone", "needs": []}]
    story.says("architect", spec(*changes), task="t1")
    story.says("implementer", done("It is there already."), change="t1-1")
    makes(story, "t1-2", "two")
    makes(story, "t1-3", "three")
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert [change["outcome"] for change in told.changes.values()] == ["no-change", "landed", "landed"]
    story.pipeline["stages"] = [CODE, CHECK, LOOK, LAND]
    story.replies.clear()
    story.says("implementer", done("It is there already."))
    told = story.run()
    assert (told.code, told.outcome, told.change["outcome"]) == (0, "nothing-to-do", "no-change"), told.err
    assert "no-change: the turn changed nothing: It is there already." in told.err


def test_a_text_never_passes_for_a_file_that_has_its_number_for_an_id(tmp_path: Path) -> None:
    """`--task` landed as t1; a file whose own id is t1 is another task, and is done once."""
    story = play(tmp_path, tasks=[])
    makes(story, "t1-1", "one", round=1)
    story.says("reviewer", approve())
    assert story.run("--task", "Make one.").outcome == "landed"
    task(story, "other", "id: t1")
    story.pipeline["tasks"] = ["other.md"]
    story.replies.clear()
    makes(story, "t1-1", "other", round=1)
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert {"one.txt", "other.txt"} <= set(story.files())
    assert story.trailers("Relay-Task") == ["t1"]
    assert story.run().outcome == "nothing-to-do"


def test_work_of_a_turn_that_was_cut_short_is_judged_when_the_next_finds_it_complete(tmp_path: Path) -> None:
    """Out of steps with the work done: the next round has nothing to add, and what is there goes to the gate."""
    story = play(tmp_path)
    story.pipeline["roles"]["implementer"] = {"model": "scripted/replies.yaml", "max-steps": 1}
    story.says("implementer", edit("shop.py", "def total", "# all\ndef total"), round=1)
    story.says("implementer", done("All is there."), round=2)
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 2), told.err
    assert story.record("r1.1.implement")["end"] == "steps"


def test_a_later_round_without_a_change_is_spent_and_the_old_evidence_stands(tmp_path: Path) -> None:
    """`done` after a red gate is no success: the next turn is told again what was red."""
    story = play(tmp_path)
    story.says("implementer", [edit("shop.py", "items", "goods"), done()], round=1)
    story.says("implementer", done("It looks right to me."), round=2)
    story.says("implementer", [edit("shop.py", "goods", "items"), write("new.txt", "x"), done()], round=3)
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 3), told.err
    assert story.verdicts() == [("failed", "red"), ("passed", None)]
    assert "test_label" in story.kept("r3.1.implement/transcript.jsonl")


def test_two_implementers_in_one_pipeline_land_what_the_last_one_left(tmp_path: Path) -> None:
    """Only what stands after the last `implement` judges what lands; a second one with nothing to add is no end."""
    stages = [
        {"name": "draft", **CODE},
        {"name": "early", **CHECK},
        {"name": "polish", "implement": "second"},
        {"name": "late", **CHECK},
        LOOK,
        LAND,
    ]
    story = play(tmp_path, stages=stages, tasks=["Once", "Twice"])
    makes(story, "t1-1", "one")
    makes(story, "t2-1", "two")
    story.says("second", [write("more.txt", "more\n"), done()], change="t1-1")
    story.says("second", done("Nothing to add."), change="t2-1")
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert {"one.txt", "more.txt", "two.txt"} <= set(story.files())
    assert len(story.events("review ended")) == 2
