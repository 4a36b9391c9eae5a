"""A tool call in a container that runs: a command, a file read, a file written, a megabyte of output."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.ground import LABELS, Ground, run
from benchmarks.measure import Phases, Watch, Way, check

BASE = "relay"
TEXT = b"0123456789abcde\n" * 640  # 10 kB
MEGABYTE = "head -c 1000000 /dev/zero | tr '\\\\0' x"


@contextmanager
def opened(ground: Ground) -> Iterator[list[Way]]:
    """Each way has a container of its own for as long as the block lasts."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(ground.engine.start(ground.spec()))
        ways = [Way(BASE, lambda: _relay(sandbox))]
        if ground.docker_cli:
            name = run("docker", "run", "-d", "--rm", *ground.bare, ground.image, "sleep", "infinity")
            idle = name.decode().strip()
            stack.callback(run, "docker", "rm", "-f", idle)
            ways.append(Way("docker exec", lambda: _docker_exec(idle)))
        if ground.docker_py:
            client = ground.docker_py.from_env()
            stack.callback(client.close)
            container = client.containers.run(
                ground.image, ["sleep", "infinity"], detach=True, network_mode="none", labels=LABELS
            )
            stack.callback(container.remove, force=True)
            ways.append(Way("docker-py", lambda: _docker_py(container)))
        yield ways


def _relay(sandbox: Any) -> Phases:
    watch = Watch()
    with watch("command"):
        said = sandbox.exec("echo hi", timeout=30)
    with watch("write 10 kB"):
        sandbox.write("/tmp/file", TEXT)
    with watch("read 10 kB"):
        content = sandbox.read("/tmp/file", limit=1 << 20)
    with watch("1 MB of output"):
        much = sandbox.exec(MEGABYTE, timeout=30)
    check(said.output == b"hi\n" and content == TEXT, said)
    check(len(much.output) + much.omitted == 1_000_000, len(much.output))
    return watch.phases


def _docker_exec(container: str) -> Phases:
    def shell(command: str, stdin: bytes | None = None) -> bytes:
        return run("docker", "exec", *(["-i"] if stdin else []), container, "sh", "-c", command, stdin=stdin)

    return _phases(shell, lambda: shell("cat >/tmp/file", TEXT), lambda: shell("cat /tmp/file"))


def _docker_py(container: Any) -> Phases:
    def shell(command: str) -> bytes:
        output: bytes = container.exec_run(["sh", "-c", command]).output
        return output

    def write() -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            about = tarfile.TarInfo("file")
            about.size = len(TEXT)
            tar.addfile(about, io.BytesIO(TEXT))
        container.put_archive("/tmp", packed.getvalue())

    def read() -> bytes:
        stream, _ = container.get_archive("/tmp/file")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
            file = tar.extractfile("file")
            assert file is not None
            return file.read()

    return _phases(shell, write, read)


def _phases(shell: Callable[[str], bytes], write: Callable[[], object], read: Callable[[], bytes]) -> Phases:
    watch = Watch()
    with watch("command"):
        said = shell("echo hi")
    with watch("write 10 kB"):
        write()
    with watch("read 10 kB"):
        content = read()
    with watch("1 MB of output"):
        much = shell(MEGABYTE)
    check(said == b"hi\n" and content == TEXT and len(much) == 1_000_000, said)
    return watch.phases
