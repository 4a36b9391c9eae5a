"""What a bug of ours leaves: one file with versions and the traceback, for whoever mends it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from runner import __version__
from runner.places import state_home
from runner.redact import known_secrets, mask


def write_log(error: BaseException, environment: Mapping[str, str], *, now: float | None = None) -> Path:
    """Write the traceback, secrets masked, readable by its owner only; give the file's path.

    It goes to `$XDG_STATE_HOME/relay` (`~/.local/state/relay`), or to the folder for temporary files when that cannot
    be written.
    """
    text = "".join(
        [
            f"relay {__version__}, Python {platform.python_version()}, {platform.platform()}\n",
            f"command: {' '.join(sys.argv)}\n\n",
            *traceback.format_exception(error),
        ]
    )
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    name = f"error-{stamp}-{os.getpid()}.log"
    try:
        return _write(state_home(environment), name, mask(text, known_secrets(environment)))
    except OSError:
        return _write(Path(tempfile.mkdtemp(prefix="relay-")), name, mask(text, known_secrets(environment)))


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", errors="backslashreplace") as file:
        file.write(text)
    return path
