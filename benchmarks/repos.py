"""The repositories that are measured: bare, made by `git fast-import`, with as many files as asked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

PER_FOLDER = 100


def make(folder: Path, files: int) -> Path:
    """A bare repository with one commit of `files` files of Python, 100 in a folder, and one test, on `main`."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    contents = {
        "tests/test_one.py": "from pkg0 import module_0\n\n\ndef test_one():\n    assert module_0.value() == 0\n",
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n',
        "README.md": "Made to be measured.\n",
    }
    for number in range(files - len(contents)):
        path = f"pkg{number // PER_FOLDER}/module_{number}.py"
        contents[path] = f'"""Module {number}."""\n\n\ndef value():\n    return {number}\n' + "# filler\n" * 40
    script = bytearray(b"commit refs/heads/main\ncommitter A <a@example.org> 1700000000 +0000\ndata 5\nfirst\n")
    for path, text in contents.items():
        script += f"M 100644 inline {path}\ndata {len(text)}\n{text}\n".encode()
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input=bytes(script), check=True)
    return folder
