"""What a run takes from the user's side: the files that the host obeys, and untracked files for its tests."""

from pathlib import Path

import pytest

from pipelines.load import load
from runner.git.command import GitError
from runner.stages.start import host_names, untracked
from tests.runner.git.support import git, make, opened, write

PIPELINE = """\
version: 1
roles: {player: {model: scripted/replies.yaml, prompt: prompts/own.md, context: [AGENTS.md]}}
gates: {tests: {run: python -m pytest -q}}
stages: [{implement: player}, {test: tests}, {review: player}, {merge: squash}]
"""
FILES = {"..p.yaml": PIPELINE, "replies.yaml": "replies: [{role: player, step: 1}]\n", "docs/own.md": "Be brief.\n"}
NAMED = {"AGENTS.md", "..p.yaml", "replies.yaml", "docs/own.md", "prompts"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository whose `prompts` is a link to another folder of it."""
    made = make(tmp_path / "repo", {"a": "1"})
    write(made, FILES)
    (made / "prompts").symlink_to("docs")
    return made


@pytest.mark.parametrize("way", ["repo", "link", "repo/../link", "inside"])
def test_the_pipeline_and_what_it_names_are_the_host_s_whatever_way_they_are_reached(
    way: str, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a link to the repository, from within it; a link on the way belongs to them."""
    (tmp_path / "link").symlink_to("repo")
    folder = Path() if way == "inside" else tmp_path / way
    monkeypatch.chdir(repo if way == "inside" else tmp_path)
    file = folder / "..p.yaml"
    assert set(host_names(opened(folder), file, load(file).pipeline)) == NAMED


def test_untracked_files_come_from_the_work_tree_only(repo: Path, tmp_path: Path) -> None:
    """What lands could be a link to the user's keys, and a bare repository has no work tree."""
    write(tmp_path, {"id_rsa": "private", "repo/.env.test": "A=1"})
    (repo / "conf").symlink_to("..")
    assert untracked(opened(repo), [".env.test", "prompts/own.md"]) == {
        ".env.test": b"A=1",
        "prompts/own.md": b"Be brief.\n",
    }
    for name, words in (
        ("conf/id_rsa", "leads out of the repository"),
        ("nothing", "No such file"),
        ("docs", "directory"),
    ):
        with pytest.raises(GitError, match=words):
            untracked(opened(repo), [name])
    git(tmp_path, "clone", "-q", "--bare", repo, "bare.git")
    with pytest.raises(GitError, match="a bare repository has no untracked files"):
        untracked(opened(tmp_path / "bare.git"), [".env.test"])
