"""What a new user gets wrong, through the real command: a sentence, the exit code, and nothing written or half done."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.runner.git.support import git, make, picture, save, write
from tests.runner.models.fake_vendor import Answer, FakeVendor

RELAY = Path(__file__).parent.parent / ".venv" / "bin" / "relay"

PIPELINE = """\
version: 1
roles: {player: {model: scripted/replies.yaml}}
sandbox: {image: debian}
gates: {tests: {run: python -m pytest -q}}
stages: [{implement: player}, {test: tests}, {review: player}, {merge: squash}]
"""
REPLIES = """\
replies:
  - {role: player, round: 1, step: 1, calls: [{tool: write, args: {path: größe.py, content: "x = 1\\n"}}]}
  - {role: player, round: 1, step: 2, calls: [{tool: done, args: {summary: x is there}}]}
  - {role: reviewer, step: 1, calls: [{tool: review, args: {decision: approve, summary: right}}]}
"""
TASK = ("--task", "Add x")
TEN_MISTAKES = """\
version: 1
target: 7
roles:
  architect: {model: antropic/claude-opus-5-5}
  implementer: {model: google/gemini-3.5-flash, max-step: 3}
sandbox: {limits: {memory: 4}}
gates:
  tests: {run: pytest, timeout: 90, repeat: 3}
stages:
  - plan: architct
  - implement: implementer
  - test: [tests, lint]
  - review: architect
  - merge: squash
budgets: {max-cost: 1}
version: 1
"""
TRUST = "git config --global --add safe.directory"
# A root that may do what an owner may, and no more: file modes hold for it too.
MERE_OWNER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all") if os.getuid() == 0 else ()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a test, in a folder with spaces and letters of the world, and a pipeline in it."""
    made = make(tmp_path / "mein Répo ☂", {"test_a.py": "def test_a(): pass\n"})
    write(made, {"pipeline.yaml": PIPELINE, "replies.yaml": REPLIES})
    return made


def relay(
    where: Path, *arguments: str | Path, as_: tuple[str, ...] = (), **env: str | None
) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it in a folder; a variable that is None is not set."""
    quiet = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    given = {**quiet, "XDG_CACHE_HOME": str(where.parent / "cache"), **env}
    return subprocess.run(
        [*as_, RELAY, *arguments],
        cwd=where,
        env={name: value for name, value in given.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def no_run(repo: Path) -> None:
    """No run was begun: no ref, no folder, and no other command thinks that there is one."""
    assert git(repo, "for-each-ref", "refs/relay", "refs/heads/relay/", "refs/notes") == ""
    common = Path(git(repo, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    assert list((common / "relay").glob("runs/*")) == []


def edit(repo: Path, old: str, new: str) -> None:
    """Change the pipeline file."""
    text = (repo / "pipeline.yaml").read_text()
    assert old in text
    (repo / "pipeline.yaml").write_text(text.replace(old, new))


Arrange = Callable[[Path], object]

# What was done wrong, what is run, with which variables; the exit code, and words for the cause and the way out.
WRONG: dict[str, tuple[Arrange, tuple[str, ...], Mapping[str, str], int, tuple[str, ...]]] = {
    "no task": (lambda repo: None, (), {}, 2, ("no task", '--task "')),
    "a task of white space": (lambda repo: None, ("--task", " \n"), {}, 2, ("no task", '--task "')),
    "a task from an empty stdin": (lambda repo: None, ("--task", "-"), {}, 2, ("no task",)),
    "no such pipeline": (lambda repo: None, ("solu", *TASK), {}, 2, ("did you mean the shipped pipeline `solo`?",)),
    "no such folder": (lambda repo: None, ("--repo", "nowhere", *TASK), {}, 2, ("'nowhere' does not exist",)),
    "target missing": (
        lambda repo: edit(repo, "version: 1", "version: 1\ntarget: mian"),
        TASK,
        {},
        2,
        ("pipeline.yaml:2:9: there is no branch `mian`: did you mean `main`?",),
    ),
    "a task that is no text": (lambda repo: None, ("--task", os.fsdecode(b"\xff")), {}, 2, ("a task is text: UTF-8",)),
    "a task file that is no text": (
        lambda repo: (
            (repo / "todo.md").write_bytes(b"\x7fELF\0") and edit(repo, "version: 1", "version: 1\ntasks: [todo.md]")
        ),
        (),
        {},
        2,
        ("todo.md:1:1: the file holds a NUL, so it is no text",),
    ),
    "a task file missing": (
        lambda repo: edit(repo, "version: 1", "version: 1\ntasks: [todo.md]"),
        (),
        {},
        2,
        ("todo.md", "no such file"),
    ),
    "a key missing": (
        lambda repo: edit(repo, "scripted/replies.yaml", "openai/gpt-6-sol"),
        TASK,
        {},
        2,
        ("pipeline.yaml:2:25: no key for `openai/gpt-6-sol`", "`export OPENAI_API_KEY=...`"),
    ),
    "a price unknown": (
        lambda repo: edit(repo, "scripted/replies.yaml", "openai/gpt-nobody-knows"),
        (*TASK, "--max-cost", "5"),
        {"OPENAI_API_KEY": "x"},
        2,
        ("price of `openai/gpt-nobody-knows` is unknown", "prices: {openai/gpt-nobody-knows: {input:"),
    ),
    "money that is none": (lambda repo: None, (*TASK, "--max-cost", "ten"), {}, 2, ("'ten' is no amount of USD",)),
    "HEAD detached": (
        lambda repo: git(repo, "checkout", "-q", "--detach"),
        TASK,
        {},
        4,
        ("HEAD is detached", "git switch main", "`target:`"),
    ),
    "a branch named relay": (
        lambda repo: git(repo, "branch", "relay"),
        TASK,
        {},
        4,
        ("a branch named `relay` is in the way", "git branch -m relay another-name"),
    ),
    "the engine down": (
        lambda repo: None,
        TASK,
        {"DOCKER_HOST": "unix:///tmp/nobody-listens.sock"},
        4,
        ("no Docker engine at /tmp/nobody-listens.sock", "`make engine`"),
    ),
    "the image missing": (
        lambda repo: edit(repo, "image: debian", "image: relay-nowhere/nothing, pull: never"),
        TASK,
        {},
        4,
        ("no image relay-nowhere/nothing is here", "`docker pull relay-nowhere/nothing`"),
    ),
    "an untracked file missing": (
        lambda repo: edit(repo, "image: debian", "image: debian, files: [.env.test]"),
        TASK,
        {},
        4,
        (".env.test", "take it out of the list, or make it"),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_run_that_cannot_begin_says_why_and_writes_nothing(wrong: str, repo: Path) -> None:
    """One sentence on stderr, the same in JSON, the exit code; no run, and every file of the user's as it was."""
    arrange, arguments, env, code, words = WRONG[wrong]
    arrange(repo)
    before = picture(repo)
    done = relay(repo, "pipeline", "run", *arguments, "--json", **env)
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == code
    assert [word for word in words if word not in done.stderr] == []
    assert [word for word in words if word not in told["error"]] == []
    assert "Traceback" not in done.stderr and "bug of relay" not in done.stderr
    assert picture(repo) == before
    no_run(repo)


def test_where_there_is_no_repository_or_no_commit_every_command_says_so(tmp_path: Path) -> None:
    """The next command is named; nothing is made."""
    (tmp_path / "p.yaml").write_text(PIPELINE)
    (tmp_path / "replies.yaml").write_text(REPLIES)
    commands = (("pipeline", "run", "p.yaml", *TASK), ("status",), ("init",))
    for words in ("is not in a git repository", "has no commit yet: make the first one"):
        before = picture(tmp_path)
        for command in commands:
            done = relay(tmp_path, *command)
            assert (done.returncode, done.stdout) == (4, ""), command
            assert f"relay: {tmp_path} {words}" in done.stderr
        assert picture(tmp_path) == before
        assert not (tmp_path / ".git" / "relay").exists()
        git(tmp_path, "init", "-q", "-b", "main") if words.startswith("is not") else None


def test_a_file_with_ten_mistakes_gets_ten_lines_and_nothing_starts(repo: Path) -> None:
    """`file:line:col: what: what to do` for each, from `run` as from `validate`."""
    (repo / "zehn Fehler.yaml").write_text(TEN_MISTAKES)
    at = ["2:9", "4:22", "5:49", "6:28", "8:33", "8:37", "10:11", "12:19", "15:1", "16:1"]
    for command in (("run", "zehn Fehler.yaml", *TASK), ("validate", "zehn Fehler.yaml")):
        done = relay(repo, "pipeline", *command, ANTHROPIC_API_KEY="x", GEMINI_API_KEY="x")
        assert (done.returncode, done.stdout) == (2, "")
        lines = [line.split(": ") for line in done.stderr.splitlines()]
        assert [line[0] for line in lines] == [f"zehn Fehler.yaml:{place}" for place in at]
        assert all(len(line) >= 3 and all(line) for line in lines)
    no_run(repo)


def test_a_repository_that_the_user_may_not_write_is_left_alone(repo: Path) -> None:
    """Read-only, and where root may make it so, another user's."""
    before = picture(repo)
    for path in [repo / ".git", *(repo / ".git").rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    done = relay(repo, "pipeline", "run", *TASK, as_=MERE_OWNER)
    for path in [repo / ".git", *(repo / ".git").rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    assert done.returncode == 4
    assert "cannot be written (Permission denied): give your user the right to write into" in done.stderr
    assert {name: content for name, (_, content) in picture(repo).items()} == {n: c for n, (_, c) in before.items()}
    assert not (repo / ".git" / "relay").exists()
    if os.getuid() == 0:
        for path in [repo, repo / ".git"]:
            os.chown(path, 12345, 12345)
        done = relay(repo, "pipeline", "run", *TASK, HOME=str(repo.parent))  # whose own settings trust nobody
        assert done.returncode == 4
        assert f"belongs to another user, so git does not open it; if you trust it: {TRUST} {repo}" in done.stderr
        assert not (repo / ".git" / "relay").exists()


def test_a_bare_repository_has_no_place_for_init(repo: Path, tmp_path: Path) -> None:
    """Its own folder is git's; the command that reads runs works there."""
    git(tmp_path, "clone", "-q", "--bare", repo, "bare.git")
    done = relay(tmp_path / "bare.git", "init")
    assert done.returncode == 2
    assert "is a bare repository: run relay init in a clone of it" in done.stderr
    assert not (tmp_path / "bare.git" / "pipeline.yaml").exists()
    assert relay(tmp_path / "bare.git", "runs").returncode == 0


BROKEN = {
    "setup fails": (
        "image: debian",
        'image: debian, setup: "echo fetching; echo no such package >&2; exit 3"',
        ("`sandbox: setup` fails on the landing branch", "status 3", "no such package"),
    ),
    "the command is not there": (
        "python -m pytest -q",
        "no-such-runner -q",
        ("it was not found (status 127); install it in `sandbox: setup`, or repair `run`",),
    ),
    "the gate never ends": (
        "{run: python -m pytest -q}",
        "{run: sleep 1000, timeout: 1s}",
        ("did not end within 1 s on the landing branch itself: raise `timeout` of the gate tests",),
    ),
}


@pytest.mark.parametrize("wrong", BROKEN)
def test_what_the_target_itself_does_wrong_is_told_before_any_turn(wrong: str, repo: Path) -> None:
    """Broken, with the log, no model asked, no branch of a change, the target where it was."""
    old, new, words = BROKEN[wrong]
    edit(repo, old, new)
    main = git(repo, "rev-parse", "main")
    done = relay(repo, "pipeline", "run", *TASK, "--json")
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["outcome"] == "broken"
    assert [word for word in words if word not in done.stderr] == []
    assert "step 1" not in done.stderr
    assert (git(repo, "rev-parse", "main"), git(repo, "branch", "--list", "relay/*")) == (main, "")
    assert relay(repo, "status").returncode == 0


def test_a_key_that_is_refused_and_a_model_that_is_unknown_are_named(repo: Path, vendor_server: FakeVendor) -> None:
    """Asked once, not again; the key itself is in no output; the run can be resumed."""
    edit(
        repo,
        "{model: scripted/replies.yaml}",
        f'{{model: openai-compatible/qwen9, base-url: "{vendor_server.url}/v1", api-key-env: MY_KEY}}',
    )
    for status, said, words in (
        (401, "Incorrect API key: sk-not-a-real-key-0123", "the key was refused: check the environment variable"),
        (404, "The model `qwen9` does not exist", "the vendor does not know this model: check `model` and `base-url`"),
    ):
        error = json.dumps({"error": {"message": said, "type": "invalid_request_error"}}).encode()
        vendor_server.answer(Answer(error, status, "application/json"))
        done = relay(repo, "pipeline", "run", *TASK, MY_KEY="sk-not-a-real-key-0123")
        assert done.returncode == 4, done.stderr
        assert words in done.stdout and f"HTTP {status}" in done.stdout
        assert "not-a-real-key" not in done.stdout + done.stderr
        assert "qwen9: openai-compatible/qwen9" not in done.stdout
        assert "go on with: relay resume r" in done.stderr
    assert len(vendor_server.journal) == 2


def test_an_odd_repository_is_worked_on_and_the_user_hears_what_the_tests_do_not_see(tmp_path: Path) -> None:
    """Shallow, dirty, with a submodule and LFS files, by a subfolder of a linked work tree, no HOME: it lands.

    The submodule and the pointers come out as they went in, and nothing of the user's is touched.
    """
    origin = make(tmp_path / "origin", {"old": "1"})
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    save(
        origin,
        {
            "test_a.py": "def test_a(): pass\n",
            "sub dir/a": "",
            "big.bin": pointer,
            ".gitattributes": "*.bin filter=lfs\n",
            ".gitmodules": '[submodule "dep"]\n\tpath = dep\n\turl = ../dep\n',
        },
    )
    git(origin, "update-index", "--add", "--cacheinfo", f"160000,{'ab' * 20},dep")
    git(origin, "commit", "-qm", "a submodule")
    repo, linked = tmp_path / "das Répo", tmp_path / "linked ☂"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{origin}", repo)
    git(repo, "worktree", "add", "-q", "-b", "side", linked)
    file = tmp_path / "päth with space" / "my pipeline ü.yaml"
    write(file.parent, {file.name: PIPELINE.replace("review: player", "review: reviewer"), "replies.yaml": REPLIES})
    file.write_text(
        file.read_text().replace("roles: {", "target: main\nroles: {reviewer: {model: scripted/replies.yaml}, ")
    )
    (linked / "test_a.py").write_text("def test_a(): assert 0  # not committed\n")
    before = picture(repo), picture(linked)
    done = relay(linked, "pipeline", "run", file, "--repo", linked / "sub dir", *TASK, "--json", HOME=None)
    assert done.returncode == 0, done.stderr
    for words in (
        "1 uncommitted paths of your work tree are not in this run",
        "1 submodules are kept as they are; the tests see empty folders",
        "1 files of Git LFS are kept as they are; the tests see their pointers",
        "the clone is shallow",
    ):
        assert words in done.stderr
    told = json.loads(done.stdout)
    assert (told["outcome"], told["landing_branch"]) == ("landed", f"relay/{told['run']}/landed")
    changed = git(repo, "-c", "core.quotePath=false", "diff", "--name-only", "main", told["landing_branch"])
    assert changed == "größe.py"
    assert (picture(repo), picture(linked)) == before


def test_a_second_run_is_told_who_works_here_and_begins_nothing(repo: Path) -> None:
    """Exit code 5, with the run and its process; reading commands still work."""
    from runner.lock import Holder, locked

    state = repo / ".git" / "relay"
    state.mkdir(mode=0o700)
    with locked(state / "lock", Holder("r20260101-0000-abcd", os.getpid(), "here", 0.0)):
        done = relay(repo, "pipeline", "run", *TASK, "--json")
        assert relay(repo, "runs").returncode == 0
    assert done.returncode == 5
    assert "r20260101-0000-abcd" in done.stderr and str(os.getpid()) in done.stderr
    no_run(repo)
