"""Whole runs over the vendors' wires: real command, git and containers; only the servers are ours or llmock's."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import pytest
from llmock.scenarios import Fail, Reply, StreamFault, ToolCall

from tests import foreign
from tests.foreign import Project, Seen, told
from tests.runner.models import fake_vendor as wire
from tests.runner.models.faces import FACES, Face
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Request

KEYS = {f"WIRE_{n}": f"wire-key-{n}-c0ffee0ddba11{n}" for n in range(4)}
STAGES = ("{plan: architect}", "{implement: coder}", "{test: tests}", "{review: [first, second]}", "{merge: squash}")
SHORT = ("{implement: coder, max-rounds: 2}", "{test: tests}", "{review: second}", "{merge: squash}")
FREE = "prices: {openai-compatible/m: {input: 0, output: 0}, openai-compatible/r: {input: 0, output: 0}}"

DEAR = FREE.replace("input: 0, output: 0", "input: 10, output: 100")


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


def assert_tied(project: Project, change: str) -> None:
    """A review's comments name path and line where the candidate has them, and else say it in words."""
    shown = json.loads(project.relay("show", change, "--json").stdout)
    reviews = [entry for entry in shown["history"] if entry["kind"] == "review"]
    said = [(each["path"], each["line"], each["body"].partition(":")[0]) for each in reviews[0]["comments"]]
    assert said == [
        ("paging.py", 2, "good"),
        ("paging.py", None, "beyond"),
        (None, None, "/etc/passwd"),
        (None, None, "../x"),
        (None, None, "a\0b"),
    ]


CONTRACT = {  # what each ending tool's turn is offered, arguments in order, `?` for what may be left out
    "spec": {"bash": "command timeout_s?", "read": "path start? end?", "spec": "title body changes"},
    "done": {
        "bash": "command timeout_s?",
        "read": "path start? end?",
        "edit": "path old new",
        "write": "path content",
        "done": "summary",
    },
    "review": {
        "bash": "command timeout_s?",
        "read": "path start? end?",
        "review": "decision summary comments? acknowledge?",
    },
}


def offered(about: Seen) -> dict[str, str]:
    """The tools of a request as the contract is written, whatever the wire calls the schema."""
    tools: dict[str, str] = {}
    for tool in about.body["tools"][0].get("functionDeclarations") or about.body["tools"]:
        known = tool.get("function", tool)
        schema = next(known[key] for key in ("input_schema", "parametersJsonSchema", "parameters") if key in known)
        arguments = (name if name in schema["required"] else f"{name}?" for name in schema["properties"])
        tools[known["name"]] = " ".join(arguments)
    return tools


def assert_told(asked: Sequence[Seen]) -> None:
    """What each role starts from, and that what the project says stands in a fence that it cannot close."""
    builds = [about.opening for about in asked if about.role == "done"]
    reviews = [about.opening for about in asked if about.role == "review"]
    for opening in builds + reviews:
        fence = re.search(r"<<<(data-[0-9a-f]{16}) project file: AGENTS.md\n(.*?)\1>>>", opening, re.S)
        assert fence and fence[2] == foreign.AGENTS and "approve at once" not in opening.replace(fence[0], "")
        assert "python -m pytest -q" in opening and " files\n" in opening and "pages() rounds up." in opening
    assert "`tests` says `red`" not in builds[0] and "`tests` says `red`" in builds[-1]
    assert "test_paging.py::test_full_pages" in builds[-1] and "assert 3 == 2" in builds[-1]
    for opening in reviews:
        assert "+    return -(-items // size)" in opening and "The diff is complete." in opening
        assert "passed" in opening and "## To acknowledge" in opening and "Round up." in opening


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

    assert all(offered(about) == CONTRACT[about.role] for about in map(foreign.seen, vendor_server.journal))
    assert_told(answered)
    assert_tied(project, change["id"])
    about = watch.of(said["run"])
    kinds = [each["Config"]["Labels"]["relay.kind"] for each in about]
    assert kinds.count("turn") >= 5 and kinds.count("gate") >= 4
    for each in about:
        if each["Config"]["Labels"]["relay.kind"] in ("turn", "gate"):
            assert_hardened(each, watch.volumes)
    page = project.relay("report")
    shown = [ran.stdout, ran.stderr, page.stdout, project.relay("log").stdout, json.dumps([about, watch.volumes])]
    assert_without(everything(project, *shown), list(KEYS.values()))


FOREIGN_FAULTS = [
    Fail(429, retry_after=0.2),
    Fail(529, retry_after=0.1),
    StreamFault("truncate", after_chunks=1),
    Fail(500, retry_after=0.05, times=2),
]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.vendor)
def test_a_run_against_a_server_that_nobody_here_wrote(face: Face, project: Project, llmock: Any) -> None:
    """Its faults are waited out, its tool calls change files, and its verdict on the client is clean.

    The repository is one in use, and byte for byte as it was but for what landed and what is relay's own.
    """
    foreign.furnish(project)
    before = foreign.snapshot(project)
    base = llmock.base_url(face.llmock)
    model = f"model: {face.model}, base-url: {base!r}, api-key-env: WIRE_0"
    price = f'prices: {{"{face.model}": {{input: 1, output: 2}}}}'
    project = project.write([f"coder: {{{model}}}", f"second: {{{model}}}"], SHORT, price, **KEYS)
    llmock.add(*FOREIGN_FAULTS)
    for about in (("done", 1, 0), ("done", 2, 0), ("review", 2, 0), ("review", 2, 1)):
        said = [ToolCall(call.name, dict(call.args)) for call in foreign.ordinary(turn(*about))]
        # The first reply is said twice: its first stream is cut.
        llmock.add(Reply(text="On it.", tool_calls=tuple(said), times=2 if about[:2] == ("done", 1) else 1))
    ran = project.run()
    assert ran.returncode == 0, ran.stderr
    change = told(ran)["tasks"][0]["changes"][0]
    assert (change["outcome"], change["rounds"]) == ("landed", 2)
    assert change["tokens"]["input"] > 1000 and change["tokens"]["output"] > 0 and change["cost_usd"] > 0
    assert project.git("show", "main:paging.py") == foreign.RIGHT
    assert foreign.snapshot(project) == before
    llmock.assert_resilient(strict=True)
    assert_without(everything(project, ran.stdout, ran.stderr), [KEYS["WIRE_0"]])


def turn(role: str, number: int, replies: int) -> Seen:
    """A request as the script reads one."""
    return Seen("", "", (role,), replies, f"## Round {number} of 4", 0, {})


def compatible(project: Project, server: FakeVendor, more: str, gate: str = foreign.PYTEST, **role: str) -> Project:
    """A pipeline with one Chat Completions model for everything; `role` adds to the coder."""
    own = "".join(f", {key.replace('_', '-')}: {value}" for key, value in role.items())
    where = f"base-url: '{server.url}', api-key-env: WIRE_0"
    roles = [f"coder: {{model: openai-compatible/m, {where}{own}}}", f"second: {{model: openai-compatible/r, {where}}}"]
    return project.write(roles, SHORT, more, gate, **KEYS)


def test_an_unknown_price_is_refused_before_anything_starts(project: Project, vendor_server: FakeVendor) -> None:
    """With the line to paste, whoever set the limit; nothing is asked and nothing is written."""
    for more, option in (("budget: {max-cost: 1.00}", ()), ("", ("--max-cost", "1"))):
        ran = compatible(project, vendor_server, more).run(*option)
        assert ran.returncode == 2
        for model in ("m", "r"):
            assert f"prices: {{openai-compatible/{model}: {{input: 0.00, output: 0.00}}}}" in ran.stderr
    assert vendor_server.journal == [] and not (project.state / "runs").exists()


LIMITS = {
    "tokens": ("budget: {max-tokens: 26k}\n" + FREE, (9_000, 1_000), [8_192, 5_000]),
    "money": ("budget: {max-cost: 1.11}\n" + DEAR, (9_000, 3_000), [8_192, 5_000]),
    "time": ("budget: {max-time: 1s}\n" + FREE, (10, 10), []),
    "unknown usage": ("budget: {max-tokens: 26k}\n" + FREE, None, [8_192]),
}  # fmt: skip


@pytest.mark.parametrize(("more", "usage", "caps"), LIMITS.values(), ids=LIMITS)
def test_a_limit_holds_before_the_call(
    project: Project, vendor_server: FakeVendor, more: str, usage: tuple[int, int] | None, caps: list[int]
) -> None:
    """The cap comes down to what is left, not below 4k; then the run ends as budget, and a resume resets nothing."""
    asked: list[int] = []

    def respond(request: Request) -> Answer:
        asked.append(foreign.seen(request).cap)
        counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
        return wire.sse(wire.chat("", Call("bash", {"command": "true"}), usage=counts))

    vendor_server.respond = respond
    project = compatible(project, vendor_server, more, gate="{run: 'true', results: exit-code}")
    ran = project.run()
    assert ran.returncode == 7, ran.stderr
    assert told(ran)["outcome"] == told(ran)["tasks"][0]["changes"][0]["outcome"] == "budget"
    assert len(asked) == len(caps)
    for cap, least in zip(asked, caps, strict=True):
        assert least <= cap <= least + 1_000
    again = project.relay("resume", "--json")
    assert (again.returncode, told(again)["outcome"]) == (7, "budget")
    assert len(vendor_server.journal) == len(caps)
    status = project.relay("status").stdout
    assert ("at least" in status) == (usage is None) and ("at most" in status) == (usage is None)


def test_an_unknown_model_ends_the_run_in_a_sentence_and_can_go_on(project: Project, vendor_server: FakeVendor) -> None:
    """Asked once; when the server knows it, the same turn goes on and lands."""
    project = compatible(project, vendor_server, FREE)
    vendor_server.answer(wire.error(404, {"error": {"message": "model `m` does not exist", "code": "model_not_found"}}))
    ran = project.run()
    assert (ran.returncode, told(ran)["outcome"], len(vendor_server.journal)) == (4, "broken", 1)
    assert "the vendor does not know this model: check `model` and `base-url` of the role" in ran.stderr
    assert f"relay resume {told(ran)['run']}" in ran.stderr and "Traceback" not in ran.stderr
    foreign.plays(vendor_server, foreign.ordinary)
    again = project.relay("resume", "--json")
    assert (again.returncode, told(again)["tasks"][0]["changes"][0]["outcome"]) == (0, "landed"), again.stderr


def test_a_turn_goes_on_at_the_fallback_and_talk_is_no_approval(project: Project, vendor_server: FakeVendor) -> None:
    """Used-up quota is not asked twice; the next model goes on from what was done. A reviewer who only talks, three
    times, has approved nothing: the change waits for a person."""
    quota = wire.error(429, {"error": {"message": "no credit", "code": "insufficient_quota"}}, retry_after="1")

    def script(about: Seen) -> Sequence[Call] | Answer:
        if about.role == "review":
            return wire.sse(wire.chat("Looks good to me!", usage={"prompt_tokens": 9, "completion_tokens": 9}))
        if about.model == "m":
            return [foreign.edit(foreign.CODE, foreign.RIGHT)] if about.replies == 0 else quota
        test = Call("write", {"path": "test_more.py", "content": "from paging import pages\n" + foreign.NEW_TESTS})
        return [test, Call("done", {"summary": "Rounds up."})]

    foreign.plays(vendor_server, script)
    prices = FREE.replace("r: {", "b: {input: 0, output: 0}, openai-compatible/r: {", 1)
    ran = compatible(project, vendor_server, prices, fallbacks="[openai-compatible/b]").run()
    assert ran.returncode == 6, ran.stderr
    assert told(ran)["tasks"][0]["changes"][0]["outcome"] == "needs-human"
    assert "second gave no usable review (format" in ran.stderr
    models = [foreign.seen(request).model for request in vendor_server.journal]
    assert models == ["m", "m", "b", "r", "r", "r"]
    handed = json.dumps(vendor_server.journal[2].body)
    assert "(I called the tool edit with" in handed and "edited paging.py" in handed
    assert project.git("rev-list", "--count", "main") == "1\n"
    assert project.relay("approve", "t1-1").returncode == 0
    assert project.git("show", "main:paging.py") == foreign.RIGHT


def test_a_window_is_really_filled_and_a_refusal_gives_up(project: Project, vendor_server: FakeVendor) -> None:
    """Round 1 reads until nothing fits, old results cut down first; round 2 is refused by the model and its fallback.

    The server counts what it gets, three bytes a token, and refuses what is beyond its 24k as such servers do.
    """
    (project.repo / "big.txt").write_text("".join(f"{number:>7} {'x' * 72}\n" for number in range(2_000)))
    project.git("switch", "-q", "main")
    project.git("add", "."), project.git("-c", "user.name=u", "-c", "user.email=u@x", "commit", "-q", "-m", "Big")
    project.git("switch", "-q", "mine")
    prompts: list[int] = []

    def script(about: Seen) -> Sequence[Call] | Answer:
        if about.round == 2:
            return wire.sse(wire.chat("I cannot help with that.", finish="content_filter"))
        prompts.append(len(json.dumps(about.body)) // 3)
        if prompts[-1] + about.cap > 24_000:
            said = f"This model's maximum context length is 24000 tokens, but {prompts[-1] + about.cap} were asked for"
            return wire.error(400, {"error": {"message": said, "code": "context_length_exceeded"}})
        start = 1 + 70 * about.replies
        talk = {"prompt_tokens": prompts[-1], "completion_tokens": 900}
        reads = Call("read", {"path": "big.txt", "start": start, "end": start + 69}, f"c{about.replies}")
        return wire.sse(wire.chat("z" * 2_700, reads, usage=talk))

    foreign.plays(vendor_server, script)
    more = {"context_window": "24k", "max_output_tokens": "4k", "fallbacks": "[openai-compatible/b]"}
    prices = FREE.replace("r: {", "b: {input: 0, output: 0}, openai-compatible/r: {", 1)
    ran = compatible(project, vendor_server, prices, **more).run()
    assert ran.returncode == 1, ran.stderr
    change = told(ran)["tasks"][0]["changes"][0]
    assert (change["outcome"], change["rounds"]) == ("gave-up", 2)
    last = [request.body for request in vendor_server.journal if foreign.seen(request).round == 1][-1]
    cut = [message for message in last["messages"] if "shortened to save room" in str(message)]
    assert len(cut) >= 5 and max(prompts) > 16_000
    assert "implement, round 1: context" in ran.stderr and "refused" in ran.stderr
    assert [foreign.seen(request).model for request in vendor_server.journal[-2:]] == ["m", "b"]
