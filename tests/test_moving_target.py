"""What lands while the target moves: conflicts, approvals that survive or do not, `relay land` in all its forms."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playing import SHOP, Call, Play, approve, bash, done, edit, forget_environments, play, write

CODE, CHECK, LOOK, LAND = {"implement": "implementer"}, {"test": "tests"}, {"review": "reviewer"}, {"merge": "squash"}
SIGN = {"approve": "human"}

# Long enough that two changes can be near each other, or far apart.
LONG = {**SHOP, "shop.py": SHOP["shop.py"] + "".join(f"\n\ndef f{n}():\n    return {n}\n" for n in range(6))}


def signed(root: Path, *second: Call) -> Play:
    """A change of `f2` that passed gate and review, and waits for the user: the target can move meanwhile.

    `second` is what the implementer does in a second round.
    """
    story = play(root, LONG, stages=[CODE, CHECK, LOOK, SIGN, LAND])
    story.says("implementer", [edit("shop.py", "    return 2\n", "    return 2 + 0\n"), done()], round=1)
    story.says("implementer", second, round=2)
    story.says("reviewer", approve())
    told = story.run()
    assert told.code == 6, told.err
    return story


def reviews(story: Play) -> list[bool]:
    """Whether a review was carried over, for each that counts."""
    keys = story.git("ls-tree", "--name-only", story.journal()).splitlines()
    return [story.record(key.removesuffix(".json"))["carried"] for key in keys if key.endswith(".review.reviewer.json")]


def test_approvals_survive_a_target_that_moved_elsewhere(tmp_path: Path) -> None:
    """The same patch on the new target: tested again, nobody asked again, landed on what the user made."""
    story = signed(tmp_path)
    moved = story.commit({"README": "New.\n"})
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 1), told.err
    assert story.git("rev-parse", "main~1") == moved
    assert reviews(story) == [False, True]
    assert story.record("r1.2.test.tests")["landing"] == moved
    assert {"README", "shop.py"} <= set(story.files())


def test_a_patch_that_reads_differently_is_approved_again_and_uses_no_round(tmp_path: Path) -> None:
    """The target changed a line beside it: reviewer and user look again at the new candidate."""
    story = signed(tmp_path)
    near = story.show("shop.py").replace("def f3():", "def f3():  # near")
    story.commit({"shop.py": near})
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome) == (6, "needs-human"), told.err
    assert reviews(story) == [False, False]
    assert "# near" in story.kept("r1.2.review.reviewer/transcript.jsonl")
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 1), told.err
    assert story.show("shop.py") == near.replace("return 2\n", "return 2 + 0\n").strip()


def test_a_conflict_goes_back_with_markers_and_lands(tmp_path: Path) -> None:
    """The implementer of the next round finds the merge as git left it, and commits on top of both."""
    whole = LONG["shop.py"].replace("return 2\n", "return 2 * 1\n")
    both = "grep -q '^<<<<<<<' shop.py && grep -q '^>>>>>>>' shop.py && touch both-marks"
    story = signed(tmp_path, bash(both), write("shop.py", whole), done())
    moved = story.commit({"shop.py": LONG["shop.py"].replace("return 2\n", "return 2 + 0 * 2\n")})
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome, told.change["rounds"]) == (6, "needs-human", 2), told.err
    assert story.record("r1.2.test.tests")["reason"] == "conflict"
    assert story.git("rev-parse", f"{told.change['head']}^2") == moved
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert story.show("shop.py") == whole.strip()
    assert "both-marks" in story.files()
    assert story.git("rev-parse", "main~1") == moved


def test_a_file_that_the_target_renamed_is_followed(tmp_path: Path) -> None:
    """git merges the change into the file's new place, and that is what is tested and lands."""
    files = {"long.txt": "".join(f"line {n}\n" for n in range(40)), **SHOP}
    story = play(tmp_path, files, stages=[CODE, CHECK, SIGN, LAND])
    story.says("implementer", [edit("long.txt", "line 7\n", "line seven\n"), done()])
    assert story.run().code == 6
    story.commit({"long.txt": None, "text/long.txt": files["long.txt"]})
    told = story.relay("approve", "t1-1", "--json")
    if told.code == 6:  # the patch names another file now, so the user is asked again
        told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert "line seven" in story.show("text/long.txt")


def test_the_same_trees_on_another_commit_are_judged_for_that_commit(tmp_path: Path) -> None:
    """A verdict is used again by its trees; an amended message of the target must not make a run turn for ever."""
    story = signed(tmp_path)
    story.git("switch", "-q", "main")
    story.git("commit", "-q", "--amend", "-m", "Begin, with better words")
    story.git("switch", "-q", "elsewhere")
    story.pipeline["stages"] = [CODE, CHECK, LOOK, LAND]
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert story.git("log", "--format=%s", "main").splitlines()[1] == "Begin, with better words"
    assert story.record("r1.1.test.tests")["cached"] is True


@pytest.fixture
def with_setup(tmp_path: Path) -> Iterator[Path]:
    """Where a story with a setup plays; its environments are gone after it."""
    yield tmp_path
    forget_environments(tmp_path)


def test_a_broken_verdict_does_not_outlive_what_broke_it(with_setup: Path) -> None:
    """The landing branch itself turns red in its new environment: once it is repaired, `relay resume` judges again."""
    story = play(
        with_setup,
        {"needs.txt": "one\n", "shop.py": ""},
        sandbox={"image": "debian", "setup": "cp needs.txt /etc/needs", "setup-inputs": ["needs.txt"]},
        gates={"tests": {"run": "grep -q one /etc/needs", "results": "exit-code"}},
        tasks=["First", "Second"],
    )
    story.says("implementer", [write("needs.txt", "two\n"), done()], change="t1-1")
    story.says("implementer", [write("shop.py", "# shop\n"), done()], change="t2-1")
    story.says("reviewer", approve("needs.txt"))
    told = story.run()
    assert (told.code, told.outcome, told.changes["t2-1"]["outcome"]) == (4, "broken", "broken"), told.err
    assert story.verdicts() == [("passed", None), ("broken", "target-red")]
    story.commit({"needs.txt": "one\n"})
    told = story.relay("resume", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert story.show("shop.py") == "# shop"


def test_relay_land_moves_all_or_nothing(tmp_path: Path) -> None:
    """Refused for a dirty file, an untracked and ignored one, a conflict, a red merge; then one gated merge commit."""
    story = play(tmp_path, LONG, checked_out=True)
    story.says("implementer", [edit("shop.py", "    return 2\n", "    return 2 + 0\n"), write("notes", "a\n"), done()])
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome) == (0, "landed"), told.err
    run, begin = told.json["run"], story.git("rev-parse", "main")
    landed = story.git("rev-parse", told.json["landing_branch"])
    assert story.git("status", "--porcelain") == ""

    def refused(code: int, *words: str) -> None:
        before = (story.git("rev-parse", "main"), story.git("status", "--porcelain"))
        said = story.relay("land", run)
        assert said.code == code, said.err + said.out
        assert all(word in said.err + said.out for word in words), said.err + said.out
        assert (story.git("rev-parse", "main"), story.git("status", "--porcelain")) == before
        assert story.git("rev-parse", told.json["landing_branch"]) == landed

    (story.repo / "shop.py").write_text("mine\n")
    refused(1, "shop.py")
    story.git("checkout", "-q", "shop.py")
    (story.repo / ".git" / "info" / "exclude").write_text("notes\n")
    (story.repo / "notes").write_text("mine\n")
    refused(1, "notes")
    (story.repo / "notes").unlink()
    story.commit({"shop.py": LONG["shop.py"].replace("return 2\n", "return 3\n")})
    refused(1, "conflict", "shop.py", f"git merge {told.json['landing_branch']}")
    story.git("reset", "-q", "--hard", begin)
    story.commit(
        {
            "tests/test_none.py": (
                "import inspect\nimport shop\n\n\ndef test_f2():\n    assert '+' not in inspect.getsource(shop)\n"
            )
        }
    )
    refused(1, "gate tests failed (red)", " 1 failed,", "test_f2", f"git merge {told.json['landing_branch']}")
    story.git("reset", "-q", "--hard", begin)
    moved = story.commit({"README": "New.\n"})
    said = story.relay("land", run, "--json")
    assert said.code == 0, said.err
    assert (said.json["commit"], said.json["why"]) == (story.git("rev-parse", "main"), None)
    assert story.git("rev-parse", "main^1") == moved
    assert story.git("rev-parse", "main^2") == landed
    note = story.git("notes", "--ref=refs/notes/relay/gate", "show", story.git("rev-parse", "main^{tree}"))
    assert f'"head": "{landed}"' in note and '"status": "passed"' in note
    assert story.git("status", "--porcelain") == ""
    assert (story.repo / "notes").read_text() == "a\n"
    assert story.git("branch", "--list", "relay/*") == ""


def test_a_new_run_builds_on_what_the_last_one_landed(tmp_path: Path) -> None:
    """It says so first; a run for another target does not; and both come in by one fast-forward."""
    story = play(tmp_path, LONG, checked_out=True)
    begin = story.git("rev-parse", "main")
    story.git("branch", "older")
    story.says("implementer", [edit("shop.py", "    return 2\n", "    return 2 + 0\n"), done()])
    story.says("reviewer", approve())
    first = story.run()
    one = story.git("rev-parse", first.json["landing_branch"])
    story.replies.clear()
    story.says("implementer", [edit("shop.py", "    return 4\n", "    return 4 + 0\n"), done()])
    story.says("reviewer", approve())
    story.pipeline["target"] = "older"
    other = story.run()
    assert (other.code, other.json["landing_branch"]) == (0, "older"), other.err
    assert story.git("rev-parse", "older~1") == begin
    story.pipeline["target"] = "main"
    second = story.run()
    assert (second.code, second.outcome) == (0, "landed"), second.err
    notice = story.events("notice", second.json["run"])[0]["text"]
    assert f"relay land {first.json['run']}" in notice
    assert story.git("rev-parse", f"{second.json['landing_branch']}~1") == one
    assert story.relay("land").code == 0
    assert story.git("rev-parse", "main~2") == begin
    assert story.git("for-each-ref", "refs/heads/relay") == ""
    assert "return 4 + 0" in (story.repo / "shop.py").read_text()
    assert story.relay("land").code == 0
