"""How often a checkpoint was begun and never left: what kills relay three times there would kill it all night."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.agent.lines import Lines

MOST = 3


class DiedAgain(Exception):
    """The process died `MOST` times in the same checkpoint, and nothing was reached in between."""


class Deaths:
    """The open file of one session. `come` is a number that grows whenever work inside of a checkpoint is safe."""

    def __init__(self, path: Path, come: Callable[[], int]) -> None:
        """Read what earlier processes wrote. Raises LinesError."""
        self._lines = Lines(path)
        self._come = come
        self._begun = list(self._lines.found)

    @contextmanager
    def at(self, session: str, checkpoint: str) -> Iterator[None]:
        """Around the work of a checkpoint: begun before, left after, also by an exception. Raises DiedAgain."""
        line = {"session": session, "checkpoint": checkpoint, "come": self._come()}
        if self._begun[-MOST:] == [line] * MOST:
            raise DiedAgain(
                f"relay died {MOST} times in `{checkpoint}` without getting any further (out of memory?): "
                "look at the end of the run's log before you go on"
            )
        self._write(line)
        try:
            yield
        finally:
            self._write({"left": checkpoint})

    def _write(self, line: dict[str, object]) -> None:
        self._lines.append(line)
        self._begun.append(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
