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
