"""Runs a part of a test as an ordinary user of the machine, who only is in the engine's group."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from sandbox.shell import agent_text

NOBODY = 58399


def as_user(call: Callable[[Path], None]) -> None:
    """Run `call` with a directory that its user owns: in a child without root's rights when this process is root."""
    folder = Path(tempfile.mkdtemp(prefix="relay-user-", dir="/var/tmp"))
    try:
        if os.getuid() != 0:
            call(folder)
            return
        os.chown(folder, NOBODY, NOBODY)
        for name in ("agent.py", "loop.sh"):
            agent_text(name)  # read while we may: the clone can lie where only root can look
        read_end, write_end = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads: the child only runs this
            child = os.fork()
        if child == 0:
            os.close(read_end)
            _child(call, folder, write_end)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            said = pipe.read()
        assert os.waitpid(child, 0)[1] == 0, said
        assert list(folder.iterdir()) == [], "left behind"
    finally:
        shutil.rmtree(folder)


def _child(call: Callable[[Path], None], folder: Path, write_end: int) -> None:
    status = 1
    try:
        os.setgroups([os.stat("/var/run/docker.sock").st_gid])  # noqa: PTH116
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        call(folder)
        status = 0
    except BaseException:  # noqa: BLE001 (told to the parent, which fails)
        os.write(write_end, traceback.format_exc().encode()[-60_000:])
    finally:
        os._exit(status)
