"""A file of JSON lines that survives a kill at any moment: each line is on the disk before `append` returns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from runner.codec import CodecError, decode, encode
from runner.disk import sync_folder


class LinesError(Exception):
    """The file cannot be read as JSON lines: somebody else wrote to it. Says the file, the line and what to do."""


class Lines:
    """An open file with one JSON object per line, readable by its owner only (0600). One writer."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`; its directory is made. A last line cut off by a kill is removed.

        Raises LinesError when any other line is no JSON object.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                sync_folder(path.parent)
            self.found = self._read(path)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one line and wait until the disk has it. After an OSError (disk full) the file is as it was before."""
        data = encode(record, sort_keys=False) + b"\n"
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, path: Path) -> tuple[dict[str, Any], ...]:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        return read_lines(data[:whole], str(path))


def read_lines(data: bytes, name: str) -> tuple[dict[str, Any], ...]:
    """The objects of complete lines; what follows the last newline is not looked at. Raises LinesError."""
    found = []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            found.append(decode(line, dict[str, Any]))
        except CodecError as error:
            raise LinesError(
                f"{name}:{number}: {error}: the file was changed from outside; move it away and start a new run"
            ) from error
    return tuple(found)
