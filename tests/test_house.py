"""The house rules that a machine can hold: who may import whom, and one door for each outside library."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("pipelines", "sandbox", "runner")

# What a room may import of ours. The longest prefix that fits a module decides; a room may always import itself.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "pipelines": (),
    "sandbox": (),
    "runner.git": (),
    "runner.models": (),
    "runner.redact": (),
    "runner.codec": (),
    "runner.disk": (),
    "runner.agent": (
        "sandbox",
        "runner.models",
        "pipelines.pipeline",
        "runner.codec",
        "runner.disk",
        "runner.redact",
        "runner.limits",
        "runner.outcomes",
    ),
    "runner.gate": ("pipelines.pipeline", "runner.codec"),
    "runner.limits": (),
    "runner.queue": (),
    "runner.flow": ("runner.limits", "runner.outcomes", "pipelines.pipeline"),
}

# The one module (or folder) that may import an outside library.
DOORS: dict[str, str | tuple[str, ...]] = {
    "yaml": "pipelines/load.py",
    "docker": "sandbox/docker/",
    "dbos": "runner/engine.py",
    "sqlalchemy": "runner/engine.py",
    "anthropic": "runner/models/anthropic.py",
    "openai": "runner/models/openai",
    "google": "runner/models/google.py",
    "genai_prices": "runner/models/prices.py",
    "httpx2": "runner/models/wire.py",
    "msgspec": "runner/codec.py",
    "junitparser": "runner/gate/results.py",
    "pathspec": ("runner/git/", "runner/gate/protect.py"),
    "jinja2": "runner/report/html.py",
    "rich": "runner/report/live.py",
    "structlog": "runner/report/log.py",
    "click": "runner/cli/",
}

# Where effects have no place.
PURE = ("runner/flow.py", "runner/queue.py", "runner/limits.py", "runner/gate/verdict.py")
EFFECTS = {"os", "io", "subprocess", "socket", "pathlib", "shutil", "threading", "time", "tempfile", "requests"}


def _modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def test_a_room_imports_only_the_rooms_that_the_design_lets_it() -> None:
    """The import rule: folders form layers, so that each can be read without the ones above it."""
    broken = []
    for path in _modules():
        name = _name(path)
        rooms = [room for room in MAY_IMPORT if _within(name, (room,))]
        if not rooms:
            continue
        room = max(rooms, key=len)
        ours = {found for found in _imports(path) if _within(found, ROOMS) and found not in ROOMS}
        allowed = (*MAY_IMPORT[room], room)
        broken += [f"{name} imports {found}" for found in sorted(ours) if not _within(found, allowed)]
    assert broken == []


def test_nobody_imports_the_command_line() -> None:
    """`runner.cli` is the outermost room."""
    outside = [path for path in _modules() if not _within(_name(path), ("runner.cli",))]
    assert [_name(path) for path in outside if any(_within(i, ("runner.cli",)) for i in _imports(path))] == []


def test_each_outside_library_has_one_door() -> None:
    """A library is imported in one place, so it can be replaced in one place."""
    broken = []
    for path in _modules():
        where = path.relative_to(ROOT).as_posix()
        for found in _imports(path):
            door = DOORS.get(found.split(".")[0])
            if door and not where.startswith(door):
                broken.append(f"{where} imports {found}; its door is {door}")
    assert broken == []


def test_the_pure_modules_do_no_input_or_output() -> None:
    """Control flow, limits and verdicts can be tested without a file, a clock or an engine."""
    broken = [
        f"{pure} imports {found}"
        for pure in PURE
        if (ROOT / pure).exists()
        for found in _imports(ROOT / pure)
        if found.split(".")[0] in EFFECTS
    ]
    assert broken == []


def test_no_test_folder_is_a_package() -> None:
    """A `tests/runner/__init__.py` would hide the real `runner`."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_modules_stay_small() -> None:
    """A module over 400 lines, or a function over 50, asks for another structure."""
    long = []
    for path in _modules():
        text = path.read_text()
        if len(text.splitlines()) > 400:
            long.append(f"{_name(path)}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 50:
                long.append(f"{_name(path)}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines")
    assert long == []
