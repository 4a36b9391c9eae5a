"""JUnit XML of real pytest runs and of other runners' shapes, and what an attacker would write instead."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pipeline import Results
from runner.gate.results import MAX_DEPTH, Report, Unreadable, read_junit
from runner.gate.switch import pytest_runs, report_place, runner_environment

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}


def run_pytest(where: Path, files: dict[str, str], *arguments: str, start: str = ".") -> tuple[int, Report]:
    """A real run with relay's switch; the report is read with the tree's file list, as the stage does it."""
    for path, text in files.items():
        (where / path).parent.mkdir(parents=True, exist_ok=True)
        (where / path).write_text(text)
    switch = runner_environment(Results(), {})["PYTEST_ADDOPTS"].replace("/relay/junit.xml", str(where / "junit.xml"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=where / start,
        env={**CLEAN, "PYTEST_ADDOPTS": switch, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        timeout=60,
    )
    return done.returncode, read_junit([(where / "junit.xml").read_bytes()], list(files))


def test_a_real_run_gives_nodeids_outcomes_and_files(tmp_path: Path) -> None:
    """Classes, nested classes, odd parameters, skips, xfails, set-up and tear-down errors: each as pytest names it."""
    files = {
        "pytest.ini": "[pytest]\n",
        "tests/unit/test_all.py": (
            "import pytest\n"
            "def test_plain(): pass\n"
            "class TestA:\n"
            "    class TestB:\n"
            "        def test_inner(self): pass\n"
            "@pytest.mark.parametrize('x', ['a.b', 'a::b', 'a/b.py', '[x]', 'é \\n', '<&\"\\x1b'])\n"
            "def test_odd(x): pass\n"
            "def test_red(): assert 1 == 2, 'one is not two'\n"
            "@pytest.mark.skip(reason='not today')\n"
            "def test_skip(): pass\n"
            "@pytest.mark.xfail\n"
            "def test_xfail(): assert 0\n"
            "@pytest.mark.xfail(strict=True)\n"
            "def test_strict(): pass\n"
            "@pytest.fixture\n"
            "def broken(): raise RuntimeError('no set-up')\n"
            "def test_setup(broken): pass\n"
            "@pytest.fixture\n"
            "def messy():\n"
            "    yield\n"
            "    raise RuntimeError('no tear-down')\n"
            "def test_teardown(messy): pass\n"
            "def test_both(messy): assert 0\n"
        ),
    }
    status, report = run_pytest(tmp_path, files)
    module = "tests/unit/test_all.py"
    assert status == 1
    assert report.pytest
    assert set(report.files.values()) == {module}
    expected = {
        f"{module}::test_plain": "passed",
        f"{module}::TestA::TestB::test_inner": "passed",
        f"{module}::test_red": "failed",
        f"{module}::test_skip": "skipped",
        f"{module}::test_xfail": "xfailed",
        f"{module}::test_strict": "failed",
        f"{module}::test_setup": "error",
        f"{module}::test_teardown": "error",
        f"{module}::test_both": "error",
    }
    assert {name: outcome for name, outcome in report.tests.items() if "test_odd" not in name} == expected
    assert "one is not two" in report.messages[f"{module}::test_red"]
    assert report.messages[f"{module}::test_skip"].startswith("not today")
    odd = [name for name in report.tests if "test_odd" in name]
    assert len(odd) == 6
    assert all(name.startswith(f"{module}::test_odd[") for name in odd)
    assert f"{module}::test_odd[a::b]" in odd
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert set(report.tests) == {line for line in collected.stdout.splitlines() if "::" in line}


def test_an_inherited_test_belongs_to_the_module_that_collects_it(tmp_path: Path) -> None:
    """Its `file` attribute names the base class's file; a grant for one file must not free another's ids."""
    files = {
        "pytest.ini": "[pytest]\npythonpath = .\n",
        "tests/base.py": "class Base:\n    def test_it(self): pass\n",
        "tests/test_heir.py": "from tests.base import Base\nclass TestHeir(Base): pass\n",
    }
    _, report = run_pytest(tmp_path, files)
    assert report.tests == {"tests/test_heir.py::TestHeir::test_it": "passed"}
    assert report.files == {"tests/test_heir.py::TestHeir::test_it": "tests/test_heir.py"}


def test_a_run_in_a_folder_of_the_tree_finds_the_files_in_the_tree(tmp_path: Path) -> None:
    """`cd backend && pytest`: the id is pytest's, the file is the tree's."""
    files = {"backend/pytest.ini": "[pytest]\n", "backend/tests/test_a.py": "def test_a(): pass\n", "main.py": ""}
    _, report = run_pytest(tmp_path, files, start="backend")
    assert report.tests == {"tests/test_a.py::test_a": "passed"}
    assert report.files == {"tests/test_a.py::test_a": "backend/tests/test_a.py"}


def test_collection_errors_and_skipped_modules_are_no_tests(tmp_path: Path) -> None:
    """Pytest reports them like tests; they are modules."""
    files = {
        "pytest.ini": "[pytest]\n",
        "test_bad.py": "import nothing_like_it\n",
        "test_away.py": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
        "test_good.py": "def test_good(): pass\n",
    }
    status, report = run_pytest(tmp_path, files)
    assert status == 2
    assert report.tests == {}
    assert "nothing_like_it" in report.collection_errors["test_bad.py"]
    assert report.collection_skipped == ("test_away.py",)
    status, report = run_pytest(tmp_path, files, "--continue-on-collection-errors")
    assert (status, report.tests) == (1, {"test_good.py::test_good": "passed"})


def test_no_tests_is_a_report_without_tests(tmp_path: Path) -> None:
    """Exit status 5, and an empty report: not the same as no report."""
    status, report = run_pytest(tmp_path, {"pytest.ini": "[pytest]\n"})
    assert (status, report.tests, report.collection_errors) == (5, {}, {})


def test_a_suite_run_by_make_reports_too(tmp_path: Path) -> None:
    """The switch is an environment variable, so a command that calls pytest inside reports as well."""
    (tmp_path / "test_m.py").write_text("def test_m(): pass\n")
    (tmp_path / "Makefile").write_text(f"test:\n\t{sys.executable} -m pytest -q -p no:cacheprovider\n")
    switch = runner_environment(Results(), {})["PYTEST_ADDOPTS"].replace("/relay", str(tmp_path))
    subprocess.run(["make", "test"], cwd=tmp_path, env={**CLEAN, "PYTEST_ADDOPTS": switch}, check=True, timeout=60)
    assert read_junit([(tmp_path / "junit.xml").read_bytes()], ["test_m.py"]).tests == {"test_m.py::test_m": "passed"}


def test_the_users_own_addopts_stay_and_ours_come_last() -> None:
    """Pytest takes the last of two settings."""
    env = runner_environment(Results(), {"PYTEST_ADDOPTS": "-x", "A": "b"})
    assert env["PYTEST_ADDOPTS"].startswith("-x --junitxml=/relay/junit.xml ")
    assert env["A"] == "b"


def test_results_by_exit_code_ask_no_runner_to_report() -> None:
    """The way out for a project whose runner cannot stand the switch."""
    assert runner_environment(Results("exit-code"), {"A": "b"}) == {"A": "b"}
    assert report_place(Results("exit-code")) is None


def test_a_path_of_the_projects_own_is_in_the_tree_and_not_redirected() -> None:
    """`results: {junit: build/report.xml}` is the runner's own business."""
    results = Results("junit", "/work/build/report.xml")
    place = report_place(results)
    assert place is not None
    assert place.in_tree == "build/report.xml"
    assert "--junitxml" not in runner_environment(results, {})["PYTEST_ADDOPTS"]
    assert "JEST_JUNIT_OUTPUT_FILE" not in runner_environment(results, {})


def test_several_pytest_runs_in_one_command_are_seen_in_the_log() -> None:
    """The later report overwrites the earlier one; the user is told at start."""
    log = "..\n2 passed in 0.01s\n=== 1 failed, 3 passed, 2 warnings in 12.30s (0:00:12) ===\nok in 1s\n"
    assert pytest_runs(log) == 2
    assert pytest_runs("2 items passed in review\n") == 0


JEST = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="jest tests" tests="3" failures="1" errors="0" time="0.7">
  <testsuite name="math" errors="0" failures="1" skipped="1" tests="3">
    <testcase classname="math adds" name="math adds" time="0.003" file="src/math.test.js"></testcase>
    <testcase classname="math" name="twice" file="src/math.test.js"><failure>Error: expected 3</failure></testcase>
    <testcase classname="math" name="twice" file="src/math.test.js"><skipped/></testcase>
  </testsuite>
</testsuites>"""

GO = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1">
  <testsuite tests="2" failures="1" time="0.1" name="example.com/m/calc">
    <properties><property name="go.version" value="go1.22"></property></properties>
    <testcase classname="example.com/m/calc" name="TestAdd" time="0.0"></testcase>
    <testcase classname="example.com/m/calc" name="TestAdd/zero" time="0.0">
      <failure message="Failed" type="">calc_test.go:9: 0 != 1</failure></testcase>
  </testsuite>
  <testsuite tests="1" name="example.com/m/bad">
    <testcase classname="example.com/m/bad" name="[build failed]"><error message="Build error"/></testcase>
  </testsuite>
</testsuites>"""

SUREFIRE = b"""<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.x.CalcTest" tests="3">
  <testcase name="adds" classname="com.x.CalcTest" time="0.01"><system-out>noise</system-out></testcase>
  <testcase name="later" classname="com.x.CalcTest"><skipped message="not yet"/></testcase>
  <testcase name="flaky" classname="com.x.CalcTest"><failure type="E">no</failure><rerunFailure/></testcase>
</testsuite>"""

VITEST = b"""<testsuites name="vitest tests"><testsuite name="src/a.test.ts" tests="1">
  <testcase classname="src/a.test.ts" name="adds &gt; two numbers" time="0.002"/></testsuite></testsuites>"""

GTEST = b"""<testsuites><testsuite name="Calc"><testcase name="Off" status="notrun" classname="Calc"/>
  <testcase name="On" status="run" result="completed" classname="Calc"/></testsuite></testsuites>"""


def test_jest_gives_class_and_name_and_counts_repeats() -> None:
    """Two tests of one name are two tests; the second is `#2`."""
    report = read_junit([JEST], ["src/math.test.js"])
    assert report.tests == {"math adds::math adds": "passed", "math::twice": "failed", "math::twice#2": "skipped"}
    assert set(report.files.values()) == {"src/math.test.js"}
    assert report.messages["math::twice"] == "Error: expected 3"


def test_go_names_packages_and_no_files() -> None:
    """go-junit-report: a package that does not build is an error that has an id."""
    report = read_junit([GO], ["calc/calc_test.go"])
    assert report.tests == {
        "example.com/m/calc::TestAdd": "passed",
        "example.com/m/calc::TestAdd/zero": "failed",
        "example.com/m/bad::[build failed]": "error",
    }
    assert report.files == {}


def test_surefire_vitest_and_googletest_are_read() -> None:
    """A lone `testsuite` as root, a class name that is a file, a status in an attribute."""
    assert read_junit([SUREFIRE]).tests == {
        "com.x.CalcTest::adds": "passed",
        "com.x.CalcTest::later": "skipped",
        "com.x.CalcTest::flaky": "failed",
    }
    vitest = read_junit([VITEST], ["src/a.test.ts"])
    assert vitest.files == {"src/a.test.ts::adds > two numbers": "src/a.test.ts"}
    assert read_junit([GTEST]).tests == {"Calc::Off": "skipped", "Calc::On": "passed"}


def test_several_documents_are_one_report() -> None:
    """Surefire and Gradle write one file per class."""
    assert len(read_junit([SUREFIRE, GO]).tests) == 6


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
<testsuite name="&b;"><testcase classname="a" name="b"/></testsuite>"""


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "no XML"),
        (b"<testsuite", "no XML"),
        (b"<html/>", "no JUnit XML"),
        (BOMB, "DTD"),
        (b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><testsuite/>", "DTD"),
        (b"<testsuite>" * (MAX_DEPTH + 1) + b"</testsuite>" * (MAX_DEPTH + 1), "deeper"),
        (b"<testsuite>" * 200_000, "deeper"),
        ("<testsuite name='é'/>".encode("latin-1"), "not UTF-8"),
        (b"<testsuite name='\x00'/>", "no XML"),
        (b"<testsuite>" + b"<testcase/>" * 1_000_000 + b"</testsuite>", "more than"),
    ],
)
def test_what_cannot_be_believed_is_unreadable(document: bytes, why: str) -> None:
    """Never an empty report, never a crash, never a file read for an entity."""
    with pytest.raises(Unreadable, match=why):
        read_junit([document])


def test_a_report_of_32_mebibytes_is_the_most() -> None:
    """The reader's memory is ours."""
    with pytest.raises(Unreadable, match="bytes"):
        read_junit([b" " * (32 * 1024**2 + 1)])


def test_a_declared_encoding_chooses_no_decoder() -> None:
    """The text is UTF-8 whatever it says of itself."""
    document = b"<?xml version='1.0' encoding='unicode_escape'?><testsuite><testcase name='\\x41'/></testsuite>"
    assert read_junit([document]).tests == {"::\\x41": "passed"}


@given(st.binary(max_size=200), st.sampled_from([JEST, GO, SUREFIRE, VITEST]), st.integers(0, 400))
def test_no_damage_makes_the_reader_fail(noise: bytes, document: bytes, at: int) -> None:
    """A damaged report is read or unreadable; nothing else is ever raised."""
    for damaged in (document[:at] + noise + document[at:], document[:at] + noise + document[at + len(noise) :]):
        with contextlib.suppress(Unreadable):
            assert isinstance(read_junit([damaged]), Report)


def test_a_class_name_of_a_million_dots_is_no_hang() -> None:
    """The process under test writes the report: its longest name is read once for each path it may mean."""
    case = '<testcase classname="tests.test_a.{}" name="test_x" file="x.py"/>'.format("a." * 1_000_000)
    report = read_junit(
        [f'<testsuites><testsuite name="pytest">{case}</testsuite></testsuites>'.encode()], ["tests/test_a.py"]
    )
    assert list(report.files.values()) == ["tests/test_a.py"]
