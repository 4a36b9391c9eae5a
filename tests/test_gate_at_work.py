"""What a gate says of work, by report and by exit code, alone and in company, and where setup inputs change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playing import SHOP, approve, bash, done, edit, forget_environments, permit, play, write

CODE, LOOK, LAND = {"implement": "implementer"}, {"review": "reviewer"}, {"merge": "squash"}


def test_a_project_without_any_test_can_start(tmp_path: Path) -> None:
    """An empty contract: then a change has to bring at least `min-tests` of its own."""
    gates = {"tests": {"run": "python -m pytest -q", "min-tests": 2}}
    story = play(tmp_path, {"shop.py": SHOP["shop.py"]}, gates=gates)
    story.says("implementer", [edit("shop.py", "items", "goods"), done()], round=1)
    test = "import shop\n\n\ndef test_label():\n    assert shop.label(2) == '2 goods'\n"
    more = "\n\ndef test_total():\n    assert shop.total([1]) == 1\n"
    story.says("implementer", [write("tests/test_shop.py", test), done()], round=2)
    story.says("implementer", [write("tests/test_shop.py", test + more), done()], round=3)
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 3), told.err
    assert "0 tests pass, " in told.err and "nothing to keep, so a change's own tests decide" in told.err
    assert story.verdicts() == [("failed", "nothing-ran"), ("failed", "nothing-ran"), ("passed", None)]


def test_a_suite_that_loses_tests_never_lands(tmp_path: Path) -> None:
    """Leaving with 0 before the tests report, deleting a test, skipping one: the change is given up."""
    story = play(tmp_path, stages=[{**CODE, "max-rounds": 3}, {"test": "tests"}, LOOK, LAND])
    main = story.git("rev-parse", "main")
    leave = "import os, sys\nif 'pytest' in sys.modules:\n    os._exit(0)\n"
    story.says(
        "implementer", [bash(f'printf "{leave}" > new && cat shop.py >> new && mv new shop.py'), done()], round=1
    )
    without = SHOP["tests/test_shop.py"].partition("\n\n\ndef test_label")[0] + "\n"
    story.says(
        "implementer", [write("shop.py", SHOP["shop.py"]), write("tests/test_shop.py", without), done()], round=2
    )
    skipped = SHOP["tests/test_shop.py"].replace("def test_label", "@pytest.mark.skip\ndef test_label")
    story.says("implementer", [write("tests/test_shop.py", "import pytest\n" + skipped), done()], round=3)
    story.says("reviewer", permit(reason="The test stays."))
    told = story.run()
    assert (told.code, told.outcome, told.change["outcome"]) == (1, "partial", "gave-up"), told.err
    refused = ("failed", "needs-permission")
    assert story.verdicts() == [("failed", "missing-tests"), refused, refused]
    assert "did not report" in story.record("r1.1.test.tests")["summary"]
    assert "test_label" in story.record("r2.1.test.tests")["summary"]
    assert "newly skipped" in story.record("r3.1.test.tests")["summary"]
    assert story.git("rev-parse", "main") == main
    assert story.git("branch", "--list", "--format=%(refname:short)", "relay/*") == told.change["branch"]


def test_a_gate_by_exit_code_keeps_the_script_that_it_runs(tmp_path: Path) -> None:
    """Red is red; a script that was changed to say yes is asked a permission for, and the old one decides."""
    check = "python -c 'import shop; assert shop.label(1) == \"1 items\"'\n"
    story = play(
        tmp_path,
        {"shop.py": SHOP["shop.py"], "check.sh": check},
        gates={"tests": {"run": "sh check.sh", "results": "exit-code"}},
    )
    story.says("implementer", [edit("shop.py", "items", "goods"), done()], round=1)
    story.says("implementer", [write("check.sh", "exit 0\n"), done()], round=2)
    story.says("reviewer", permit(reason="The check stays."), round=2)
    story.says(
        "implementer", [write("check.sh", check), edit("shop.py", "goods", "items"), write("a", "b"), done()], round=3
    )
    story.says("reviewer", approve(), round=3)
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 3), told.err
    assert story.verdicts() == [("failed", "red"), ("failed", "needs-permission"), ("passed", None)]
    assert story.record("r2.1.test.tests")["paths"] == ["check.sh"]
    assert story.record("r3.1.test.tests")["results"] == "exit-code"
    # Nothing was counted, so nothing is said of counts.
    assert "gate tests passed: " in told.err and "0 passed" not in told.err + story.relay("show", "t1-1").out


def test_two_gates_run_in_order_and_a_committed_report_never_counts(tmp_path: Path) -> None:
    """A red lint stops before the tests; a report in the tree is removed before the run that has to write it."""
    report = "python -m pytest -q --junitxml=build/report.xml"
    forged = (
        '<testsuites><testsuite name="pytest"><testcase classname="tests.test_shop" name="test_total"/>'
        '<testcase classname="tests.test_shop" name="test_label"/></testsuite></testsuites>'
    )
    story = play(
        tmp_path,
        gates={
            "lint": {"run": "python -m compileall -q .", "results": "exit-code"},
            "tests": {"run": report, "results": {"junit": "build/report.xml"}},
        },
        stages=[CODE, {"test": ["lint", "tests"]}, LOOK, LAND],
    )
    story.says("implementer", [write("shop.py", "def total(\n"), done()], round=1)
    leave = "import os, sys\nif 'pytest' in sys.modules:\n    os._exit(0)\n"
    story.says(
        "implementer", [write("shop.py", leave + SHOP["shop.py"]), write("build/report.xml", forged), done()], round=2
    )
    right = SHOP["shop.py"].replace("return sum", "# of all\n    return sum")
    story.says("implementer", [bash("rm -r build"), write("shop.py", right), done()], round=3)
    story.says("reviewer", approve())
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 3), told.err
    gates = [(event["gate"], event["reason"] or event["status"]) for event in story.events("gate ended")]
    second = [("lint", "passed"), ("tests", "missing-tests")]
    assert gates == [("lint", "red"), *second, ("lint", "passed"), ("tests", "passed")]
    assert len(story.trailers("Tested-by")) == 2


NEEDS = {
    "needs.txt": "one\n",
    "shop.py": "NEEDS = 'one'\n",
    "tests/test_needs.py": (
        "import shop\n\n\ndef test_needs():\n    assert open('/etc/needs').read().strip() == shop.NEEDS\n"
    ),
}
SETUP = {"image": "debian", "setup": "grep -q . needs.txt && cp needs.txt /etc/needs", "setup-inputs": ["needs.txt"]}


@pytest.fixture
def with_setup(tmp_path: Path) -> Iterator[Path]:
    """Where a story with a setup plays; its environments are gone after it."""
    yield tmp_path
    forget_environments(tmp_path)


def test_a_changed_setup_input_is_asked_for_and_then_gets_its_own_environment(with_setup: Path) -> None:
    """Without a permission the candidate runs in the old environment; with it in its own."""
    story = play(with_setup, NEEDS, sandbox=SETUP)
    story.says("implementer", [write("needs.txt", "two\n"), edit("shop.py", "one", "two"), done()])
    story.says("reviewer", permit("needs.txt"), round=1)
    story.says("reviewer", approve("needs.txt"), round=2)
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 2), told.err
    assert story.verdicts() == [("failed", "needs-permission"), ("passed", None)]
    assert story.record("r1.1.test.tests")["paths"] == ["needs.txt"]


def test_a_permitted_setup_is_built_anew_for_each_candidate(with_setup: Path) -> None:
    """A setup that fails is the change's fault; what an earlier candidate's setup made is not there for a later one."""
    story = play(
        with_setup,
        {**NEEDS, "setup.sh": "cp needs.txt /etc/needs\n"},
        sandbox={"image": "debian", "setup": "sh setup.sh", "setup-inputs": ["setup.sh"]},
        stages=[{**CODE, "may-change": ["/setup.sh"]}, {"test": "tests"}, LOOK, LAND],
    )
    story.says("implementer", [write("setup.sh", "exit 3\n"), done()], round=1)
    other = [write("setup.sh", "cat other.txt > /etc/needs\n"), write("other.txt", "two\n")]
    story.says("implementer", [*other, edit("shop.py", "one", "three"), done()], round=2)
    story.says("implementer", [write("other.txt", "three\n"), done()], round=3)
    story.says("reviewer", approve("setup.sh"))
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 3), told.err
    assert story.verdicts() == [("failed", "could-not-run"), ("failed", "red"), ("passed", None)]
