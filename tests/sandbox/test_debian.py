"""The base image: which package sources it is made from, and what it can do."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from sandbox.base import Limits, SandboxError, SandboxSpec
from sandbox.debian import TAG, Source, ensure_debian, own_sources
from sandbox.docker import connect

DEBIAN = """\
Types: deb
# a comment in the middle
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main contrib

Enabled: no
Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
"""
THIRD = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.gpg] https://docker.example/linux/debian bookworm stable
deb https://cloud.example/apt cloud-sdk-bookworm main
deb https://tools.example/ bookworm main   # known by its Release file only
deb-src http://mirror.example/debian bookworm main
# deb http://mirror.example/debian bookworm non-free
"""


def test_the_hosts_own_entries_are_used_in_both_forms() -> None:
    """deb822 and one-line entries of the suite, its updates and its security; not sources, not what is switched off."""
    files = {"/etc/apt/sources.list": "deb http://old.example/debian bookworm main contrib\n", "d.sources": DEBIAN}
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert own_sources(files, "bookworm", {}) == (
        Source("http://old.example/debian", "bookworm", ("main", "contrib")),
        Source("http://mirror.example/debian", "bookworm", ("main",), key),
        Source("http://mirror.example/debian", "bookworm-updates", ("main",), key),
        Source("http://mirror.example/debian-security/", "bookworm-security", ("main", "contrib")),
    )


def test_third_parties_are_left_out() -> None:
    """By component, by suite, by keyring, and by what their Release file says of their origin."""
    origins = {("https://tools.example", "bookworm"): "Tools Inc."}
    assert own_sources({"x.list": THIRD}, "bookworm", origins) == ()


def test_the_release_file_decides_where_it_is_known() -> None:
    """A mirror with a keyring of the company's own is Debian's all the same."""
    text = "deb [signed-by=/etc/company.gpg trusted=yes] https://m.example/deb bookworm main\n"
    assert own_sources({"x.list": text}, "bookworm", {}) == ()
    found = own_sources({"x.list": text}, "bookworm", {("https://m.example/deb", "bookworm"): "Debian"})
    assert found == (Source("https://m.example/deb", "bookworm", ("main",), "/etc/company.gpg", "yes"),)


def test_a_key_that_stands_in_the_entry_becomes_a_file(tmp_path: Path) -> None:
    """deb822 may hold the key itself, with a dot for an empty line."""
    text = (
        "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = own_sources({"x.sources": text}, "bookworm", {("http://m.example/debian", "bookworm"): "Debian"})
    line = source.line(tmp_path)
    file = Path(line.split("signed-by=")[1].split("]")[0])
    assert file.read_text().splitlines() == [
        "-----BEGIN PGP PUBLIC KEY BLOCK-----",
        "",
        "mQINBF",
        "-----END PGP PUBLIC KEY BLOCK-----",
    ]
    assert line == f"deb [signed-by={file}] http://m.example/debian bookworm main"


def test_an_image_that_is_there_is_not_made_again() -> None:
    """The second call costs one question."""

    class Has:
        def image_id(self, name: str) -> str | None:
            return f"id of {name}"

        def load(self, archive: Iterable[bytes], *, tag: str, changes: Sequence[str] = ()) -> str:
            raise AssertionError("it is there")

    assert ensure_debian(Has(), lambda line: None) == f"id of {TAG}"


def test_without_the_builder_the_command_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A clear sentence, not a traceback."""

    class Lacks:
        def image_id(self, name: str) -> str | None:
            return None

        def load(self, archive: Iterable[bytes], *, tag: str, changes: Sequence[str] = ()) -> str:
            raise AssertionError("nothing to load")

    with pytest.raises(SandboxError, match="apt-get install -y mmdebstrap"):
        ensure_debian(Lacks(), lambda line: None, search=str(tmp_path))


def test_the_image_has_what_a_project_needs() -> None:
    """python, pip and pytest of one environment that sees Debian's pytest, git and ps, for a user that is nobody."""
    script = (
        "set -e; for tool in python pip pytest git ps; do command -v $tool; done\n"
        "cd /tmp; printf 'def test_it(): pass\\n' > test_it.py\n"
        "pytest -q -p no:cacheprovider; python -m pytest -q -p no:cacheprovider\n"
        "grep -c :// /etc/apt/sources.list; ! grep '@' /etc/apt/sources.list; ! ls /etc/apt/apt.conf.d/99*\n"
    )
    with connect() as engine:
        image = ensure_debian(engine, lambda line: None)
        limits = Limits(cpus=1.0, memory=512 * 1024**2, pids=64)
        spec = SandboxSpec(image=image, user="58271:58271", mounts=(), labels={}, limits=limits, workdir="/tmp")
        ran = engine.run_command(spec, script, timeout=120)
    output = ran.output.decode()
    assert (ran.end, ran.status) == ("exited", 0), output
    assert output.count("1 passed") == 2
    assert "/opt/venv/bin/python" in output and "/opt/venv/bin/pytest" in output
