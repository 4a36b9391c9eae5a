"""Random edit scripts, played by real commands in a container on each back end, and the trees that come out of them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from hypothesis import strategies as st

from runner.git.checkout import base_directory
from runner.git.harvest import harvest
from runner.git.history import tree_of
from runner.git.objects import EXECUTABLE, SYMLINK, ls_tree, read_blob
from runner.git.repo import Repository
from sandbox.base import SandboxSpec
from sandbox.docker import Engine
from sandbox.workspace import Backend, open_workspace
from tests.runner.git.support import git, make, opened

BACKENDS: tuple[Backend, ...] = ("overlay", "copy")

Cases = list[list[tuple[str, str, str]]]
Tree = dict[bytes, tuple[int, bytes]]

# One case is a small tree of its own, so that one container plays many.
BEGIN = {
    "a": "a",
    "run": "#!/bin/sh\n",
    "d/x": "x",
    "d/e/y": "y",
    "d/e/z": "z",
    "link": "->d/x",
    "dirlink": "->d",
    "odd\nname é": "odd",
    "-n": "dash",
}
NAMES = [*BEGIN, "d", "d/e", "new", "new/deep", "d/new", "d/.GIT", "b\udcff", "new\\back:slash,"]
ONE = ["rm", "mkdir", "remake", "touch", "rewrite", "chmod+x", "chmod-x", "chmod000", "fifo", "socket"]
TWO = ["mv", "cp", "ln", "hard"]

FOLDERS = ["d", "d/e", "dirlink", "new"]

_name = st.sampled_from(["a", "run", "link", "d/x", "d/e/y", *FOLDERS]) | st.sampled_from(NAMES)
_step = st.one_of(
    st.tuples(st.just("write"), _name, st.sampled_from(["", "x", "other"])),
    st.tuples(st.sampled_from(ONE), _name, st.just("")),
    st.tuples(st.sampled_from(TWO), _name, _name),
    st.tuples(st.sampled_from(["rm", "mkdir", "remake"]), st.sampled_from(FOLDERS), st.just("")),
)
CASES = st.lists(st.lists(_step, max_size=6), min_size=25, max_size=25)

# What a command refuses is part of the case, for both back ends alike.
PLAYER = """
import json, os, shutil, socket, subprocess
def quiet(*command):
    subprocess.run(command, stderr=subprocess.DEVNULL)
def rm(path):
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
for number, steps in enumerate(json.load(open("/tmp/cases.json"))):
    os.chdir(f"/work/case{number}")
    for what, one, two in steps:
        one, two = os.fsencode(one), os.fsencode(two)
        try:
            if what == "write": open(one, "wb").write(two)
            elif what == "rewrite": content = open(one, "rb").read(); open(one, "wb").write(content)
            elif what == "rm": rm(one)
            elif what == "mkdir": os.makedirs(one)
            elif what == "remake": rm(one); os.makedirs(one + b"/in"); open(one + b"/x", "w").close()
            elif what == "touch": open(one, "ab").close(); os.utime(one)
            elif what == "chmod+x": os.chmod(one, 0o755)
            elif what == "chmod-x": os.chmod(one, 0o644) if os.path.isfile(one) else None
            elif what == "chmod000": os.chmod(one, 0)
            elif what == "fifo": os.mkfifo(one)
            elif what == "socket": socket.socket(socket.AF_UNIX).bind(one)
            elif what == "mv": quiet("mv", "-T", "--", one, two)
            elif what == "cp": quiet("cp", "-aT", "--", one, two)
            elif what == "ln": os.symlink(one, two)
            elif what == "hard": os.link(one, two)
        except (OSError, ValueError):
            pass
"""


def play(
    engine: Engine, image: str, folder: Path, uid: int, gid: int, cases: Cases, kinds: tuple[Backend, ...] = BACKENDS
) -> None:
    """Play the cases on the back ends in `folder`: one tree id, and the tree is what stands in the copy."""
    where = make(folder / "repository", {"README": "r"})
    for number in range(len(cases)):
        for name, content in BEGIN.items():
            path = where / f"case{number}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("->"):
                path.symlink_to(content[2:])
            else:
                path.write_text(content)
        (where / f"case{number}" / "run").chmod(0o755)
    git(where, "add", "-A", "-f")
    git(where, "commit", "-q", "-m", "cases")
    repository = opened(where)
    begin = tree_of(repository, git(where, "rev-parse", "HEAD"))
    base = base_directory(repository, begin, folder / "cache", uid, gid)
    found: dict[Backend, str] = {}
    for kind in kinds:
        workspace = open_workspace(
            engine,
            kind,
            home=folder / kind,
            base=base,
            extras=None,
            gitdir=None,
            name=f"relay-test-{folder.parent.name}-{folder.name}-{kind}",
            uid=uid,
            gid=gid,
        )
        try:
            _perform(engine, SandboxSpec(image, f"{uid}:{gid}", (workspace.mount,), {"relay.kind": "turn"}), cases)
            taken = harvest(repository, begin, workspace.changes())
            assert taken.exceeded is None
            found[kind] = taken.tree
            if kind == "copy":
                truth = _standing(folder / "copy" / "tree", _held(repository, begin))
        finally:
            workspace.remove()
    trees = {kind: _held(repository, tree) for kind, tree in found.items()}
    for number, steps in enumerate(cases):
        part = b"case%d/" % number
        for kind in kinds:
            assert _below(trees[kind], part) == _below(truth, part), (kind, steps)
    assert len(set(found.values())) == 1


def _perform(engine: Engine, spec: SandboxSpec, cases: Cases) -> None:
    with engine.start(spec) as sandbox:
        sandbox.write("/tmp/cases.json", json.dumps(cases).encode())
        sandbox.write("/tmp/player.py", PLAYER.encode())
        done = sandbox.exec("python3 /tmp/player.py", timeout=120)
    assert done.status == 0, done.output.decode(errors="replace")


def _below(tree: Tree, part: bytes) -> Tree:
    return {path: leaf for path, leaf in tree.items() if path.startswith(part)}


def _held(repository: Repository, tree: str) -> Tree:
    entries = ls_tree(repository, tree).items()
    return {path: (entry.mode, read_blob(repository, entry.id)) for path, entry in entries}


def _standing(top: Path, base: Tree) -> Tree:
    """What a tree would hold of a directory. A FIFO or a socket is nothing; a file of the base stays there."""
    tree: Tree = {}
    stack = [os.fsencode(top)]
    while stack:
        folder = stack.pop()
        os.chmod(folder, 0o700)  # noqa: PTH101
        for name in os.listdir(folder):  # noqa: PTH208 (bytes)
            host = folder + b"/" + name
            path = host[len(os.fsencode(top)) + 1 :]
            mode = os.lstat(host).st_mode
            if name.lower() == b".git":
                continue
            if stat.S_ISDIR(mode):
                stack.append(host)
            elif stat.S_ISLNK(mode):
                tree[path] = (SYMLINK, os.readlink(host))  # noqa: PTH115
            elif stat.S_ISREG(mode):
                os.chmod(host, mode | 0o400)  # noqa: PTH101
                tree[path] = (EXECUTABLE if mode & 0o100 else 0o100644, Path(os.fsdecode(host)).read_bytes())
            elif path in base:
                tree[path] = base[path]
    return tree
