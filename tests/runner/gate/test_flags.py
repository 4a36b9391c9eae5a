"""What a reviewer is told about a change before reading it."""

from runner.gate.flags import ChangedFile, flags

FILE, LINK, RUN, GITLINK = "100644", "120000", "100755", "160000"


def changed(
    path: bytes, old: bytes | None, new: bytes | None, old_mode: str = FILE, new_mode: str = FILE
) -> ChangedFile:
    """A path with both its sides; an absent side has no mode."""
    return ChangedFile(path, old_mode if old is not None else None, new_mode if new is not None else None, old, new)


def test_an_ordinary_change_has_no_flag() -> None:
    """A new function and a new test with its assertion."""
    fix = changed(b"a.py", b"def f(): return 1\n", b"def f():\n    assert True\n    return 2\n")
    tests = changed(b"tests/test_a.py", b"", b"def test_f():\n    assert f() == 2\n")
    assert flags([fix, tests], tests=[b"tests/test_a.py"]) == ()


def test_protected_configuration_and_host_files_are_named() -> None:
    """By the lists that protect.py gives."""
    changes = [
        changed(b"tests/t.py", b"a", b"b"),
        changed(b"conftest.py", None, b"x"),
        changed(b"Makefile", b"a", b"b"),
    ]
    found = flags(
        changes,
        protected=[b"tests/t.py", b"conftest.py"],
        acknowledge=[b"tests/t.py", b"conftest.py"],
        host=[b"Makefile"],
    )
    assert found == (
        "changes protected files: tests/t.py",
        "adds configuration files: conftest.py",
        "touches files that the host or the next run obeys: Makefile",
    )


def test_marks_removed_tests_and_removed_assertions_are_counted() -> None:
    """Python, JavaScript and Go."""
    old = b"def test_a():\n    assert f() == 1\ndef test_b():\n    assert g()\n"
    new = b"import pytest\n@pytest.mark.skip\ndef test_a():\n    f()\n"
    assert flags([changed(b"t.py", old, new)], tests=[b"t.py"]) == (
        "adds marks that skip tests or expect them to fail: t.py (1)",
        "removes tests: t.py (1)",
        "removes assertions from tests: t.py (2)",
    )
    for added in (b"it.skip('x')", b"xit('x')", b"describe.only('x')", b"t.Skip()", b"@unittest.expectedFailure"):
        assert flags([changed(b"t", b"", added)]) == ("adds marks that skip tests or expect them to fail: t (1)",)


def test_a_product_that_reaches_for_the_runner_is_named() -> None:
    """It shares a process with its tests, so nothing else can show what it does there."""
    for line in (b"os._exit(0)", b"import _pytest.runner", b"if 'pytest' in sys.modules:", b"atexit.register(f)"):
        assert flags([changed(b"a.py", b"", line)]) == ("reaches for the test runner or ends the process: a.py (1)",)
    assert flags([changed(b"README.md", b"", b"pytest writes junit.xml")]) == ()
    assert flags([changed(b"t.py", b"", b"import _pytest")], tests=[b"t.py"]) == ()


def test_left_over_conflict_markers_are_seen_and_headings_are_not() -> None:
    """A line of equal signs alone is a heading in many a text."""
    conflict = b"<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n"
    assert flags([changed(b"a.py", b"", conflict)]) == ("leaves conflict markers in: a.py",)
    assert flags([changed(b"a.rst", b"", b"Title\n=======\n")]) == ()


def test_links_submodules_modes_binary_and_large_files_are_named() -> None:
    """What a diff shows badly."""
    changes = [
        changed(b"link", None, b"/etc", new_mode=LINK),
        ChangedFile(b"sub", GITLINK, GITLINK),
        changed(b"run.sh", b"a", b"a", new_mode=RUN),
        changed(b"blob", None, b"a\0b"),
        changed(b"big\xff", None, b"x" * (1024**2 + 1)),
    ]
    assert flags(changes) == (
        "adds or changes symbolic links: link",
        "changes submodules: sub",
        "changes the executable bit of: run.sh",
        "adds or changes binary files: blob",
        'adds or changes large files: "big\\377"',
    )


def test_a_flag_names_ten_paths_at_most() -> None:
    """The reviewer's window is not the place for a listing."""
    many = [changed(f"l{n:02}".encode(), None, b"x", new_mode=LINK) for n in range(14)]
    assert flags(many)[0].endswith("l09 and 4 more")


def test_a_test_file_of_empty_lines_is_no_hang() -> None:
    """A million of them, looked at once each."""
    odd = changed(b"tests/test_a.py", b"def test_a():\n    assert True\n", b"\n" * 1_000_000)
    assert flags([odd], tests=[b"tests/test_a.py"]) == (
        "removes tests: tests/test_a.py (1)",
        "removes assertions from tests: tests/test_a.py (1)",
    )
