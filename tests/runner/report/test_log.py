"""The log of a run: JSON lines with what was bound, without secrets, for its owner's eyes only."""

import json
import stat
import threading
from pathlib import Path

from runner.report.log import bound, log, log_to


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_event_carries_what_is_bound_around_it(tmp_path: Path) -> None:
    """Run, change, stage and round are bound once and stand in every event of the block."""
    path = tmp_path / "runs" / "log.jsonl"
    with log_to(path):
        with bound(run="r1"), bound(change="t1-1", round=2):
            log("gate ended", verdict="passed", seconds=1.5)
        log("run ended", level="warning")
    first, second = _lines(path)
    assert first.pop("at")
    assert first == {
        "event": "gate ended",
        "level": "info",
        "run": "r1",
        "change": "t1-1",
        "round": 2,
        "verdict": "passed",
        "seconds": 1.5,
    }
    assert (second["event"], second["level"], "run" in second) == ("run ended", "warning", False)


def test_secrets_are_masked_however_deep_they_lie(tmp_path: Path) -> None:
    """Known values and shapes, in strings, bytes, lists, keys and errors."""
    path = tmp_path / "log.jsonl"
    secret, shape = "hunter2-hunter2", "sk-" + "live-" + "a1B2" * 6
    with log_to(path, secrets=[secret]):
        log("asked", where={"url": [f"https://u:{secret}@host/", shape]}, raw=secret.encode(), error=ValueError(secret))
    text = path.read_text()
    assert secret not in text and shape not in text
    assert text.count("***") == 4


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """A log tells what a private repository is about."""
    path = tmp_path / "log.jsonl"
    with log_to(path):
        log("started")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_session_appends(tmp_path: Path) -> None:
    """A resumed run goes on in the same file."""
    path = tmp_path / "log.jsonl"
    for word in ("one", "two"):
        with log_to(path):
            log(word)
    assert [line["event"] for line in _lines(path)] == ["one", "two"]


def test_without_an_open_log_nothing_is_written(capsys) -> None:  # type: ignore[no-untyped-def]
    """A library function may log without asking whether somebody listens."""
    log("nobody listens", key=1)
    assert capsys.readouterr() == ("", "")


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Two changes under way do not cut each other's lines."""
    path = tmp_path / "log.jsonl"

    def write(n: int) -> None:
        with bound(change=f"c{n}"):
            for i in range(50):
                log("tick", i=i, text="x" * 500)

    with log_to(path):
        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = _lines(path)
    assert len(lines) == 200
    assert {line["change"] for line in lines} == {"c0", "c1", "c2", "c3"}
