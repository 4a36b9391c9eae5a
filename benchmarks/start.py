"""A container from nothing to its first answer, and its removal: relay's is hardened, the peers' are bare."""

from __future__ import annotations

from typing import Any

from benchmarks.ground import LABELS, Ground, run
from benchmarks.measure import Phases, Watch, Way, check

BASE = "relay"


def ways(ground: Ground) -> list[Way]:
    """All without a network."""
    found = [Way(BASE, lambda: _relay(ground))]
    if ground.docker_cli:
        found.append(Way("docker run", lambda: _docker_run(ground)))
    if ground.docker_py:
        client = ground.docker_py.from_env()
        found.append(Way("docker-py", lambda: _docker_py(client, ground)))
    return found


def _relay(ground: Ground) -> Phases:
    watch = Watch()
    with watch("start"):
        sandbox = ground.engine.start(ground.spec())
        said = sandbox.exec("echo hi", timeout=30)
    with watch("removal"):
        sandbox.close()
    check(said.output == b"hi\n", said)
    return watch.phases


def _docker_run(ground: Ground) -> Phases:
    watch = Watch()
    with watch("start"):
        name = run("docker", "run", "-d", *ground.bare, ground.image, "sleep", "infinity").decode().strip()
        said = run("docker", "exec", name, "echo", "hi")
    with watch("removal"):
        run("docker", "rm", "-f", name)
    check(said == b"hi\n", said)
    return watch.phases


def _docker_py(client: Any, ground: Ground) -> Phases:
    watch = Watch()
    with watch("start"):
        container = client.containers.create(ground.image, ["echo", "hi"], network_mode="none", labels=LABELS)
        stream = container.attach_socket(params={"stdout": 1, "stream": 1})
        container.start()
        said = stream._sock.recv(100)
    with watch("removal"):
        container.remove(force=True)
    stream._sock.close()
    check(said.endswith(b"hi\n"), said)
    return watch.phases
