"""Where relay keeps things outside of repositories: folders of the XDG Base Directory Specification."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path


def cache_home(environ: Mapping[str, str]) -> Path:
    """relay's part of the user's cache: what can be made again."""
    return _home(environ, "XDG_CACHE_HOME", ".cache")


def state_home(environ: Mapping[str, str]) -> Path:
    """relay's part of the user's state: logs of errors."""
    return _home(environ, "XDG_STATE_HOME", ".local/state")


def _home(environ: Mapping[str, str], name: str, usual: str) -> Path:
    """The folder that `name` names, where it is absolute as the specification asks; else the usual one.

    Without HOME the user's home is looked up, as cron and system services may start relay so.
    """
    if environ.get(name, "").startswith("/"):
        return Path(environ[name], "relay")
    home = environ.get("HOME", "")
    if not home.startswith("/"):
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            home = "/nonexistent"
    return Path(home, usual, "relay")
