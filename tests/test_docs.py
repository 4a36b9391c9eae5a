"""The docs say what the program does: every command and option, every library, every link."""

import importlib.machinery
import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import click

from runner.cli.main import EXPECTED, root

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _script(name: str) -> ModuleType:
    """A script without an ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(f"script_{name}", str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _commands(command: click.Command, context: click.Context) -> list[tuple[str, click.Command]]:
    found = [(context.command_path, command)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += _commands(inner, click.Context(inner, parent=context, info_name=name))
    return found


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    """Out of date? Run: make docs."""
    assert (ROOT / "docs" / "commands.md").read_text() == _script("docs").text()


def test_every_command_and_each_of_its_options_is_documented() -> None:
    """Also a hidden option would be missed here."""
    page = (ROOT / "docs" / "commands.md").read_text()
    for path, command in _commands(root, click.Context(root, info_name="relay")):
        assert f"## {path}\n" in page
        section = page.split(f"## {path}\n")[1].split("\n## ")[0]
        for option in command.params:
            names = option.opts if isinstance(option, click.Option) else [option.make_metavar(click.Context(command))]
            assert any(name.strip("[]").removesuffix("...") in section for name in names), f"{path} {names}"


def test_every_exit_code_of_the_boundary_is_in_the_docs() -> None:
    """A user who scripts relay reads them there."""
    text = (ROOT / "docs" / "commands.md").read_text().split("## relay")[0]
    assert all(re.search(rf"(^|\W){code} \w", text) for code in {*EXPECTED.values(), 0, 1, 2, 3, 6, 130, 141})


def test_every_library_has_its_reason() -> None:
    """A dependency without a reason in docs/dependencies.md does not come in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[<>=\[]", need)[0].strip().lower() for need in needed]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_dependency_is_locked_for_development() -> None:
    """constraints.txt has a version for each that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[<>=\[]", need)[0].strip().lower().replace("_", "-") for need in needed]
    assert [name for name in names if name not in locked] == []


def test_every_link_between_our_pages_leads_somewhere() -> None:
    """A page that is renamed takes its links with it."""
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    """A page that the README does not lead to is not found."""
    index = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"](docs/{page.name})" not in index] == []


def test_every_command_that_a_page_names_exists() -> None:
    """With its options; `relay` of an earlier version, or of a dream, is in no page."""
    known = {path.removeprefix("relay").split()[0] for path, _ in _every() if path != "relay"}
    options = {option for _, command in _every() for param in command.params for option in param.opts} | {
        "-h",
        "--help",
    }
    wrong = []
    for page in PAGES:
        code = re.findall(r"```(?!yaml)[a-z]*\n(.*?)```", page.read_text(), re.DOTALL)
        spans = re.findall(r"`(relay [a-z-][^`]*)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
        lines = [line for block in code for line in re.findall(r"(?:^|\$ |&& )(relay [a-z].*)", block, re.MULTILINE)]
        for line in [*lines, *spans]:
            words = re.sub(r"'[^']*'|\"[^\"]*\"", "X", line.split("  ")[0].split(" #")[0]).split()
            asked = {word.partition("=")[0] for word in words if word.startswith("-")}
            if words[1] not in known and not words[1].startswith("-"):
                wrong.append(f"{page.name}: {line}")
            wrong += [f"{page.name}: {line}: {option}" for option in asked - options - {"--version"}]
    assert wrong == []


def test_every_target_of_make_that_a_page_names_exists() -> None:
    """`make demo` and the like; `make -f relay.mk ...` is written by relay init."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, word) for page in PAGES for word in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.M)
    }
    assert {each for each in named if each[1] not in targets} == set()


def test_every_file_that_a_page_names_exists() -> None:
    """The pages for contributors point into the source."""
    pattern = r"`((?:runner|sandbox|pipelines|tests|benchmarks|demo|scripts)/[\w./*-]*)`"
    named = {(page.name, path) for page in PAGES for path in re.findall(pattern, page.read_text())}
    assert len(named) > 30
    assert {(page, path) for page, path in named if not list(ROOT.glob(path.rstrip("/")))} == set()


def _every() -> list[tuple[str, click.Command]]:
    return _commands(root, click.Context(root, info_name="relay"))
