"""The frame: help without imports, exit codes, and one boundary for everything that goes wrong."""

import errno
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runner.cli import main
from runner.cli.table import COMMANDS, GROUPS, NOT_IN_THIS_VERSION
from runner.git.command import GitError, RefMoved
from sandbox.base import SandboxError

RELAY = Path(sys.executable).parent / "relay"


def relay(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it."""
    return subprocess.run(
        [RELAY, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **more},
        check=False,
    )


def raising(error: BaseException) -> click.Command:
    """A command that fails."""

    def fail() -> int:
        raise error

    return click.Command("fail", callback=fail)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs a command that raises an error, within the boundary: its exit code and what stderr says."""

    def run(error: BaseException) -> tuple[int, str]:
        monkeypatch.setattr(main.LazyGroup, "get_command", lambda self, ctx, name: raising(error))
        code = main.run(["fail"], {"XDG_STATE_HOME": str(tmp_path), "MY_API_KEY": "top-secret-value"})
        return code, capsys.readouterr().err

    return run


def loaded(*arguments: str) -> set[str]:
    """The modules that are there when a command has ended."""
    code = f"import os, sys; from runner.cli import main; main.run({arguments!r}, os.environ)"
    code += "\nprint(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(re.findall(r"'([\w.]+)'", done.stderr))


HEAVY = {"docker", "git", "dbos", "sqlalchemy", "structlog", "rich", "jinja2", "anthropic", "openai", "google"}
HEAVY |= {"genai_prices", "asyncio", "pydantic", "requests", "httpx", "sandbox"}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("pipeline", "--help")])
def test_help_imports_nothing_but_click(arguments: tuple[str, ...]) -> None:
    """No SDK, no engine, no docker, no git, no YAML is loaded to say what there is."""
    found = loaded(*arguments)
    assert found & (HEAVY | {"yaml", "json", "pipelines"}) == set()
    ours = {"runner", "runner.cli", "runner.cli.main", "runner.cli.table"}
    assert {name for name in found if name.startswith("runner")} == ours


@pytest.mark.parametrize("what", [("validate", "solo"), ("show", "solo"), ("schema",)])
def test_a_pipeline_is_judged_without_what_only_a_run_needs(what: tuple[str, ...]) -> None:
    """An editor asks at every save."""
    assert loaded("pipeline", *what) & HEAVY == set()


def test_help_lists_every_command_with_its_line() -> None:
    """The table's own words; a group's commands likewise."""
    for arguments, table in (((), COMMANDS), (("image",), GROUPS["image"])):
        said = " ".join(relay(*arguments, "--help").stdout.split())
        for name, entry in table.items():
            assert f"{name} {entry.help}" in said


@pytest.mark.parametrize(
    "module", [e.module for table in (COMMANDS, *GROUPS.values()) for e in table.values() if e.module]
)
def test_every_command_of_the_table_is_one_click_command(module: str) -> None:
    """One command, one file; each says what it does with an example, and gives --repo and --json where they fit."""
    command = importlib.import_module(module).command
    assert isinstance(command, click.Command)
    assert command.help and command.epilog and "relay " in command.epilog
    assert all(isinstance(each, click.Argument) or getattr(each, "help", None) for each in command.params)


@pytest.mark.parametrize("name", NOT_IN_THIS_VERSION)
def test_a_command_of_a_later_version_says_so(name: str) -> None:
    """Known and refused, not unknown."""
    done = relay(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"`relay {name}` is not in this version" in done.stderr


def test_wrong_usage_is_exit_code_2() -> None:
    """An unknown command, an unknown option, a folder that is not there."""
    assert relay("nope").returncode == 2
    assert relay("doctor", "--nope").returncode == 2
    for number in ("nan", "-1", "many"):
        done = relay("image", "prune", "--keep-days", number)
        assert done.returncode == 2 and "--keep-days" in done.stderr
    for money in ("nan", "-1", "1e400", "many"):
        done = relay("pipeline", "run", "solo", "--max-cost", money)
        assert done.returncode == 2 and "no amount of USD" in done.stderr
    done = relay("doctor", "--repo", "/nowhere")
    assert done.returncode == 2
    assert "/nowhere" in done.stderr


def test_version() -> None:
    """For bug reports."""
    assert re.fullmatch(r"relay, version \d+\.\d+\.\d+\n", relay("--version").stdout)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SandboxError("the engine is down: start it"), 4),
        (GitError("not a repository: go to one"), 4),
        (RefMoved("refs/heads/main", now="a" * 40, expected="b" * 40), 4),
    ],
)
def test_an_expected_failure_is_a_sentence_and_its_exit_code(fails, error: Exception, code: int) -> None:  # type: ignore[no-untyped-def]
    """No traceback for what a user can mend."""
    got, said = fails(error)
    assert (got, said) == (code, f"relay: {error}\n")


def test_a_full_disk_is_told_with_its_place(fails) -> None:  # type: ignore[no-untyped-def]
    """The machine's doing, not ours."""
    assert fails(OSError(errno.ENOSPC, "No space left on device", "/x")) == (
        4,
        "relay: the disk takes no more: No space left on device (/x): make room there\n",
    )


def test_an_error_may_bring_its_own_exit_code_and_hint(fails) -> None:  # type: ignore[no-untyped-def]
    """A room says what its failure means without knowing the command line."""

    class Mine(Exception):
        exit_code = 6
        hint = "run: relay approve"

    assert fails(Mine("waits for you")) == (6, "relay: waits for you\n  run: relay approve\n")


def test_every_expected_error_exists() -> None:
    """The table names classes as text, so a renamed one would silently become a bug of ours."""
    for name in main.EXPECTED:
        module, _, cls = name.rpartition(".")
        if importlib.util.find_spec(module):
            assert issubclass(getattr(importlib.import_module(module), cls), Exception), name


def test_a_bug_of_ours_is_two_lines_and_a_log(fails, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The traceback is in a file that only its owner reads, with secrets masked."""
    code, said = fails(KeyError("top-secret-value"))
    assert code == 3
    first, second = said.splitlines()
    assert first.startswith("relay: internal error: KeyError") and "top-secret" not in first
    log = Path(second.split()[-1])
    text = log.read_text()
    assert log.parent == tmp_path / "relay"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in text and "raise error" in text and "top-secret" not in text


def test_an_ordinary_operating_system_error_is_a_bug(fails) -> None:  # type: ignore[no-untyped-def]
    """A missing file that nobody foresaw is ours to mend."""
    assert fails(FileNotFoundError(errno.ENOENT, "no such file", "/x"))[0] == 3


def test_an_interruption_is_130(fails) -> None:  # type: ignore[no-untyped-def]
    """Ctrl-C ends without a traceback."""
    assert fails(KeyboardInterrupt()) == (130, "\nrelay: interrupted\n")


def test_what_an_error_quotes_cannot_steer_the_terminal(fails) -> None:  # type: ignore[no-untyped-def]
    """Errors quote paths and outputs that a model chose."""
    assert fails(GitError("bad path \x1b[2J\u202e and top-secret-value"))[1] == (
        "relay: bad path \\x1b[2J\\u202e and ***\n"
    )


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    """`relay --help | head -1` says nothing about broken pipes."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([RELAY, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("redirected", "code"),
    [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 4), ("2>/dev/full", 0)],
)
def test_closed_or_full_streams_change_no_more_than_they_must(redirected: str, code: int, tmp_path: Path) -> None:
    """cron and services start programs so: nothing is a bug, and no file is written to in a stream's place."""

    def run(command: str) -> subprocess.CompletedProcess[str]:
        # Buffered, as streams are outside of a terminal: what is left over fails only when the process ends.
        script = f"unset PYTHONUNBUFFERED; {RELAY} {command}"
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)

    for command in ("--help", "pipeline show solo"):
        done = run(f"{command} {redirected}")
        assert done.returncode == code, done.stderr
        assert "bug of relay" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert run("nope 2>/dev/full").returncode == 2


def test_what_a_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    """A name that the encoding lacks, and help in a narrow window, on a dumb terminal, in the C locale."""
    (tmp_path / "☂ ü.yaml").write_text("version: 1\n")
    done = relay("pipeline", "validate", str(tmp_path / "☂ ü.yaml"), "--json", PYTHONIOENCODING="latin-1")
    assert done.returncode == 2 and json.loads(done.stdout)["valid"] is False
    done = relay("pipeline", "show", "solo", PYTHONIOENCODING="ascii", LC_ALL="POSIX")
    assert done.returncode == 0
    done = relay("--help", TERM="dumb", COLUMNS="20", NO_COLOR="1", LC_ALL="C")
    assert done.returncode == 0 and "\x1b" not in done.stdout


def test_json_holds_the_error_too_and_the_exit_code_is_the_same(tmp_path: Path) -> None:
    """One object on stdout for a program, the sentence on stderr for people."""
    wrong = (
        ("status",),
        ("runs",),
        ("doctor", "--models"),
        ("show", "t1-1"),
        ("pipeline", "run", "nope"),
        ("init", "x"),
    )
    for arguments in wrong:
        plain = relay(*arguments, "--repo", str(tmp_path))
        done = relay(*arguments, "--repo", str(tmp_path), "--json")
        told = json.loads(done.stdout)
        assert told["exit_code"] == done.returncode == plain.returncode != 0
        assert told["error"].splitlines()[0] in done.stderr
        assert plain.stdout == ""


@pytest.mark.parametrize("name", ["pipelines", "sandbox"])
def test_a_foreign_package_of_our_name_is_named_in_one_sentence(name: str, tmp_path: Path) -> None:
    """A target project may have a `pipelines/` of its own on PYTHONPATH."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    done = relay("--help", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        f"relay: another `{name}` ({tmp_path / name / '__init__.py'}) hides relay's own: "
        "run relay without PYTHONPATH, from a virtual environment of its own\n"
    )


def test_json_of_the_base_image_is_one_object() -> None:
    """Facts for programs on stdout, words for people on stderr."""
    done = relay("image", "debian", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image"] == "relay/debian:1"
