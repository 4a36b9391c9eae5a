"""Keys of the pipeline file in whole runs: what stands there is what the model, the container and the gate get."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.load import load
from runner.models import open_model
from runner.stages.models import spec_of
from tests.playing import forget_environments
from tests.runner.git.support import git, make, write
from tests.runner.models.fake_vendor import Answer, Call, FakeVendor, Request, chat, error, sse

RELAY = Path(__file__).parent.parent / ".venv" / "bin" / "relay"

REST = """\
gates: {tests: {run: python -m pytest -q}}
stages: [{implement: coder, max-rounds: 1}, {test: tests}, {review: looker}, {merge: squash}]
tasks: [Add x]
"""
LOOKS = "{role: looker, step: 1, calls: [{tool: review, args: {decision: approve, summary: right}}]}"


def run(where: Path, text: str, replies: str = "", **env: str) -> tuple[int, dict[str, Any], str]:
    """A pipeline with a `looker` that approves: exit code, the run's object, and what was said."""
    repo = where / "repo"
    if not repo.exists():
        make(repo, {"test_a.py": "def test_a(): pass\n", "docs/style.md": "Short names.\n", "uv.lock": "1"})
        git(repo, "switch", "-qc", "elsewhere")
        (repo / ".env.test").write_text("untracked-secret")
    (where / "pipeline.yaml").write_text(text)
    (where / "replies.yaml").write_text(f"replies:\n  - {LOOKS}\n{replies}")
    done = subprocess.run(
        [RELAY, "pipeline", "run", where / "pipeline.yaml", "--repo", repo, "--json"],
        env={**os.environ, "XDG_CACHE_HOME": str(where / "cache"), **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told, done.stderr


ROLES = """\
version: 1
target: main
roles:
  looker: {{model: scripted/replies.yaml}}
  coder:
    model: openai-compatible/first
    base-url: "{url}/v1"
    api-key-env: MY_OWN_KEY
    effort: low
    prompt: coder.md
    context: [docs/style.md]
    max-output-tokens: 5k
    context-window: 64k
    max-steps: 2
    fallbacks: [openai-compatible/second]
"""


def test_a_role_is_asked_as_the_file_says(tmp_path: Path, vendor_server: FakeVendor) -> None:
    """Model, address, key, effort, prompt, context, cap; the fallback goes on, and the steps are counted."""

    def answer(request: Request) -> Answer:
        if request.body["model"] == "first":
            return error(429, {"error": {"message": "no credit left", "code": "insufficient_quota"}})
        return sse(chat("", Call("bash", {"command": "true"})))

    vendor_server.respond = answer
    (tmp_path / "coder.md").write_text("Write little.")
    code, told, said = run(tmp_path, ROLES.format(url=vendor_server.url) + REST, MY_OWN_KEY="the-key")
    assert (code, told["tasks"][0]["changes"][0]["outcome"]) == (1, "gave-up"), said
    assert "2 steps are used" in said
    first, *others = vendor_server.journal
    headers = {name.lower(): value for name, value in first.headers.items()}
    assert (first.path, headers["authorization"]) == ("/v1/chat/completions", "Bearer the-key")
    assert (first.body["model"], first.body["reasoning_effort"], first.body["max_tokens"]) == ("first", "low", 5000)
    system, opening = (message["content"] for message in first.body["messages"])
    assert system.rstrip().endswith("Write little.")
    assert "Short names." in str(opening)
    assert [request.body["model"] for request in others] == ["second", "second"]


def test_a_window_and_a_cap_are_the_file_s_own_model_s(tmp_path: Path) -> None:
    """Its fallbacks keep their own."""
    (tmp_path / "coder.md").write_text("Write little.")
    write(tmp_path, {"p.yaml": ROLES.format(url="http://127.0.0.1:1") + REST, "replies.yaml": f"replies: [{LOOKS}]\n"})
    pipeline = load(tmp_path / "p.yaml").pipeline
    role = pipeline.roles["coder"]
    own, other = (open_model(spec_of(pipeline, role, model, {})) for model in (role.model, *role.fallbacks))
    assert (own.context_window, own.max_output) == (64_000, 5000)
    assert (other.context_window, other.max_output) != (64_000, 5000)


SANDBOX = """\
version: 1
target: main
roles: {coder: {model: scripted/replies.yaml}, looker: {model: scripted/replies.yaml}}
sandbox:
  image: debian
  setup: echo "setup has $FLAVOUR, and $(cat uv.lock)" > /opt/said
  setup-inputs: [uv.lock]
  network: full
  env: {FLAVOUR: mint}
  files: [.env.test]
  limits: {cpus: 1.5, memory: 96m, pids: 77, output: 3k}
gates:
  net: {run: "! grep -q eth0 /proc/net/dev", results: exit-code}
  tests: {run: python -m pytest -q --junitxml=made/out.xml, results: {junit: made/out.xml}, min-tests: 2}
stages: [{implement: coder, max-rounds: 2}, {test: [net, tests]}, {review: looker}, {merge: squash}]
tasks: [Add x]
"""
_FACTS = """\
cat /opt/said .env.test; echo; echo $FLAVOUR; grep -c eth0 /proc/net/dev
cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max
cat pids/pids.max 2>/dev/null || cat pids.max; cat cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 cpu.max
"""
_CODER = f"""\
  - role: coder
    round: 1
    step: 1
    calls:
      - {{tool: bash, args: {{command: {json.dumps(f"({_FACTS}) > facts.txt")}}}}}
      - {{tool: bash, args: {{command: "head -c 100000 /dev/zero | tr '\\\\0' x"}}}}
      - {{tool: done, args: {{summary: looked around}}}}
  - role: coder
    round: 2
    step: 1
    calls:
      - {{tool: write, args: {{path: test_b.py, content: "def test_b(): pass\\n"}}}}
      - {{tool: done, args: {{summary: one more test}}}}
"""


def test_a_container_is_as_the_file_says(tmp_path: Path) -> None:
    """Setup, its inputs, network, variables, files and limits, as the turn itself finds them; and two kinds of gate."""
    code, told, said = run(tmp_path, SANDBOX, _CODER)
    forget_environments(tmp_path)
    assert code == 0, said
    facts = git(tmp_path / "repo", "show", f"{told['tasks'][0]['changes'][0]['landed']}:facts.txt").splitlines()
    assert facts == ["setup has mint, and 1", "untracked-secret", "mint", "1", str(96 * 1024**2), "77", "150000"]
    assert told["tasks"][0]["changes"][0]["rounds"] == 2
    assert "at least 2 must (`min-tests`)" in said
    assert "untracked-secret" not in git(tmp_path / "repo", "ls-tree", "-r", "--name-only", "main")
    journal = f"refs/relay/runs/{told['run']}/changes/t1-1"
    transcript = git(tmp_path / "repo", "show", f"{journal}:r1.1.implement/transcript.jsonl")
    assert transcript.count("x" * 1000) in (2, 3)
    assert "no network unless" in transcript and "There is no network" not in transcript  # it has one


TIMES = """\
version: 1
target: main
roles: {{coder: {{model: scripted/replies.yaml}}, looker: {{model: scripted/replies.yaml}}}}
gates: {{tests: {{run: python -m pytest -q}}}}
stages: [{{implement: coder, max-rounds: 1{stage}}}, {{test: tests}}, {{review: looker}}, {{merge: squash}}]
tasks: [Add x]
{more}
"""
_SLEEPS = "  - {role: coder, step: 1, calls: [{tool: bash, args: {command: sleep 100, timeout_s: 99}}]}\n"


@pytest.mark.parametrize(
    ("stage", "more", "code", "words"),
    [
        (", timeout: 2s", "", 1, "the turn ended as timeout"),
        (", idle-timeout: 2s", "", 1, "the turn ended as idle"),
        ("", "budget: {max-tokens: 1k}", 7, "budget"),
        ("", "budget: {max-time: 1s}", 7, "budget"),
    ],
)
def test_a_limit_that_is_reached_is_named(stage: str, more: str, code: int, words: str, tmp_path: Path) -> None:
    """The turn's two clocks, and the run's tokens and time; nothing lands."""
    ended, told, said = run(tmp_path, TIMES.format(stage=stage, more=more), _SLEEPS)
    assert ended == code, said
    assert words in said
    assert told["tasks"][0]["outcome"] != "landed"
