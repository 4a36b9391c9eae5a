"""Ordinary work lands without friction: one story per test, through the real command."""

from pathlib import Path

import pytest

from tests.playing import SHOP, approve, bash, done, edit, permit, play, spec, write

PIECES = [
    edit("shop.py", "items'", "pieces'"),
    edit("tests/test_shop.py", "'2 items'", "'2 pieces'"),
    done("Items are called pieces."),
]
"""A behaviour change that an old test stands against, and that test brought in line."""

PLAN = {"plan": "architect"}
CODE, CHECK, LOOK, LAND = {"implement": "implementer"}, {"test": "tests"}, {"review": "reviewer"}, {"merge": "squash"}


def test_a_bug_fix_that_adds_a_test_to_an_old_test_file_lands_in_one_round(tmp_path: Path) -> None:
    """No permission is needed; an approval that forgets the old test file is handed back with its name.

    That another gate, the last one, protects something else makes no difference.
    """
    gates = {
        "tests": {"run": "python -m pytest -q"},
        "lint": {"run": "python -m compileall -q .", "results": "exit-code", "protected-files": ["docs/**"]},
    }
    story = play(tmp_path, gates=gates, stages=[CODE, {"test": ["tests", "lint"]}, LOOK, LAND])
    one = "def test_one():\n    assert shop.label(1) == '1 item'\n\n\ndef test_label"
    story.says(
        "implementer",
        [
            edit("shop.py", "{count} items'", "{count} item' + 's' * (count != 1)"),
            edit("tests/test_shop.py", "def test_label", one),
            done(),
        ],
    )
    story.says("reviewer", approve(), approve("tests/test_shop.py"))
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 1), told.err
    assert "def test_one" in story.show("tests/test_shop.py")
    assert story.record("r1.1.review.reviewer")["acknowledged"] == ["tests/test_shop.py"]
    said = story.kept("r1.1.review.reviewer/transcript.jsonl")
    assert "acknowledge each changed protected file" in said
    assert story.trailers("Reviewed-by") == ["reviewer (scripted/replies.yaml) <reviewer@relay.invalid>"]


def test_a_feature_with_new_tests_data_and_a_conftest_lands_in_one_round(tmp_path: Path) -> None:
    """New tests and data are free; the new conftest.py has to be acknowledged, and nothing else: what the author's own
    runs of the tests compile is no part of the work, also where no .gitignore names it.
    """
    story = play(tmp_path, {**SHOP, ".gitignore": "*.log\n"})
    conftest = (
        "import pathlib\nimport pytest\n\n\n@pytest.fixture\ndef lines():\n"
        "    return (pathlib.Path(__file__).parent / 'data' / 'stock.csv').read_text().split()\n"
    )
    test = "import stock\n\n\ndef test_stock(lines):\n    assert stock.count(lines) == 5\n"
    story.says(
        "implementer",
        [
            write("stock.py", "def count(lines):\n    return sum(int(line.split(',')[1]) for line in lines)\n"),
            write("tests/test_stock.py", test),
            write("tests/data/stock.csv", "pear,2\nplum,3\n"),
            write("tests/conftest.py", conftest),
            bash("python -m pytest -q"),
            done(),
        ],
    )
    story.says("reviewer", approve(), approve("tests/conftest.py"))
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 1), told.err
    assert story.record("r1.1.review.reviewer")["acknowledged"] == ["tests/conftest.py"]
    assert story.record("r1.1.test.tests")["passed"] == 3
    new = {"stock.py", "tests/conftest.py", "tests/data/stock.csv", "tests/test_stock.py"}
    assert set(story.files()) == {".gitignore", *SHOP, *new}


@pytest.mark.parametrize("way", ["stage", "front matter", "command line", "planner"])
def test_a_change_of_old_tests_lands_in_one_round_where_it_was_permitted(tmp_path: Path, way: str) -> None:
    """Permission in the stage, in the task's front matter, on the command line, or in the plan."""
    story, arguments = play(tmp_path), []
    if way == "stage":
        story.pipeline["stages"] = [{**CODE, "may-change": ["tests/test_shop.py"]}, CHECK, LOOK, LAND]
    elif way == "front matter":
        (tmp_path / "pieces.md").write_text("---\nid: t1\nmay-change: [tests/]\n---\nSay pieces.\n")
        story.pipeline["tasks"] = ["pieces.md"]
    elif way == "command line":
        arguments = ["--may-change", "tests/**"]
    else:
        story.pipeline["stages"] = [PLAN, CODE, CHECK, LOOK, LAND]
        story.says("architect", spec({"title": "Say pieces", "may_change": ["tests/test_shop.py"]}), task="t1")
    story.says("implementer", PIECES)
    story.says("reviewer", approve("tests/test_shop.py"))
    told = story.run(*arguments)
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 1), told.err
    assert story.verdicts() == [("passed", None)]
    assert "2 tests left it by permission" in story.record("r1.1.test.tests")["summary"]
    assert "2 pieces" in story.show("tests/test_shop.py")


def test_a_forgotten_permission_costs_one_round_and_no_turn_of_the_implementer(tmp_path: Path) -> None:
    """`needs-permission` names the file; whoever planned allows it; the same head is tested again and lands."""
    story = play(tmp_path, stages=[PLAN, CODE, CHECK, LOOK, LAND])
    story.says("architect", spec({"title": "Say pieces"}), task="t1")
    story.says("implementer", PIECES, round=1)
    story.says("architect", permit("tests/test_shop.py"), change="t1-1", round=1)
    story.says("reviewer", approve("tests/test_shop.py"))
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 2), told.err
    assert story.verdicts() == [("failed", "needs-permission"), ("passed", None)]
    assert story.record("r1.1.test.tests")["paths"] == ["tests/test_shop.py"]
    assert len(story.events("turn recorded")) == 1


def test_a_refused_permission_goes_back_to_the_implementer_with_the_reason(tmp_path: Path) -> None:
    """Without a plan the first reviewer is asked; a no is evidence, and uses the round."""
    story = play(tmp_path)
    story.says("implementer", PIECES, round=1)
    story.says("reviewer", permit(reason="They are items to our customers."), round=1)
    story.says(
        "implementer",
        [
            edit("shop.py", "pieces'", "items'"),
            edit("tests/test_shop.py", "pieces", "items"),
            edit("shop.py", "def label(count):", "def label(count):\n    # never pieces"),
            done(),
        ],
        round=2,
    )
    story.says("reviewer", approve(), round=2)
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 2), told.err
    assert "They are items to our customers." in story.kept("r2.1.implement/transcript.jsonl")
    assert "never pieces" in story.show("shop.py")
    assert story.git("diff", "main~1", "main", "--stat", "--", "tests") == ""


@pytest.mark.parametrize("rounds", [1, 4])
def test_without_a_plan_or_a_reviewer_the_user_permits(tmp_path: Path, rounds: int) -> None:
    """The run waits (exit 6), `relay approve --may-change` answers, also where no round is left for a model."""
    stages = [{**CODE, "max-rounds": rounds}, CHECK, {"approve": "human"}, LAND]
    story = play(tmp_path, stages=stages)
    story.says("implementer", PIECES)
    told = story.run()
    assert (told.code, told.outcome, told.change["outcome"]) == (6, "needs-human", "needs-human"), told.err
    assert "relay approve t1-1 --may-change" in told.err
    told = story.relay("approve", "t1-1", "--may-change", "tests/test_shop.py", "--json")
    assert (told.code, story.verdicts()[-1]) == (6, ("passed", None)), told.err
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert "2 pieces" in story.show("tests/test_shop.py")
    assert len(story.events("turn recorded")) >= 1
    assert story.trailers("Reviewed-by") == ["you <you@relay.invalid>"]


def test_a_permission_for_a_file_that_did_not_change_lets_its_lost_variants_go(tmp_path: Path) -> None:
    """A parameter of an old test comes from the product, and goes with it: the test's file is what needs the word."""
    names = "import pytest\nimport shop\n\n\n@pytest.mark.parametrize('name', shop.NAMES)\ndef test_name(name):\n"
    files = {"shop.py": "NAMES = ['pear', 'plum']\n", "tests/test_names.py": f"{names}    assert name.islower()\n"}
    story = play(tmp_path, files)
    story.says("implementer", [edit("shop.py", ", 'plum'", ""), done()], round=1)
    story.says("reviewer", permit("tests/test_names.py"), round=1)
    story.says("reviewer", approve(), round=2)
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 2), told.err
    assert story.verdicts() == [("failed", "needs-permission"), ("passed", None)]
