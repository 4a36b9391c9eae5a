"""The engine: connections, containers and volumes. Each method is one request, or start to end of one container.

Whatever the engine refuses or leaves unanswered comes out as SandboxError, in a sentence with what to do.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import docker
import docker.constants
import docker.errors

from sandbox import command as commands
from sandbox.base import CommandRun, SandboxError, SandboxSpec
from sandbox.docker.asking import REFUSALS, asking
from sandbox.docker.images import Images
from sandbox.door import Door
from sandbox.harden import create_request
from sandbox.reap import owner_labels
from sandbox.shell import Shell, entrypoint
from sandbox.stream import Stream, hijacked
from sandbox.values import ContainerState, EngineInfo, ExecState, Labelled, engine_info
from sandbox.wire import SocketAdapter

_ANSWER = 60.0  # seconds that one request may take
_WORK = 1800.0  # seconds that the engine may work on an image, or on removing what a container wrote
_PIECE = 256 * 1024
_OLDEST = docker.constants.MINIMUM_DOCKER_API_VERSION


def connect(*, environ: Mapping[str, str] | None = None) -> Engine:
    """The engine that DOCKER_HOST names, else the one at the usual socket. Raises SandboxError with what to do."""
    where = (os.environ if environ is None else environ).get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    client = None
    try:
        client = _client(where, _OLDEST, _ANSWER)
        version = str(client.version(api_version=False)["ApiVersion"])
        client.close()
        return Engine(_client(where, version, _ANSWER), _client(where, version, _WORK))
    except (*REFUSALS, KeyError, TypeError) as error:
        if client is not None:
            client.close()
        raise SandboxError(_no_engine(where, str(error))) from error


def _client(where: str, version: str, timeout: float) -> docker.APIClient:
    client = docker.APIClient(base_url=where, version=version, timeout=cast("Any", timeout))
    if where.startswith("unix://"):
        client.mount("http+docker://", SocketAdapter(where.removeprefix("unix://"), timeout))
    return client


def _no_engine(where: str, said: str) -> str:
    path = where.removeprefix("unix://")
    if "Permission denied" in said or "PermissionError" in said:
        return f"no permission on {path}: `sudo usermod -aG docker $USER`, then log in anew"
    if where.startswith("unix://") and not Path(path).exists():
        return f"no Docker engine at {path}: install and start one (`make engine` does it on Debian and Ubuntu)"
    return f"the Docker engine at {where} does not answer: `systemctl start docker`, or set DOCKER_HOST ({said})"


class Engine(Images):
    """An open connection to the engine; safe to share between threads. Close it, or use `with`."""

    def __init__(self, client: docker.APIClient, patient: docker.APIClient) -> None:
        self._client = client
        self._patient = patient  # for what may take the engine long
        self._info: EngineInfo | None = None
        self._door = Door()

    def close(self) -> None:
        self._client.close()
        self._patient.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def info(self) -> EngineInfo:
        """Version, cgroup version, size and missing limits. Asked once."""
        if self._info is None:
            with asking("cannot ask the engine about itself"):
                self._info = engine_info(self._client.info())
        return self._info

    # sandboxes and gates

    def start(self, spec: SandboxSpec, *, python: bool = True) -> Shell:
        """A hardened container with an agent on its stream: a turn's sandbox. Close it.

        `python` False takes the agent in plain sh even where the image has python3. Raises SandboxError.
        """
        container = self.create(spec, entrypoint(python=python))
        try:
            stream = self.attach(container)
            try:
                self.start_container(container)
                shell = Shell(container, stream, self, output=spec.limits.output)
                shell.greet()
            except BaseException:
                stream.close()
                raise
        except BaseException:
            self.remove(container)
            raise
        return shell

    def run_command(
        self,
        spec: SandboxSpec,
        command: str,
        *,
        timeout: float,
        collect: tuple[str, ...] = (),
        result_bytes: int = 32 * 1024**2,
    ) -> CommandRun:
        """Run a gate's command in a hardened container of its own, judged by the engine, within `timeout` seconds.

        `/relay` inside is an empty volume of `result_bytes`; the regular files named by `collect` come back from it.
        Raises SandboxError for machinery only: whatever the command does is in the CommandRun.
        """
        return commands.run_command(self, spec, command, timeout=timeout, collect=collect, result_bytes=result_bytes)

    # containers

    def create(self, spec: SandboxSpec, main: Sequence[str]) -> str:
        """A hardened container, marked as made by this process, not yet started; its id."""
        owned = replace(spec, labels={**owner_labels(), **spec.labels})
        volumes = ((self.image(spec.image) or {}).get("Config") or {}).get("Volumes") or ()
        return self.create_raw(create_request(owned, main, cpus=self.info().cpus, volumes=tuple(volumes)))

    def create_raw(self, request: Mapping[str, object]) -> str:
        """A container from the engine's own JSON; its id."""
        with self._door.passed(), asking(f"cannot make a container of {request['Image']}"):
            made = self._client.create_container_from_config(dict(request))  # type: ignore[no-untyped-call]
        return cast(str, made["Id"])

    def make_no_more(self) -> None:
        """Refuse to make containers from now on, in every thread, so that those listed next are all there will be."""
        self._door.shut()

    def attach(self, container: str) -> Stream:
        """The streams of a container's main process; attach before it starts, so that nothing is lost."""
        with asking("cannot attach to a container"):
            params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            return hijacked(self._client.attach_socket(container, params=params))

    def start_container(self, container: str) -> None:
        with asking("cannot start a container"):
            self._client.start(container)

    def state(self, container: str) -> ContainerState | None:
        """What became of a container, None when there is none of that id."""
        with asking("cannot inspect a container"):
            try:
                said = self._client.inspect_container(container)["State"]
            except docker.errors.NotFound:
                return None
        return ContainerState(bool(said["Running"]), int(said["ExitCode"]), bool(said["OOMKilled"]))

    def settle(self, container: str, *, wait: float) -> ContainerState | None:
        """The state of a container whose stream has ended, given up to `wait` seconds to be booked by the engine."""
        with contextlib.suppress(*REFUSALS):
            self._client.wait(container, timeout=cast("Any", wait))
        return self.state(container)

    def inspect(self, container: str) -> dict[str, Any]:
        """Everything the engine says about a container."""
        with asking("cannot inspect a container"):
            return cast("dict[str, Any]", self._client.inspect_container(container))

    def kill(self, container: str) -> None:
        """End every process of a container now; nothing happens when it is over already."""
        with asking("cannot kill a container"), contextlib.suppress(docker.errors.NotFound):
            try:
                self._client.kill(container)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise

    def remove(self, container: str) -> None:
        """Kill and remove; nothing happens when there is none. Also what never started."""
        if self.state(container) is None:  # asked first: removing may take long, an engine that is silent is told soon
            return
        with asking("cannot remove a container"), contextlib.suppress(docker.errors.NotFound):
            try:
                self._patient.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                if error.status_code != 409:  # 409: another one removes it at this moment
                    raise
                self._client.wait(container, condition="removed", timeout=int(_ANSWER))

    def containers(self, label: str | None = None, *, volume: str | None = None) -> tuple[Labelled, ...]:
        """Containers in any state with a label (`name` or `name=value`), or with a volume."""
        filters = {key: value for key, value in (("label", label), ("volume", volume)) if value}
        with asking("cannot list containers"):
            found = self._client.containers(all=True, filters=filters)
        return tuple(Labelled(each["Id"], each.get("Labels") or {}) for each in found)

    def exec_start(self, container: str, command: commands.Command) -> tuple[str, Stream]:
        """Start a command in a running container: the exec's id and its output."""
        with asking("cannot start a command"):
            made = self._client.exec_create(
                container,
                # One pipe for both outputs: two would come in any order.
                ["/bin/sh", "-c", 'exec /bin/sh -c "$1" 2>&1', "relay", command.text],
                stdin=False,
                environment=dict(command.env),
                user=command.user,
                workdir=command.workdir,
            )
            return made["Id"], hijacked(self._client.exec_start(made["Id"], socket=True))

    def exec_state(self, execution: str) -> ExecState:
        """Whether an exec runs, and its status. One of a container that is gone does not run and has no status."""
        with asking("cannot ask how a command ended"):
            try:
                said = self._client.exec_inspect(execution)
            except docker.errors.NotFound:
                return ExecState(False, None)
        return ExecState(bool(said["Running"]), said["ExitCode"])

    def wait(self, container: str) -> int:
        """The exit status of a container of ours, once its script has ended."""
        with asking("cannot run a container"):
            return int(self._patient.wait(container)["StatusCode"])

    def archive(self, container: str, path: str, limit: int) -> bytes | None:
        """The tar of one path of a running container, cut after `limit` bytes; None when there is no such path."""
        with asking("cannot read from a container"):
            # Not the SDK's `get_archive`: it waits without an end, and goes on reading what nobody wants.
            client: Any = self._client
            url = client._url("/containers/{0}/archive", container)
            with client._get(url, params={"path": path}, stream=True) as response:
                if response.status_code == 404:
                    return None
                client._raise_for_status(response)
                got = bytearray()
                for piece in response.iter_content(_PIECE):
                    got += piece
                    if len(got) > limit:
                        break
        return bytes(got[:limit])

    def saw_oom(self, container: str) -> bool:
        """Whether the engine saw any process of the container ended for want of memory."""
        with asking("cannot read the engine's events"):
            filters = {"container": [container], "event": ["oom"]}
            until: Any = f"{time.time():.6f}"
            events = self._client.events(since=1, until=until, filters=filters, decode=True)
            with contextlib.closing(events):
                seen = any(True for _ in events)
        state = self.state(container)
        return seen or (state is not None and state.oom)

    # volumes

    def create_volume(self, name: str, options: Mapping[str, str], *, labels: Mapping[str, str]) -> None:
        """A volume of the engine's `local` driver, marked as ours. Mounting is tried only when a container starts."""
        with asking("cannot make a volume"):
            self._client.create_volume(
                name, driver="local", driver_opts=dict(options), labels={**owner_labels(), **labels}
            )

    def remove_volume(self, name: str) -> None:
        """Remove a volume with whatever container of ours still holds it; nothing happens when there is none."""
        with asking(f"cannot remove the volume {name}"), contextlib.suppress(docker.errors.NotFound):
            try:
                self._client.remove_volume(name, force=True)
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                for holder in self.containers(volume=name):
                    self.remove(holder.id)
                self._client.remove_volume(name, force=True)

    def volumes(self, label: str) -> tuple[Labelled, ...]:
        """Volumes with a label (`name` or `name=value`); `id` is the name."""
        with asking("cannot list volumes"):
            found = self._client.volumes(filters={"label": label})["Volumes"] or []
        return tuple(Labelled(each["Name"], each.get("Labels") or {}) for each in found)
