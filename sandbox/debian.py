"""The base image `relay/debian`: made here by mmdebstrap from the host's own package sources, so no registry is needed.

Formats: sources.list(5) and its deb822 form, apt.conf(5) as `apt-config dump` prints it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.base import SandboxError

TAG = "relay/debian:1"
PACKAGES = ("ca-certificates", "git", "procps", "python3", "python3-pip", "python3-pytest", "python3-venv")
PATH = "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LABEL = "relay.image"

# Debian refuses `pip install` outside a virtual environment (PEP 668) and has no `python`; this has both, and still
# sees Debian's own pytest. The script of python3-pytest would run Debian's interpreter, blind for /opt/venv.
_IN_THE_IMAGE = r"""
set -e
python3 -m venv --system-site-packages /opt/venv
printf '#!/opt/venv/bin/python\nimport sys\nfrom pytest import console_main\nsys.exit(console_main())\n' \
  > /opt/venv/bin/pytest
chmod 755 /opt/venv/bin/pytest
# The mirror's dates may be old on purpose (a snapshot); how to get there and who may is the host's business only.
grep -i '^Acquire::Check-' /etc/apt/apt.conf.d/99mmdebstrap > /etc/apt/apt.conf.d/90mirror || true
rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/hostname /etc/resolv.conf
sed -i -E 's,(://)[^/@ ]*@,\1,' /etc/apt/sources.list
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
"""

# What of the host's apt settings the building apt needs to reach the same mirror in the same way.
_SETTINGS = re.compile(r"^Acquire::(?!IndexTargets|GzipIndexes|Languages|cdrom)\S+ \"", re.IGNORECASE)
_STEP = re.compile(r"I: ((?:running apt|downloading|extracting|installing|creating) [\w /-]*)")
_COMPONENTS = {"main", "contrib", "non-free", "non-free-firmware", "restricted", "universe", "multiverse"}
_ORIGINS = ("Debian", "Ubuntu")


class Importer(Protocol):
    """The part of the engine that this needs."""

    def image_id(self, name: str) -> str | None: ...

    def load(self, archive: Iterable[bytes], *, tag: str, changes: Sequence[str] = ()) -> str: ...


@dataclass(frozen=True)
class Source:
    """One entry of the host's package sources. `signed_by` is a path, the key's own text, or empty."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    trusted: str = ""

    def line(self, keys: Path) -> str:
        """The entry in one-line form. A key that stands in the entry is put into a file in `keys`."""
        signed_by = self.signed_by
        if "BEGIN PGP" in signed_by:
            file = keys / f"{hashlib.sha256(signed_by.encode()).hexdigest()[:16]}.asc"
            file.write_text(signed_by)
            signed_by = str(file)
        options = [f"signed-by={signed_by}"] if signed_by else []
        options += [f"trusted={self.trusted}"] if self.trusted else []
        return " ".join(
            ["deb", *([f"[{' '.join(options)}]"] if options else []), self.uri, self.suite, *self.components]
        )


def ensure_debian(
    engine: Importer, on_line: Callable[[str], None], *, force: bool = False, search: str | None = None
) -> str:
    """The id of the base image, built first (about a minute) where it is missing, or with `force` in any case.

    `on_line` gets one sentence before each thing that takes long. `search` is the path that mmdebstrap is looked for on
    (None: PATH and the usual places). Two callers at once build once. Raises SandboxError with what to do: no
    mmdebstrap, not Debian or Ubuntu, the build failed.
    """
    found = engine.image_id(TAG)
    if found and not force:
        return found
    with _one_at_a_time(on_line):
        found = engine.image_id(TAG)
        if found and not force:
            return found
        return _build(engine, on_line, search)


def own_sources(text: Mapping[str, str], codename: str, origins: Mapping[tuple[str, str], str]) -> tuple[Source, ...]:
    """The distribution's own entries among the host's sources; `text` is the content of each file by its name.

    `origins` is what the Release file of (uri, suite) says, as far as it was downloaded; where it was not, an entry
    counts as the distribution's own when suite, components and keyring look like it. Third parties never count.
    """
    entries = [
        entry
        for name, content in sorted(text.items())
        for entry in (_stanzas(content) if name.endswith(".sources") else _lines(content))
    ]
    return tuple(dict.fromkeys(entry for entry in entries if _is_own(entry, codename, origins)))


def _build(engine: Importer, on_line: Callable[[str], None], search: str | None) -> str:
    tool = shutil.which("mmdebstrap", path=search or f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")
    if not tool:
        raise SandboxError(
            "the base image is built by mmdebstrap, which is not here: "
            "run `apt-get install -y mmdebstrap` as root, or name another image in the pipeline (sandbox: image)"
        )
    codename = _codename()
    sources = own_sources(_source_files(), codename, _origins())
    if not any(source.suite == codename for source in sources):
        raise SandboxError(
            f"no entry of this system's own suite ({codename}) in /etc/apt/sources.list or sources.list.d: "
            "relay builds its base image from these; add one, or name another image in the pipeline (sandbox: image)"
        )
    on_line(f"building {TAG} from {codename} by mmdebstrap (about a minute, once)")
    with tempfile.TemporaryDirectory(prefix="relay-debian-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt's own user reads keys and options in it
        archive = folder / "debian.tar"
        _bootstrap(tool, codename, sources, folder, archive, on_line)
        on_line(f"importing {archive.stat().st_size // 1_000_000} MB into the engine as {TAG}")
        changes = (f"ENV PATH={PATH}", "ENV LANG=C.UTF-8", f"LABEL {LABEL}=debian", f"LABEL relay.suite={codename}")
        with archive.open("rb") as stream:
            return engine.load(iter(lambda: stream.read(1 << 20), b""), tag=TAG, changes=changes)


def _bootstrap(
    tool: str, codename: str, sources: tuple[Source, ...], folder: Path, archive: Path, on_line: Callable[[str], None]
) -> None:
    options = folder / "apt.conf"
    options.write_text("\n".join(_settings()) + "\n")
    hook = folder / "finish"
    hook.write_text(f'#!/bin/sh\nexec chroot "$1" sh -c {shlex.quote(_IN_THE_IMAGE)}\n')
    hook.chmod(0o755)
    command = [
        *(tool, "--mode=auto", "--variant=minbase", f"--include={','.join(PACKAGES)}", f"--aptopt={options}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "doc", "locale", "info")),
        *("--dpkgopt=path-include=/usr/share/doc/*/copyright", f"--customize-hook={hook}"),
        *(codename, str(archive), "-"),
    ]
    lines = "".join(f"{source.line(folder)}\n" for source in sources)
    last: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write(lines)
        process.stdin.close()
        for line in process.stdout:
            last = [*last[-19:], line.rstrip()]
            if step := _STEP.match(line):
                on_line(step[1])
    if process.returncode:
        said = "\n".join(f"  {line}" for line in last)
        raise SandboxError(f"mmdebstrap could not build the base image (exit {process.returncode}):\n{said}")


def _codename() -> str:
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        text = ""
    values: dict[str, str] = dict(re.findall(r'^([A-Z_]+)="?([^"\n]*)"?$', text, re.MULTILINE))
    family = {values.get("ID", ""), *values.get("ID_LIKE", "").split()}
    codename = values.get("VERSION_CODENAME", "")
    if not codename or not family & {"debian", "ubuntu"}:
        raise SandboxError(
            "relay builds its base image from Debian's or Ubuntu's own packages, and this is neither: "
            "name another image in the pipeline (sandbox: image), for example one with python and git"
        )
    return codename


def _source_files() -> dict[str, str]:
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    return {
        str(file): file.read_text(errors="replace")
        for file in files
        if file.suffix in (".list", ".sources") and file.is_file()
    }


def _origins() -> dict[tuple[str, str], str]:
    """What apt knows of each source by its downloaded Release file."""
    listed = _run("apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(ORIGIN)", "Identifier: Packages")
    rows = [line.split("|") for line in listed.splitlines()]
    return {(row[0].rstrip("/"), row[1]): row[2] for row in rows if len(row) == 3 and not row[2].startswith("$(")}


def _settings() -> list[str]:
    """The host's way to the mirror (proxy, CA, retries, checks), and its credentials for it, which stay on the host."""
    settings = [line for line in _run("apt-config", "dump").splitlines() if _SETTINGS.match(line)]
    return [*settings, 'Dir::Etc::netrc "/etc/apt/auth.conf";', 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d/";']


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise SandboxError(f"`{command[0]}` cannot be run: {error}") from error
    if done.returncode:
        raise SandboxError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _lines(content: str) -> Iterator[Source]:
    for line in content.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match:
            options = dict(option.split("=", 1) for option in (match[1] or "").split() if "=" in option)
            yield Source(
                match[2], match[3], tuple(match[4].split()), options.get("signed-by", ""), options.get("trusted", "")
            )


def _stanzas(content: str) -> Iterator[Source]:
    plain = "\n".join(line for line in content.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        fields = {
            key.lower(): value for key, value in re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t]+.*)*)", stanza, re.MULTILINE)
        }
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "").strip().lower() in ("no", "false"):
            continue
        key = "\n".join(
            "" if line.strip() == "." else line.strip() for line in fields.get("signed-by", "").strip().splitlines()
        )
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(
                    uri, suite, tuple(fields.get("components", "").split()), key, fields.get("trusted", "").strip()
                )


def _is_own(entry: Source, codename: str, origins: Mapping[tuple[str, str], str]) -> bool:
    if not re.fullmatch(rf"{re.escape(codename)}(-updates|-security|/updates)?", entry.suite):
        return False
    origin = origins.get((entry.uri.rstrip("/"), entry.suite))
    if origin is not None:
        return origin in _ORIGINS
    key = Path(entry.signed_by).name if "\n" not in entry.signed_by else ""
    own_key = not key or key.startswith(("debian-archive", "ubuntu-archive"))
    return own_key and bool(entry.components) and set(entry.components) <= _COMPONENTS


@contextmanager
def _one_at_a_time(on_line: Callable[[str], None]) -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / f"relay-debian-{os.getuid()}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise SandboxError(f"{path} belongs to somebody else: remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_line(f"another relay is building {TAG}: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
