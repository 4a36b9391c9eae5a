"""The command `relay`: a lazy group over the table of commands, and the only error boundary of the program.

Nothing but click is imported until a command is asked for.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TextIO

import click

from runner import __version__
from runner.cli.table import COMMANDS, GROUPS, NOT_IN_THIS_VERSION, Entry

# Failures that a user must read, by the name of their class, so that no room has to be imported to know them. A class
# may also say it itself by an attribute `exit_code`. Anything else is a bug of ours.
EXPECTED = {
    "sandbox.base.SandboxError": 4,
    "sandbox.base.SandboxDied": 4,
    "sandbox.image.SetupFailed": 4,
    "runner.git.command.GitError": 4,
    "runner.models.base.ModelError": 4,
    "runner.stages.context.ProviderDown": 4,
    "runner.agent.lines.LinesError": 4,
    "runner.lock.Locked": 5,
    "runner.agent.ledger.BudgetReached": 7,
    "runner.stages.context.Interrupted": 130,
    "pipelines.problems.PipelineError": 2,
}

BUG = 3
MACHINERY = 4
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell says of a command that SIGPIPE ended


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed by the table's own words."""

    entries: Mapping[str, Entry] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            if cmd_name in NOT_IN_THIS_VERSION and self.entries is COMMANDS:
                raise click.UsageError(f"`{ctx.command_path} {cmd_name}` is not in this version", ctx)
            return None
        if entry.module is None:
            return _group(cmd_name, entry)
        command = import_module(entry.module).command
        assert isinstance(command, click.Command)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.entries[name].help) for name in self.list_commands(ctx)])


def _group(name: str, entry: Entry) -> LazyGroup:
    group = LazyGroup(name, help=entry.help, no_args_is_help=True)
    group.entries = GROUPS[name]
    return group


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with: relay init, then relay doctor, then relay pipeline run",
)
@click.version_option(__version__, prog_name="relay")
def root() -> None:
    """A strong model plans and reviews, a fast one implements, your tests decide what lands."""


def main() -> None:
    """The console entry point. A stage that failed leaves its thread parked for good: nobody waits for it at exit."""
    _ready_streams()
    code = run(sys.argv[1:], os.environ)
    for stream in (sys.stdout, sys.stderr):
        _empty(stream)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(code)
    sys.exit(code)


def _empty(stream: TextIO) -> None:
    """Flush a stream. One that takes no more is let go: Python would try again at exit, and make the code 120."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _ready_streams() -> None:
    """Make the standard streams fit to be written to, whatever the caller made of them.

    One that is closed is opened, or the next file would get its number, and what is said would go into that file. What
    the terminal's encoding does not have is escaped.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command and give its exit code (the table of codes: docs/commands.md). Never raises."""
    stdout = sys.stdout
    try:
        shadowed = _shadowed()
        if shadowed:
            _say(shadowed)
            return MACHINERY
        code = root.main(args=list(arguments), prog_name="relay", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return _also_json(arguments, "interrupted", INTERRUPTED)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return _also_json(arguments, error.format_message(), 2)
    except BrokenPipeError:
        # The reader has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except SystemExit as error:
        # click's own answer to a broken pipe: it puts a quiet stdout in the place of ours, and exits with 1.
        if sys.stdout is not stdout:
            return BROKEN_PIPE
        return error.code if isinstance(error.code, int) else BUG
    except Exception as error:  # noqa: BLE001 (the boundary: everything else in the program catches the narrowest)
        return _failed(error, arguments, environment)


def _also_json(arguments: Sequence[str], text: str, code: int) -> int:
    """The exit code; where JSON was asked for, standard output holds an object all the same."""
    if "--json" in arguments:
        import json

        with suppress(OSError):
            click.echo(json.dumps({"error": text, "exit_code": code}, indent=2))
    return code


def _failed(error: Exception, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    from runner.disk import refuses, sentence
    from runner.redact import escape_terminal, known_secrets, mask, one_line

    code = exit_code(error)
    if code is None:
        from runner.cli.bug import write_log

        log = write_log(error, environment)
        said = f"internal error: {type(error).__name__}: {one_line(mask(str(error), known_secrets(environment)), 300)}"
        _say(said)
        _say(f"this is a bug of relay; the traceback is in {log}")
        return _also_json(arguments, said, BUG)
    said = sentence(error) if isinstance(error, OSError) and refuses(error) else str(error)
    text = mask(said, known_secrets(environment)) or type(error).__name__
    hint = getattr(error, "hint", "")
    text = escape_terminal(f"{text}\n  {hint}" if hint else text)
    if type(error).__name__ == "PipelineError":  # its lines begin with file:line:col, which editors understand
        with suppress(OSError):
            click.echo(text, err=True)
    else:
        _say(text)
    return _also_json(arguments, text, code)


def exit_code(error: BaseException) -> int | None:
    """The exit code of an expected failure; None for a bug of ours."""
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    for cls in type(error).__mro__:
        if f"{cls.__module__}.{cls.__qualname__}" in EXPECTED:
            return EXPECTED[f"{cls.__module__}.{cls.__qualname__}"]
    from runner.disk import refuses

    return MACHINERY if refuses(error) else None


def _shadowed() -> str:
    """One sentence when another project's `pipelines` or `sandbox` stands before ours in the search path."""
    home = os.path.realpath(f"{__file__}/../../..")
    for name in ("pipelines", "sandbox"):
        spec = find_spec(name)
        origin = os.path.realpath(f"{spec.origin}/../..") if spec and spec.origin else ""
        if origin != home:
            where = spec.origin if spec and spec.origin else "nowhere"
            return (
                f"another `{name}` ({where}) hides relay's own: run relay without PYTHONPATH, "
                "from a virtual environment of its own"
            )
    return ""


def _say(text: str) -> None:
    with suppress(OSError):  # nobody listens; the exit code says it all the same
        click.echo(f"relay: {text}", err=True)
