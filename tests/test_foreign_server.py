"""Whole runs over the vendors' wires: real command, git and containers; only the servers are ours or llmock's."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import foreign
from tests.foreign import Project, Seen, told
from tests.runner.models import fake_vendor as wire
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Request

KEYS = {f"WIRE_{n}": f"wire-key-{n}-c0ffee0ddba11{n}" for n in range(4)}
STAGES = ("{plan: architect}", "{implement: coder}", "{test: tests}", "{review: [first, second]}", "{merge: squash}")
SHORT = ("{implement: coder, max-rounds: 2}", "{test: tests}", "{review: coder}", "{merge: squash}")
FREE = 'prices: {"openai-compatible/m": {input: 0, output: 0}}'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return foreign.project(tmp_path)


@dataclass
class Watch:
    """What the engine said of every container and volume of this test's runs, asked while the container lived."""

    started: dict[str, str] = field(default_factory=dict)  # id -> run
    inspected: dict[str, Any] = field(default_factory=dict)
    volumes: dict[str, Any] = field(default_factory=dict)

    def of(self, run: str) -> list[Any]:
        """Inspections of the run's containers; each that started was caught alive."""
        mine = [name for name, owner in self.started.items() if owner == run]
        assert mine and set(mine) <= set(self.inspected)
        return [self.inspected[name] for name in mine]


@contextmanager
def watching() -> Iterator[Watch]:
    watch = Watch()
    client = docker.from_env()
    stream = client.events(filters={"type": "container", "event": "start", "label": "relay.run"}, decode=True)

    def follow() -> None:
        for event in stream:
            watch.started[event["id"]] = event["Actor"]["Attributes"]["relay.run"]
            try:
                about = client.api.inspect_container(event["id"])
                for mount in about["Mounts"]:
                    if mount["Type"] == "volume":
                        watch.volumes[mount["Name"]] = client.api.inspect_volume(mount["Name"])
            except docker.errors.NotFound:
                continue
            watch.inspected[event["id"]] = about

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield watch
    finally:
        stream.close()
        thread.join()
        client.close()


def assert_hardened(about: Any, volumes: dict[str, Any]) -> None:
    """No key, no capability, not root, no network, limits set, only workspace and a bounded result volume mounted."""
    host, config = about["HostConfig"], about["Config"]
    assert config["User"].split(":")[0] not in ("", "0", "root")
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
    assert host["NetworkMode"] == "none" and "no-new-privileges" in host["SecurityOpt"] and host["ReadonlyRootfs"]
    assert host["Memory"] == host["MemorySwap"] > 0 and host["NanoCpus"] > 0 and host["PidsLimit"] > 0
    assert not host["Devices"] and not host["PidMode"] and host["IpcMode"] == "private" and not host["Binds"]
    places = [mount["Destination"] for mount in about["Mounts"]]
    kind = config["Labels"]["relay.kind"]
    assert places.count("/work") == 1 and set(places) == ({"/work", "/relay"} if kind == "gate" else {"/work"})
    for mount in about["Mounts"]:
        if mount["Destination"] == "/relay":
            assert "size=" in volumes[mount["Name"]]["Options"]["o"]


def echoing(call: Call, key: str) -> Call:
    """The call with the key in whatever words it holds."""
    words = {name: f"{value} {key}" for name, value in dict(call.args).items() if name in ("body", "summary", "title")}
    return replace(call, args={**dict(call.args), **words})


def everything(project: Project, *said: str) -> dict[str, bytes]:
    """All bytes that a run leaves: state, objects, cache, output."""
    left = {str(path): path.read_bytes() for path in project.home.rglob("*") if path.is_file()}
    left["every git object"] = project.git_bytes("cat-file", "--batch", "--batch-all-objects")
    left["refs"] = project.git_bytes("for-each-ref")
    return left | {f"said {number}": text.encode() for number, text in enumerate(said)}


def assert_without(left: dict[str, bytes], keys: Sequence[str]) -> None:
    assert [name for name, content in left.items() if any(key.encode() in content for key in keys)] == []


def is_gated(project: Project, about: Seen) -> bool:
    """Whether the head and the tree that a reviewer is asked about have a passed verdict, at this moment."""
    for ref in project.git("for-each-ref", "--format=%(refname)", "refs/relay/runs/*/changes/*").split():
        for name in project.git("ls-tree", "--name-only", ref).split():
            record = json.loads(project.git("show", f"{ref}:{name}")) if name.endswith(".json") else {}
            is_passed = record.get("kind") == "gate" and record["status"] == "passed"
            if is_passed and record["head"] in about.opening and record["tree"] in about.opening:
                return True
    return False


def test_four_vendors_in_one_run_and_no_key_anywhere(project: Project, vendor_server: FakeVendor) -> None:
    """Architect, implementer and two reviewers, each at another vendor that says back the key it was sent.

    Each vendor fails once, repeating the key in its error; then the key is in specs, commands, files and reviews.
    """
    url = vendor_server.url
    roles = [
        f"architect: {{model: anthropic/claude-opus-5-5, base-url: {url!r}, api-key-env: WIRE_0}}",
        f"coder: {{model: google/gemini-3.5-flash, base-url: {url!r}, api-key-env: WIRE_1}}",
        f"first: {{model: openai/gpt-6-sol, base-url: '{url}/v1', api-key-env: WIRE_2}}",
        f"second: {{model: openai-compatible/m, base-url: '{url}/v1/', api-key-env: WIRE_3}}",
    ]
    project = project.write(roles, STAGES, FREE, **KEYS)
    failed: set[str] = set()
    gated: list[bool] = []

    def respond(request: Request) -> Answer:
        about = foreign.seen(request)
        key = next(key for key in KEYS.values() if key in str(request.headers))
        if about.vendor not in failed:
            failed.add(about.vendor)
            return wire.error(529, {"error": {"message": f"busy, {key}"}}, retry_after="0")
        if about.role == "review":
            gated.append(is_gated(project, about))
        calls = [echoing(call, key) for call in foreign.ordinary(about)]
        if about.replies == 0:
            calls.insert(0, Call("bash", {"command": f"echo '{key}' | tee -a notes.txt"}))
        return foreign.reply(about.vendor, about.replies + 1, *calls)

    vendor_server.respond = respond
    with watching() as watch:
        ran = project.run()
    assert ran.returncode == 0, ran.stderr
    said = told(ran)
    change = said["tasks"][0]["changes"][0]
    assert (said["outcome"], change["outcome"], change["rounds"]) == ("landed", "landed", 2)
    assert project.git("show", "main:paging.py") == foreign.RIGHT
    assert project.git("show", "main:notes.txt") == "***\n***\n"

    assert len(failed) == 4
    answered = [about for about in map(foreign.seen, vendor_server.journal) if about.role != "spec"]
    count = len(answered) - len({about.vendor for about in answered})  # each vendor failed once
    assert change["tokens"] == {"input": 800 * count, "cache_read": 200 * count, "cache_write": 0, "output": 50 * count}
    assert 0 < change["cost_usd"] < said["cost_usd"]
    assert len(gated) == 4 and all(gated)

    about = watch.of(said["run"])
    kinds = [each["Config"]["Labels"]["relay.kind"] for each in about]
    assert kinds.count("turn") >= 5 and kinds.count("gate") >= 4
    for each in about:
        if each["Config"]["Labels"]["relay.kind"] in ("turn", "gate"):
            assert_hardened(each, watch.volumes)
    page = project.relay("report")
    shown = [ran.stdout, ran.stderr, page.stdout, project.relay("log").stdout, json.dumps([about, watch.volumes])]
    assert_without(everything(project, *shown), list(KEYS.values()))
