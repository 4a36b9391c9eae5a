"""Every verdict and reason, the ordinary work that has to land, and the laws that no evidence may break."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.codec import decode, encode
from runner.gate.baseline import read_baseline
from runner.gate.evidence import Baseline, Evidence, RunEvidence, cache_key
from runner.gate.feedback import evidence_text, log_ends
from runner.gate.verdict import Verdict, broken, conflict, decide
from tests.runner.gate.making import definition, ended, evidence, gate, run

OLD = {"tests/test_a.py::test_one": "p", "tests/test_a.py::test_two": "p", "tests/test_b.py::test_b": "p"}
A, B = "tests/test_a.py", "tests/test_b.py"


def base(tests: dict[str, str] | None = None, **settings: bool) -> Baseline:
    """What L proved in two equal runs."""
    found = read_baseline(gate(), run(OLD if tests is None else tests, **settings), run(tests or OLD, **settings))
    assert isinstance(found, Baseline)
    return found


EMPTY = read_baseline(gate(), run({}), run({}))
assert isinstance(EMPTY, Baseline)
BY_STATUS = Baseline("exit-code", 0, 1.0)


# Ordinary work.


def test_a_fix_with_a_new_test_in_an_old_test_file_passes() -> None:
    """K has the old file, so it does not know the new test; C has it, and it passes."""
    new = f"{A}::test_new"
    verdict = decide(evidence(base(), run({**OLD, new: "p"}), run(OLD), changed=[A]))
    assert (verdict.status, verdict.reason) == ("passed", None)
    assert verdict.new_tests == (new,)
    assert verdict.passed == 4


def test_a_feature_with_new_test_files_and_a_fixture_passes() -> None:
    """Adding tests and their data needs no permission."""
    c = run({**OLD, "tests/test_new.py::test_n": "p"})
    verdict = decide(evidence(base(), c, run(OLD), changed=["tests/test_new.py", "tests/data/new.json"]))
    assert verdict.status == "passed"


def test_a_behaviour_change_with_its_tests_by_may_change_passes() -> None:
    """With the grant K has the candidate's file, and the ids of that file leave the contract."""
    c = run({f"{A}::test_one_now": "p", f"{B}::test_b": "p"})
    verdict = decide(evidence(base(), c, changed=[A], granted=[A]))
    assert verdict.status == "passed"
    assert verdict.left_contract == (f"{A}::test_one", f"{A}::test_two")
    assert "left it by permission" in verdict.summary


@pytest.mark.parametrize(
    ("c", "k"),
    [
        # The expectation changed under the same name.
        (OLD, {**OLD, f"{A}::test_one": "f"}),
        # The test got a new name with its new expectation.
        (
            {f"{A}::test_one_now": "p", f"{A}::test_two": "p", f"{B}::test_b": "p"},
            {**OLD, f"{A}::test_one": "f"},
        ),
        # The file moved.
        (
            {"tests/unit/test_a.py::test_one": "p", "tests/unit/test_a.py::test_two": "p", f"{B}::test_b": "p"},
            OLD,
        ),
        # A test is skipped now.
        ({**OLD, f"{A}::test_one": "s"}, OLD),
    ],
)
def test_a_forgotten_permission_is_asked_for_by_path(c: dict[str, str], k: dict[str, str]) -> None:
    """All trouble lies in a protected file that the candidate changed."""
    verdict = decide(evidence(base(), run(c), run(k), changed=[A, "tests/unit/test_a.py"]))
    assert (verdict.status, verdict.reason) == ("failed", "needs-permission")
    assert verdict.paths == (A,)


def test_old_tests_that_cannot_even_be_collected_ask_for_a_permission() -> None:
    """A renamed function: the old test file's import fails, pytest stops, and all ids are missing on K."""
    c = run({f"{A}::test_one_now": "p", f"{B}::test_b": "p"})
    verdict = decide(evidence(base(), c, run({}, errors=[A]), changed=[A]))
    assert (verdict.reason, verdict.paths) == ("needs-permission", (A,))


def test_without_ids_a_red_k_and_a_green_c_ask_for_a_permission() -> None:
    """An exit-code gate knows no files: all changed protected paths are named."""
    verdict = decide(evidence(BY_STATUS, ended(0), ended(1), changed=["run.sh", A]))
    assert (verdict.reason, verdict.paths) == ("needs-permission", ("run.sh", A))


def test_a_parameter_that_is_gone_while_others_report_asks_for_its_file() -> None:
    """`f[x]` comes from product data; nothing protected has changed, and yet the user's word is needed."""
    old = {f"{A}::test_f[x]": "p", f"{A}::test_f[y]": "p"}
    c = run({f"{A}::test_f[y]": "p"})
    verdict = decide(evidence(base(old), c))
    assert (verdict.reason, verdict.paths) == ("needs-permission", (A,))
    allowed = decide(evidence(base(old), c, permitted=[A]))
    assert allowed.status == "passed"
    assert allowed.left_contract == (f"{A}::test_f[x]",)


def test_all_parameters_gone_is_missing() -> None:
    """Nothing of `f` reports: that is no other parameter, that is no test."""
    old = {f"{A}::test_f[x]": "p", f"{B}::test_b": "p"}
    assert decide(evidence(base(old), run({f"{B}::test_b": "p"}))).reason == "missing-tests"


def test_changed_setup_inputs_and_a_red_candidate_ask_for_a_permission() -> None:
    """Without it C runs in L's environment, where the new dependency is not."""
    verdict = decide(
        evidence(base(), run({}, errors=[A]), run(OLD), changed=["pyproject.toml"], inputs=["pyproject.toml"])
    )
    assert (verdict.reason, verdict.paths) == ("needs-permission", ("pyproject.toml",))


def test_a_new_parameter_that_needs_its_new_data_file_passes() -> None:
    """On K the new data is absent and the new variant red; K only has to keep the contract."""
    c, k = {**OLD, f"{A}::test_f[new]": "p"}, {**OLD, f"{A}::test_f[new]": "f"}
    assert decide(evidence(base(), run(c), run(k), changed=["tests/data/new.json"])).status == "passed"


def test_an_old_red_may_stay_and_a_mended_one_is_told() -> None:
    """Fail-to-pass is evidence that the change did something."""
    l_tests = {**OLD, f"{B}::red": "f", f"{B}::mended": "f"}
    verdict = decide(evidence(base(l_tests), run({**l_tests, f"{B}::mended": "p"})))
    assert verdict.status == "passed"
    assert verdict.fail_to_pass == (f"{B}::mended",)
    assert verdict.old_reds == (f"{B}::red",)


def test_make_may_give_the_status_of_old_reds() -> None:
    """`make test` ends with 2 where pytest ends with 1; L's own run has shown it."""
    l_tests = {**OLD, f"{B}::red": "f"}
    found = read_baseline(gate(), run(l_tests, status=2), run(l_tests, status=2))
    assert isinstance(found, Baseline)
    assert decide(evidence(found, run(l_tests, status=2))).status == "passed"
    assert decide(evidence(base(l_tests), run(l_tests, status=2))).reason == "red"


def test_the_first_tests_of_a_project_pass_and_are_called_weak() -> None:
    """K may be empty too; C must bring `min-tests`."""
    verdict = decide(evidence(EMPTY, run({f"{A}::test_new": "p"}), run({}), changed=[A]))
    assert verdict.status == "passed"
    assert verdict.weak is not None


# Everything else.


@pytest.mark.parametrize(
    ("c", "k", "reason"),
    [
        (run({**OLD, f"{A}::test_one": "f"}), None, "red"),
        (run({**OLD, f"{A}::test_new": "f"}), run(OLD), "red"),
        (run({**OLD, f"{A}::test_new": "e"}), run(OLD), "red"),
        (run({f"{B}::test_b": "p"}, errors=[A]), None, "red"),
        (run({f"{B}::test_b": "p"}), None, "missing-tests"),
        (run({**OLD, f"{A}::test_one": "s"}), None, "missing-tests"),
        (run({**OLD, f"{A}::test_one": "x"}), None, "missing-tests"),
        (run({}, status=0), None, "missing-tests"),
        (run({}), None, "missing-tests"),
        (ended(0), None, "missing-tests"),
        (run(OLD, status=1), None, "red"),
        (run(OLD, status=2), None, "red"),
        (run(OLD, status=3), None, "red"),
        (run(OLD, status=4), None, "red"),
        (run(OLD, status=5), None, "red"),
        (run(OLD, status=126), None, "could-not-run"),
        (run(OLD, status=127), None, "could-not-run"),
        (run(OLD, status=124), None, "timeout"),
        (run(OLD, status=137), None, "killed"),
        (run({**OLD, f"{A}::test_one": "f"}, status=0), None, "red"),
        (run({}, status=4), None, "could-not-run"),
        (run({}, status=2), None, "could-not-run"),
        (ended(4), None, "could-not-run"),
        (ended(1), None, "could-not-run"),
        (ended(139), None, "killed"),
        (RunEvidence("exited", 0, 1.0, None, "the report has a DTD"), None, "missing-tests"),
        (RunEvidence("timeout", None, 60.0), None, "timeout"),
        (RunEvidence("killed", None, 1.0), None, "killed"),
        (RunEvidence("killed", 0, 1.0, run(OLD).report), None, "killed"),
        (RunEvidence("setup-failed", 1, 1.0), None, "could-not-run"),
        # Red or missing on both, although the file was changed.
        (run({**OLD, f"{A}::test_one": "f"}), run({**OLD, f"{A}::test_one": "f"}), "red"),
        (run({f"{A}::test_two": "p", f"{B}::test_b": "p"}), run({f"{A}::test_two": "p", f"{B}::test_b": "p"}),
         "missing-tests"),
        # A conftest that drops the tests of a file which is not changed itself.
        (run({f"{A}::test_one": "p", f"{A}::test_two": "p"}), run(OLD), "missing-tests"),
        (run(OLD), RunEvidence("timeout", None, 60.0), "timeout"),
    ],
)  # fmt: skip
def test_what_is_not_green_fails_with_its_reason(c: RunEvidence, k: RunEvidence | None, reason: str) -> None:
    """Five is not one, skipped is not passed, and 0 without the contract is not green."""
    changed = [A] if k else []
    assert decide(evidence(base(), c, k, changed=changed)).reason == reason


def test_too_few_passed_tests_is_nothing_ran() -> None:
    """`min-tests` counts passed tests of C."""
    assert decide(evidence(EMPTY, run({}))).reason == "nothing-ran"
    assert decide(evidence(EMPTY, ended(0))).reason == "nothing-ran"
    assert decide(evidence(EMPTY, run({f"{A}::t": "s"}), run({}), changed=[A])).reason == "nothing-ran"
    assert decide(evidence(base(), run(OLD), gate=definition(min_tests=4))).reason == "nothing-ran"


def test_an_exit_code_gate_goes_by_the_status() -> None:
    """And says that this is weak."""
    verdict = decide(evidence(BY_STATUS, ended(0)))
    assert verdict.status == "passed"
    assert verdict.weak == "judged by the exit status alone"
    assert decide(evidence(BY_STATUS, ended(1))).reason == "red"
    assert decide(evidence(BY_STATUS, ended(5))).reason == "red"
    assert decide(evidence(BY_STATUS, ended(127))).reason == "could-not-run"


def test_a_red_c_is_not_excused_by_a_permission() -> None:
    """With its file granted, the new version of the test has to pass."""
    c = run({**OLD, f"{A}::test_one": "f"})
    assert decide(evidence(base(), c, changed=[A], granted=[A])).reason == "red"


def test_a_grant_frees_only_the_files_it_names() -> None:
    """The ids of all other files stay in the contract."""
    c = run({f"{A}::test_one_now": "p"})
    assert decide(evidence(base(), c, changed=[A], granted=[A])).reason == "missing-tests"


def test_where_files_are_unknown_a_grant_frees_only_what_k_no_longer_reports() -> None:
    """Go's reports name packages, not files."""
    old = {"m::TestOld": "p", "m::TestKept": "p"}
    found = base(old, files=False, pytest=False)
    renamed = {"m::TestNew": "p", "m::TestKept": "p"}
    c = run(renamed, files=False, pytest=False)
    assert decide(evidence(found, c, changed=["m_test.go"], granted=["m_test.go"])).left_contract == ("m::TestOld",)
    gone = run({}, status=0, pytest=False)
    assert decide(evidence(found, gone, changed=["m_test.go"], granted=["m_test.go"])).reason == "missing-tests"
    k = run({**old, "m::TestOld": "f"}, files=False, pytest=False)
    forgotten = decide(evidence(found, c, k, changed=["m_test.go"]))
    assert (forgotten.reason, forgotten.paths) == ("needs-permission", ("m_test.go",))


def test_what_is_not_in_the_evidence_is_our_own_fault() -> None:
    """Never a pass, and nobody's change is blamed."""
    assert (decide(evidence(base(), None)).status, decide(evidence(base(), None)).reason) == ("broken", "harness")
    half = replace(evidence(base(), run(OLD), run(OLD), changed=[A]), k=None)
    assert decide(half).reason == "harness"
    assert decide(replace(half, c=run({**OLD, f"{A}::test_one": "f"}))).reason == "red"


def test_engine_setup_and_conflict_have_their_words() -> None:
    """Machinery is `broken`; a conflict is the change's."""
    assert broken("tests", "engine", "the engine does not answer").status == "broken"
    assert broken("tests", "setup", "the setup failed").reason == "setup"
    verdict = conflict("1" * 40, "c" * 40, ["a.py"])
    assert (verdict.status, verdict.reason, verdict.paths) == ("failed", "conflict", ("a.py",))


def test_a_verdict_can_be_worked_out_again_from_the_record() -> None:
    """Evidence and verdict survive JSON, and the verdict is the same."""
    first = evidence(base(), run({**OLD, f"{A}::test_new": "p"}), run({**OLD, f"{A}::test_one": "f"}), changed=[A])
    again = decode(encode(first), Evidence)
    assert decide(again) == decide(first)
    assert decode(encode(decide(first)), Verdict) == decide(first)
    assert again.definition.hash == first.definition.hash


def test_the_cache_key_hangs_on_everything_that_decides() -> None:
    """Trees, baseline, gate, environments and permissions; not the commit that the trees are of."""
    one = evidence(base(), None)
    others = [
        replace(one, c_tree="x" * 40),
        replace(one, k_tree="x" * 40),
        replace(one, baseline=EMPTY),
        replace(one, definition=definition(min_tests=2)),
        replace(one, environments=("x",)),
        replace(one, changed=("tests/a.py",)),
        replace(one, changed=("tests/a.py",), granted=("tests/a.py",)),
        replace(one, permitted=("tests/a.py",)),
        replace(one, inputs=("tests/a.py",)),
    ]
    assert len({cache_key(each) for each in (one, *others)}) == 10
    assert cache_key(replace(one, landing="2" * 40)) == cache_key(one)


# What the implementer is shown.


def test_the_evidence_names_ids_messages_and_how_it_ended() -> None:
    """Failing ids with what they said, missing ids, and the log's ends with the count of what lies between."""
    verdict = decide(evidence(base(), run({**OLD, f"{A}::test_one": "f"})))
    log = b"HEAD" + b"x" * 100_000 + b"TAIL"
    text = evidence_text(verdict, log, 50, limit=4000)
    assert f"- {A}::test_one" in text
    assert f"    why {A}::test_one" in text
    assert "HEAD" in text
    assert text.endswith("TAIL")
    assert "bytes left out" in text
    assert len(text) < 4200


def test_evidence_of_a_time_out_names_the_time_that_l_took() -> None:
    """So that the author knows what was expected."""
    assert "the landing branch took 1.0 s" in evidence_text(
        decide(evidence(base(), RunEvidence("timeout", None, 60.0)))
    )


def test_evidence_stays_bounded_whatever_the_ids_say() -> None:
    """Ids and messages are the tested process's own text."""
    loud = {f"{A}::test_{number}{'x' * 5000}": "f" for number in range(300)}
    text = evidence_text(decide(evidence(base(), run({**OLD, **loud}))), b"y" * 10**6, limit=8000)
    assert len(text) < 8200
    assert "and 260 more" in text or "left out" in text


@given(st.binary(max_size=300), st.integers(0, 50), st.integers(0, 100))
def test_the_ends_of_a_log_say_how_much_is_missing(log: bytes, omitted: int, room: int) -> None:
    """Nothing is ever cut silently."""
    shown = log_ends(log, omitted, room)
    missing = omitted + max(0, len(log) - room)
    assert (f"[{missing} bytes left out]" in shown) == bool(missing) or not missing


# Laws.

LETTERS = st.sampled_from("pppppfesx")
IDS = [f"{file}::{name}" for file in (A, B) for name in ("t1", "t2", "f[x]", "f[y]")]
RESULTS = st.dictionaries(st.sampled_from(IDS), LETTERS)
FULL = st.fixed_dictionaries(dict.fromkeys(IDS, LETTERS))
STATUS = st.sampled_from([None, None, None, 0, 1, 2, 5, 127, 137])
PATHS = st.lists(st.sampled_from([A, B]), unique=True)


@st.composite
def pieces(draw: st.DrawFn) -> Evidence:
    """Evidence of any shape whose baseline is one that L could give."""
    l_tests = draw(st.one_of(FULL, RESULTS))
    found = read_baseline(gate(), run(l_tests), run({**l_tests, **draw(RESULTS)} if draw(st.booleans()) else l_tests))
    if not isinstance(found, Baseline):
        found = base()
    tests = st.one_of(st.just(l_tests), RESULTS, FULL)
    runs = st.builds(lambda results, status: run(results, status=status), tests, STATUS)
    c, k = draw(runs), draw(st.one_of(st.none(), runs))
    changed = draw(PATHS)
    granted = [path for path in changed if draw(st.booleans())]
    return evidence(found, c, k, changed=changed if k else granted, granted=granted, permitted=draw(PATHS))


def kept(case: Evidence) -> set[str]:
    """The contract minus what a permission lifts, by the plainest reading."""
    let_go = {*case.granted, *case.permitted}
    return {test for test in case.baseline.contract if case.baseline.file(test) not in let_go}


@given(pieces())
def test_no_pass_without_every_kept_id_passed_on_both(case: Evidence) -> None:
    """The promise of the gate, whatever else the evidence says."""
    if decide(case).status == "passed":
        for seen in (case.c, case.k or case.c):
            assert seen is not None
            assert seen.report is not None
            assert seen.end == "exited"
            assert seen.status in (0, 1, 2, 5)
            assert all(seen.report.tests.get(test) == "passed" for test in kept(case))
        assert case.c is not None
        assert case.c.report is not None
        new_reds = {t for t, o in case.c.report.tests.items() if o in ("failed", "error")} - set(case.baseline.reds)
        assert not new_reds


@given(pieces(), st.sampled_from(IDS), st.sampled_from(["failed", "error", "skipped", None]), st.booleans())
def test_a_worse_result_never_turns_a_verdict_into_a_pass(case: Evidence, test: str, worse: str, on_c: bool) -> None:
    """Monotonic: taking a pass away cannot help, on either run."""
    if case.k is None:
        return
    target = case.c if on_c else case.k
    assert target is not None
    assert target.report is not None
    if target.report.tests.get(test) != "passed" or test not in kept(case):
        return
    tests = {name: outcome for name, outcome in target.report.tests.items() if name != test}
    if worse:
        tests[test] = worse  # type: ignore[assignment]
    spoiled = replace(target, report=replace(target.report, tests=tests))
    assert decide(replace(case, c=spoiled) if on_c else replace(case, k=spoiled)).status != "passed"


@given(pieces())
def test_a_verdict_is_a_function_of_its_evidence(case: Evidence) -> None:
    """The same record gives the same verdict; it names a reason exactly where it did not pass."""
    verdict = decide(case)
    assert verdict == decide(decode(encode(case), Evidence))
    assert (verdict.status == "passed") == (verdict.reason is None)
    assert verdict.summary
    assert bool(verdict.paths) == (verdict.reason == "needs-permission")


@given(pieces(), st.sampled_from(["c", "k"]))
def test_what_could_not_be_evaluated_never_passes(case: Evidence, which: str) -> None:
    """A run that was killed, timed out or left nothing readable."""
    if case.k is None:
        return
    for lost in (
        RunEvidence("killed", 0, 1.0, run(OLD).report),
        RunEvidence("timeout", None, 1.0),
        RunEvidence("setup-failed", None, 1.0),
        ended(0),
        None,
    ):
        spoiled = replace(case, c=lost) if which == "c" else replace(case, k=lost)
        assert decide(spoiled).status != "passed"
