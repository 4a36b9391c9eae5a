"""Which file is meant by `relay pipeline run [FILE|NAME]`."""

from __future__ import annotations

from pathlib import Path

from pipelines.findings import nearest
from pipelines.problems import PipelineError, Problem, shown

DEFAULT = "pipeline.yaml"


def shipped() -> dict[str, Path]:
    """The pipelines that come with relay, by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def find_pipeline(name_or_path: str | None, *, folder: Path = Path(), repo: Path | None = None) -> Path:
    """The pipeline file meant, relative names from `folder`; without a name `pipeline.yaml` there, else in `repo`.

    `repo` may be any folder of a repository: its `pipeline.yaml`, else that of the repository's own folder.
    A file of that name wins over a shipped pipeline. Raises `PipelineError` when there is neither.
    """
    wanted = name_or_path or DEFAULT
    path = folder / wanted
    if name_or_path is None and repo is not None and not path.exists():
        for place in (repo, _root(repo)):
            if (place / DEFAULT).exists():
                return place / DEFAULT
    names = shipped()
    if path.is_file() or ("/" in wanted and path.exists()):
        return path
    if wanted in names:
        return names[wanted]
    if path.exists():
        return path  # a folder, a pipe: reading it says what is wrong
    known = ", ".join(names)
    if name_or_path is None:
        hint = f"`relay init` writes one; or name a file, or a shipped pipeline: {known}"
    elif meant := nearest(wanted, list(names)):
        hint = f"did you mean the shipped pipeline `{meant}`?"
    else:
        hint = f"name a file, or a shipped pipeline: {known}"
    raise PipelineError([Problem(str(path), 1, 1, f"no such pipeline, {shown(wanted)}", hint)])


def _root(folder: Path) -> Path:
    """The folder of the repository that holds `folder`, found as git finds it; `folder` itself where there is none."""
    here = folder.resolve()
    return next((place for place in (here, *here.parents) if (place / ".git").exists()), folder)
