"""What two runs of the landing branch prove, and when the landing branch itself is at fault."""

import pytest

from pipelines.pipeline import Results
from runner.gate.baseline import TargetRed, next_baseline, read_baseline
from runner.gate.evidence import Baseline, RunEvidence
from tests.runner.gate.making import ended, gate, run

EXIT_CODE = Results("exit-code")


def proved(first: RunEvidence, second: RunEvidence | None = None) -> Baseline:
    """The baseline, where there is one."""
    found = read_baseline(gate(), first, second or first)
    assert isinstance(found, Baseline), found
    return found


def test_the_contract_is_what_passed_twice() -> None:
    """Old reds, skips and ids that differ between the runs are not in it, and are named."""
    first = run({"a.py::p": "p", "a.py::r": "f", "a.py::s": "s", "a.py::u": "p", "a.py::once": "p"})
    second = run({"a.py::p": "p", "a.py::r": "f", "a.py::s": "s", "a.py::u": "e"})
    found = proved(first, second)
    assert found.contract == ("a.py::p",)
    assert found.reds == ("a.py::r", "a.py::u")
    assert found.flaky == ("a.py::once", "a.py::u")
    assert found.file("a.py::p") == "a.py"
    assert found.status == 1
    assert not found.empty


def test_a_project_without_tests_can_start() -> None:
    """Nothing collected and no error shown: an empty contract."""
    assert proved(run({})).empty
    assert proved(run({}, status=0, pytest=False)).empty


def test_only_reds_is_a_base_too() -> None:
    """The one test of a young project may be the one that the task is to make green."""
    found = proved(run({"a.py::r": "f"}))
    assert found.empty
    assert found.reds == ("a.py::r",)


def test_without_a_report_the_exit_status_decides() -> None:
    """Said at start; nothing is known by test."""
    found = proved(ended(0))
    assert (found.results, found.contract, found.empty) == ("exit-code", (), False)


@pytest.mark.parametrize(
    ("run_of_l", "says"),
    [
        (RunEvidence("timeout", None, 60.0), "did not end within 60 s"),
        (RunEvidence("killed", None, 1.0, oom=True), "out of memory"),
        (RunEvidence("setup-failed", 1, 1.0), "setup"),
        (ended(127), "not found"),
        (ended(126), "cannot be executed"),
        (ended(1), "red on the landing branch"),
        (run({}, errors=["a.py"]), "nothing can run"),
        (run({}, status=4), "ended with 4"),
        (run({"a.py::t": "f"}, status=0), "ends with 0"),
        (run({"a.py::t": "p"}, status=1), "ends with 1"),
        (run({"a.py::t": "f"}, status=3), "ended with 3"),
        (run({"a.py::t": "f"}, status=139), "ended with 139"),
        (RunEvidence("exited", 0, 1.0, None, "the report is no XML"), "cannot be read"),
    ],
)
def test_what_the_landing_branch_does_wrong_is_said_of_it(run_of_l: RunEvidence, says: str) -> None:
    """Before the first paid call: no author is paid to repair the user's own set-up."""
    for pair in ((run_of_l, run_of_l), (run_of_l, run({"a.py::t": "p"}))):
        found = read_baseline(gate(), *pair)
        assert isinstance(found, TargetRed)
    found = read_baseline(gate(), run_of_l, run_of_l)
    assert isinstance(found, TargetRed)
    assert says in found.sentence


def test_a_report_that_comes_and_goes_is_no_base() -> None:
    """Which kind of gate it is has to be certain."""
    found = read_baseline(gate(), run({"a.py::t": "p"}), ended(0))
    assert isinstance(found, TargetRed)
    assert found.run == 1


def test_junit_asked_for_and_not_found_names_the_place() -> None:
    """A typing error in `results` is the user's to repair."""
    found = read_baseline(gate(results=Results("junit", "build/report.xml")), ended(0), ended(0))
    assert isinstance(found, TargetRed)
    assert "build/report.xml" in found.sentence


def test_exit_code_asked_for_ignores_a_report() -> None:
    """An accepted setting has its effect."""
    found = read_baseline(gate(results=EXIT_CODE), run({"a.py::t": "p"}), run({"a.py::t": "p"}))
    assert isinstance(found, Baseline)
    assert found.results == "exit-code"


def test_after_a_landing_the_candidates_run_is_the_baseline() -> None:
    """New tests join the contract; what was known as flaky stays out of it."""
    before = proved(run({"a.py::p": "p", "a.py::u": "p"}), run({"a.py::p": "p", "a.py::u": "f"}))
    after = next_baseline(before, run({"a.py::p": "p", "a.py::u": "p", "a.py::new": "p"}))
    assert after.contract == ("a.py::new", "a.py::p")
    assert after.flaky == ("a.py::u",)
    assert after.reds == ("a.py::u",)
    assert next_baseline(Baseline("exit-code", 0, 1.0), ended(0)).results == "exit-code"


def test_the_hash_is_of_what_decides() -> None:
    """How long L took decides nothing."""
    one = proved(run({"a.py::p": "p"}))
    assert one.hash == Baseline(one.results, one.status, 99.0, one.contract, known=one.known, files=one.files).hash
    assert one.hash != proved(run({"a.py::q": "p"})).hash
