"""The transcript's file: for its owner only, whole lines only, masked before it goes anywhere."""

from pathlib import Path

import pytest

from runner.agent.conversation import Record
from runner.agent.lines import LinesError
from runner.agent.transcript import Transcript, masked
from tests.runner.agent.play import says


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    """Every field that the loop needs survives."""
    path = tmp_path / "turn" / "transcript.jsonl"
    records = [
        Record("opening", 0.0, system="s", text="o"),
        Record("reply", 1.5, reply=says(("bash", {"command": "ls"}), text="hm", thinking="why", usage=None)),
        Record("result", 2.0, call=0, text="x", is_error=True, died=True, command=True),
        Record("end", 3.0, end="done", text="d", payload={"summary": "d"}, final=True),
    ]
    with Transcript(path) as transcript:
        for record in records:
            transcript.append(record)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with Transcript(path) as transcript:
        assert transcript.records == records


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_a_line_is_dropped_and_written_over(tmp_path: Path, cut: int) -> None:
    """After a kill in a write the file goes on with whole lines."""
    path = tmp_path / "transcript.jsonl"
    with Transcript(path) as transcript:
        transcript.append(Record("note", 1.0, text="first"))
        transcript.append(Record("note", 2.0, text="second, and long enough to be cut somewhere"))
    path.write_bytes(path.read_bytes()[:-cut])
    with Transcript(path) as transcript:
        assert [record.text for record in transcript.records] == ["first"]
        transcript.append(Record("note", 3.0, text="third"))
    with Transcript(path) as transcript:
        assert [record.text for record in transcript.records] == ["first", "third"]


def test_a_line_broken_in_the_middle_is_not_skipped(tmp_path: Path) -> None:
    """Whoever changed the file is told, and nothing is guessed."""
    path = tmp_path / "transcript.jsonl"
    path.write_bytes(b'{"kind":"note","at":1}\nnonsense\n{"kind":"note","at":2}\n')
    with pytest.raises(LinesError, match=r"transcript\.jsonl:2"):
        Transcript(path)


def test_the_copy_for_git_is_masked_and_has_no_opaque_parts(tmp_path: Path) -> None:
    """Secrets go from every string and key; the live file stays as it is, for a resume."""
    path = tmp_path / "transcript.jsonl"
    with Transcript(path) as transcript:
        transcript.append(Record("opening", 0.0, text="key s3cr3t"))
        transcript.append(Record("reply", 1.0, reply=says(("bash", {"command": "echo s3cr3t", "s3cr3t": ["s3cr3t"]}))))
        transcript.append(Record("result", 1.0, text='a "quoted" s3cr3t'))
    copy = masked(path.read_bytes() + b'{"kind":"no', lambda text: text.replace("s3cr3t", "***"))
    assert b"s3cr3t" not in copy and b"wire" not in copy
    assert copy.count(b"***") == 5
    assert copy.count(b"\n") == 3
    assert b"s3cr3t" in path.read_bytes()
