"""What every sandbox must do: a suite to be inherited from, with a `sandbox` that works in a directory of its own."""

from __future__ import annotations

import time

import pytest

from sandbox.base import FileRefused, Sandbox

OUTPUT = 64 * 1024  # bytes; what the sandbox under test keeps


class Contract:
    def test_a_command_gives_its_status_and_both_of_its_outputs(self, sandbox: Sandbox) -> None:
        """stdout and stderr come together, in order."""
        done = sandbox.exec("echo one; echo two >&2; exit 7", timeout=10)
        assert (done.status, done.output, done.omitted, done.timed_out) == (7, b"one\ntwo\n", 0, False)

    def test_bytes_come_out_as_they_are(self, sandbox: Sandbox) -> None:
        """NUL, bytes that are no text, and no newline at the end."""
        assert sandbox.exec(r"printf '\000\377\r\n\001end'", timeout=10).output == b"\0\xff\r\n\x01end"

    def test_a_command_comes_in_as_it_is(self, sandbox: Sandbox) -> None:
        """Quotes, backslashes, newlines, here-documents, percent signs, text in any script."""
        command = "cat <<'X'\n'\"\\n%b %s\\0101 $HOME `id`\n\nžluťoučký 漢字\nX\n"
        assert sandbox.exec(command, timeout=10).output.decode() == "'\"\\n%b %s\\0101 $HOME `id`\n\nžluťoučký 漢字\n"

    def test_a_command_of_any_length_runs(self, sandbox: Sandbox) -> None:
        """Longer than one argument may be."""
        assert sandbox.exec(f"x='{'y' * 300_000}'\necho ${{#x}}", timeout=20).output == b"300000\n"

    def test_an_answer_can_be_imitated_in_the_output_without_effect(self, sandbox: Sandbox) -> None:
        """Output is counted, not parsed."""
        done = sandbox.exec("echo 'R 1 0 0 0 3'; echo 'ready python'; exit 5", timeout=10)
        assert (done.status, done.output) == (5, b"R 1 0 0 0 3\nready python\n")

    def test_long_output_keeps_head_and_tail_and_says_what_is_missing(self, sandbox: Sandbox) -> None:
        """Exactly: what is kept and what is left out add up to what was written."""
        done = sandbox.exec("echo first; head -c 20000000 /dev/zero; echo last", timeout=60)
        assert done.output.startswith(b"first\n") and done.output.endswith(b"last\n")
        assert len(done.output) == OUTPUT and len(done.output) + done.omitted == 20_000_011

    def test_output_that_just_fits_is_whole(self, sandbox: Sandbox) -> None:
        """No byte is left out at the limit, one is beyond it."""
        fits, over = (sandbox.exec(f"head -c {OUTPUT + more} /dev/zero", timeout=20) for more in (0, 1))
        assert (len(fits.output), fits.omitted) == (OUTPUT, 0)
        assert (len(over.output), over.omitted) == (OUTPUT, 1)

    def test_stdin_is_empty(self, sandbox: Sandbox) -> None:
        """A command that reads gets the end of the file, not the agent's requests."""
        assert sandbox.exec("cat; echo end", timeout=10).output == b"end\n"

    def test_nothing_leaks_into_the_next_command(self, sandbox: Sandbox) -> None:
        """Neither directory nor variables nor options."""
        sandbox.exec("cd /; export LEAK=1; set -e; umask 0; alias ls=false", timeout=10)
        assert sandbox.exec("pwd; echo $LEAK; umask", timeout=10).output.split(b"\n")[1:3] == [b"", b"0022"]
        assert sandbox.exec("pwd", timeout=10).output != b"/\n"

    def test_a_command_beyond_its_time_is_ended_and_its_output_kept(self, sandbox: Sandbox) -> None:
        """Its children too."""
        done = sandbox.exec("echo part; sleep 61 & sleep 62; echo never", timeout=1)
        assert (done.status, done.timed_out, done.output) == (124, True, b"part\n")
        assert done.seconds < 10
        assert b"sleep 6" not in sandbox.exec("ps axww -o args", timeout=10).output

    def test_a_command_that_ignores_the_polite_signal_is_killed(self, sandbox: Sandbox) -> None:
        """TERM first, KILL a second later."""
        done = sandbox.exec("trap '' TERM; echo part; while :; do sleep 0.2; done", timeout=1)
        assert (done.status, done.timed_out, done.output) == (124, True, b"part\n")

    def test_a_command_that_ends_with_124_by_itself_is_no_time_out(self, sandbox: Sandbox) -> None:
        """`timeout` used inside says the same number."""
        done = sandbox.exec("timeout 0.1 sleep 9", timeout=10)
        assert (done.status, done.timed_out) == (124, False)

    def test_a_killed_command_says_which_signal(self, sandbox: Sandbox) -> None:
        """128 and the number, as a shell says it."""
        assert sandbox.exec("kill -9 $$", timeout=10).status == 137

    def test_a_background_process_holds_nobody_up(self, sandbox: Sandbox) -> None:
        """It goes on, may go on writing, and the call returns with what the command itself said."""
        started = time.monotonic()
        done = sandbox.exec("(while sleep 0.1; do echo noise; done) & echo $! >bg.pid; echo here", timeout=30)
        assert done.output.startswith(b"here\n") and time.monotonic() - started < 15
        assert sandbox.exec("echo next", timeout=10).output == b"next\n"
        assert sandbox.exec("kill -0 $(cat bg.pid) && kill $(cat bg.pid)", timeout=10).status == 0

    def test_a_command_that_closes_its_output_is_waited_for(self, sandbox: Sandbox) -> None:
        """The end of the output is not the end of the command."""
        assert sandbox.exec("exec >&- 2>&-; sleep 0.3; exit 3", timeout=10).status == 3

    def test_a_nul_byte_in_a_command_is_told_to_the_model(self, sandbox: Sandbox) -> None:
        """No machinery fails for it."""
        assert sandbox.exec("echo \0", timeout=10).status == 126

    def test_files_go_in_and_out_byte_for_byte(self, sandbox: Sandbox) -> None:
        """With directories made on the way, names with blanks and newlines, and the first bytes alone where asked."""
        content = bytes(range(256)) * 5000
        sandbox.write("in/deep er/na\nme", content)
        assert sandbox.read("in/deep er/na\nme", limit=10**8) == content
        assert sandbox.read("in/deep er/na\nme", limit=3) == b"\0\1\2"
        sandbox.write("in/deep er/na\nme", b"")
        assert sandbox.read("in/deep er/na\nme", limit=10) == b""

    def test_a_written_file_keeps_its_mode(self, sandbox: Sandbox) -> None:
        """A script stays one."""
        sandbox.exec("echo old >script; chmod 755 script", timeout=10)
        sandbox.write("script", b"#!/bin/sh\necho new\n")
        assert sandbox.exec("./script", timeout=10).output == b"new\n"

    @pytest.mark.parametrize("path", ["nowhere", "folder", "/dev/zero", "pipe", "/etc/shadow", "", "a\0b"])
    def test_what_is_no_readable_file_is_refused(self, sandbox: Sandbox, path: str) -> None:
        """With a sentence for the model, at once: a FIFO blocks nobody."""
        sandbox.exec("mkdir -p folder; test -p pipe || mkfifo pipe", timeout=10)
        with pytest.raises(FileRefused):
            sandbox.read(path, limit=100)

    @pytest.mark.parametrize("path", ["folder", "/etc/new", "file/below", "/proc/x/y", "pipe", "locked"])
    def test_what_cannot_be_written_is_refused(self, sandbox: Sandbox, path: str) -> None:
        """And the next call works."""
        sandbox.exec(
            "mkdir -p folder; test -p pipe || mkfifo pipe; echo >file; echo >locked; chmod 0 locked", timeout=10
        )
        with pytest.raises(FileRefused):
            sandbox.write(path, b"content")
        assert sandbox.exec("echo well", timeout=10).output == b"well\n"

    def test_a_full_disk_is_an_answer(self, sandbox: Sandbox) -> None:
        """A file that does not fit is refused; commands still answer."""
        sandbox.exec("head -c 2000000000 /dev/zero >$HOME/fill 2>/dev/null", timeout=60)
        with pytest.raises(FileRefused):
            sandbox.write("/home/relay/more", b"x" * 1_000_000)
        assert sandbox.exec("rm $HOME/fill; echo well", timeout=10).output == b"well\n"
