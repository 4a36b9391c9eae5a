"""Protected files by ecosystem, grants, host paths, and the recipe of K."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from runner.gate.protect import (
    Protection,
    changed_paths,
    ecosystems,
    exactly,
    grant_problem,
    granted,
    host_paths,
    k_changes,
    matching,
    model_grant_problem,
    names_host_path,
    path_text,
    protected_changes,
    protection,
    setup_inputs,
    to_acknowledge,
)

PYTHON = {b"src/app/core.py": 1, b"tests/test_core.py": 2, b"tests/data/in.json": 3, b"pyproject.toml": 4}
JAVASCRIPT = {b"package.json": 1, b"src/sum.ts": 2, b"src/sum.test.ts": 3, b"jest.config.ts": 4}
GO = {b"go.mod": 1, b"calc/calc.go": 2, b"calc/calc_test.go": 3, b"calc/testdata/in.txt": 4}


def shipped(tree: dict[bytes, int], run: str = "make test") -> Protection:
    """The defaults for a tree."""
    return protection(tree, run=run, patterns=None)


def touched(tree: dict[bytes, int], *paths: bytes, run: str = "make test") -> set[bytes]:
    """Which of `paths`, changed or new in C, count as protected."""
    return set(protected_changes(tree, {**tree, **dict.fromkeys(paths, 99)}, shipped(tree, run)))


def test_ecosystems_come_from_the_file_list() -> None:
    """And a tree that says nothing gets all of them."""
    assert ecosystems(PYTHON) == ("python",)
    assert ecosystems(JAVASCRIPT) == ("javascript",)
    assert ecosystems(GO) == ("go",)
    assert ecosystems([b"README.md"]) == ("python", "javascript", "go")


@pytest.mark.parametrize(
    "path",
    [
        b"tests/test_core.py", b"tests/data/in.json", b"tests/new/deep/x.txt", b"pkg/test_x.py", b"pkg/x_test.py",
        b"conftest.py", b"src/app/conftest.py", b"pytest.ini", b".pytest.ini", b"tox.ini", b"setup.cfg",
        b"pyproject.toml", b"noxfile.py", b"sitecustomize.py", b"src/usercustomize.py", b"evil.pth",
        b"app.egg-info/entry_points.txt", b"src/app/__pycache__/core.cpython-312.pyc", b"pytest.py", b"pytest/main.py",
        b"_pytest/runner.py", b"json.py", b"unittest/__init__.py", b"src/logging/__init__.py", b"re.so", b"GNUmakefile",
        b"Makefile", b"ci/rules.mk", b"a\nb/conftest.py", b"conftest.py/x", b"tests", b"\xff/test_x.py",
    ],
)  # fmt: skip
def test_python_protects_tests_their_data_and_the_runner(path: bytes) -> None:
    """Tests, what the runner obeys at any level, what could take its place, what the command reads first."""
    assert touched(PYTHON, path) == {path}


@pytest.mark.parametrize(
    "path",
    [b"src/app/core.py", b"src/app/new.py", b"src/app/json.py", b"README.md", b"docs/testing.md", b"src/app/contest.py",
     b"src/app/tasks.py", b"src/app/latests/x.py"],
)  # fmt: skip
def test_ordinary_product_files_are_free(path: bytes) -> None:
    """Also a module deep in a package that is named like one of the library."""
    assert touched(PYTHON, path) == set()


def test_a_root_module_that_the_target_has_is_no_shadow() -> None:
    """A project whose product is `calendar/` may change it."""
    tree = {**PYTHON, b"calendar/__init__.py": 5, b"code.py": 6}
    assert touched(tree, b"calendar/__init__.py", b"calendar/new.py", b"code.py") == set()


@pytest.mark.parametrize(
    "path",
    [b"src/sum.test.ts", b"src/new.spec.jsx", b"src/__tests__/a.js", b"src/__snapshots__/a.snap", b"package.json",
     b"src/__mocks__/fs.js", b"packages/a/package.json", b"jest.config.ts",
     b"vitest.config.mts", b".mocharc.yml", b".npmrc",
     b"node_modules/jest/index.js", b"tsconfig.json", b"babel.config.cjs", b"test/helper.js"],
)  # fmt: skip
def test_javascript_protects_tests_snapshots_and_configuration(path: bytes) -> None:
    """Beside the sources, where they lie in such projects."""
    assert touched(JAVASCRIPT, path) == {path}


@pytest.mark.parametrize(
    "path", [b"calc/calc_test.go", b"calc/testdata/x", b"go.mod", b"go.sum", b"vendor/a/b.go", b"calc/out.golden"]
)
def test_go_protects_tests_data_and_modules(path: bytes) -> None:
    """A vendored assertion library is part of how the tests judge."""
    assert touched(GO, path) == {path}
    assert touched(GO, b"calc/calc.go") == set()


def test_what_the_command_names_is_protected() -> None:
    """A run script is part of the gate's definition; so is the same name after a `cd`."""
    tree = {**PYTHON, b"run.sh": 5, b"ci/check": 6}
    assert touched(tree, b"run.sh", run="sh run.sh") == {b"run.sh"}
    assert touched(tree, b"ci/check", run="cd ci && ./check") == {b"ci/check"}
    assert touched(tree, b"run.sh", run="pytest") == set()


def test_a_folder_that_is_nearly_all_tests_is_protected_with_its_data() -> None:
    """pytest's own tests lie in `testing/`."""
    tree = {**PYTHON, **{f"testing/test_{n}.py".encode(): n for n in range(4)}, b"testing/helper.py": 9}
    assert touched(tree, b"testing/helper.py", b"testing/data.bin") == {b"testing/helper.py", b"testing/data.bin"}
    flat = {**PYTHON, b"pkg/a.py": 1, b"pkg/test_a.py": 2, b"pkg/test_b.py": 3}
    assert touched(flat, b"pkg/a.py") == set()


def test_the_users_own_patterns_replace_the_defaults_but_not_the_inputs() -> None:
    """`protected-files` is the user's word; setup inputs are protected always."""
    inputs = setup_inputs(PYTHON, setup="pip install -e .", given=None)
    own = protection(PYTHON, run="pytest", patterns=["checks/**"], inputs=inputs)
    c = {**PYTHON, b"checks/a": 1, b"tests/test_core.py": 9, b"pyproject.toml": 9, b"requirements.txt": 1}
    assert protected_changes(PYTHON, c, own) == (b"checks/a", b"pyproject.toml", b"requirements.txt")


def test_setup_inputs_are_the_usual_ones_the_named_ones_and_those_given() -> None:
    """No setup, no inputs."""
    tree = {**PYTHON, b"dev/reqs.txt": 5, b"uv.lock": 6, b"sub/uv.lock": 7}
    usual = setup_inputs(tree, setup="pip install -r dev/reqs.txt", given=None)
    assert matching(usual, tree) == {b"dev/reqs.txt", b"uv.lock", b"pyproject.toml"}
    assert matching(setup_inputs(tree, setup="make deps", given=["uv.lock"]), tree) == {b"uv.lock"}
    assert setup_inputs(tree, setup=None, given=None) == ()


# Grants.


def test_a_grant_lifts_what_it_names_and_a_model_never_a_host_path() -> None:
    """The user may; no model can."""
    changed = [b"tests/test_a.py", b"tests/data/x", b"Makefile"]
    assert granted(changed, by_user=[], by_model=["tests/*.py", "Makefile", "**"]) == {
        b"tests/test_a.py",
        b"tests/data/x",
    }
    assert granted(changed, by_user=["Makefile"], by_model=[]) == {b"Makefile"}
    assert granted(changed, by_user=[], by_model=[]) == frozenset()


@pytest.mark.parametrize(
    "pattern", ["tests/**", "tests/test_a.py", "/conftest.py", "*.snap", "a b/é.py", "\\#x", "t[ab].py"]
)
def test_ordinary_permissions_are_accepted(pattern: str) -> None:
    """gitignore syntax."""
    assert grant_problem(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["", "  ", "!tests", "# x", "a\nb", "../x", "a/../b", "x" * 501, "/", "t[a.py", "x\\"]
)
def test_permissions_that_permit_nothing_or_too_cleverly_are_refused(pattern: str) -> None:
    """With a sentence for whoever wrote it."""
    assert grant_problem(pattern)


def test_a_pattern_of_a_model_cannot_keep_relay_busy_for_hours() -> None:
    """A star multiplies the time by the length of a name, and the author of the names may be of the same mind."""
    assert "3 stars" in (model_grant_problem("*a*a*a*a*a*a*a*b") or "")
    for pattern in ("tests/**/test_*_api*", "**/test_*.py", "tests/**"):
        assert model_grant_problem(pattern) is None
    assert model_grant_problem("../x")
    assert granted([b"tests/" + b"a" * 240], by_user=[], by_model=["*a*a*b", "**/*a*b"]) == frozenset()


@pytest.mark.parametrize(
    "pattern",
    ["Makefile", "/makefile", "**/AGENTS.md", ".github/workflows/ci.yml", ".github/**", ".github/", "ci/*.mk"],
)
def test_a_permission_that_names_a_host_path_is_seen(pattern: str) -> None:
    """A tool error for the planner, at once."""
    assert names_host_path(pattern)


def test_a_wide_permission_names_no_host_path() -> None:
    """It is allowed, and lifts none."""
    assert not any(names_host_path(pattern) for pattern in ("**", "docs/**", "tests/**", "*.md", ""))
    assert names_host_path("prompts/a.md", ["prompts/a.md"])


def test_what_the_user_allows_a_planner_may_name() -> None:
    """As the user's pattern, or as a path that it selects."""
    allowed = [".github/**", "Makefile"]
    held = (".github/**", ".github/workflows/ci.yml", "Makefile", "sub/Makefile")
    assert not any(names_host_path(pattern, allowed=allowed) for pattern in held)
    assert all(names_host_path(pattern, allowed=allowed) for pattern in ("AGENTS.md", "**/AGENTS.md", ".husky/x"))


# Host paths.


@pytest.mark.parametrize(
    "path",
    [b"Makefile", b"sub/makefile", b"GNUMakefile", b"a/b.MK", b"agents.md", b"docs/CLAUDE.md", b".github/x/y",
     b".GitHub/x", b".envrc", b".vscode/settings.json", b".husky/pre-commit", b".pre-commit-config.yaml",
     b"x/.gitattributes", b".gitmodules", b".github", "\u200c.envrc".encode(), b"Pipeline.yaml", b"prompts/a.md",
     b"tasks/new.md", b"prompts"],
)  # fmt: skip
def test_host_paths_are_known_at_any_depth_and_in_any_case(path: bytes) -> None:
    """Also what the pipeline names, a new file that its globs would take up, and a link in a folder's place."""
    assert host_paths([path], ["pipeline.yaml", "prompts/a.md", "tasks/*.md"]) == {path}


def test_other_paths_are_no_host_paths() -> None:
    """Ordinary work needs no word of the user."""
    free = [b"src/Makefile.py", b"README.md", b"tasks/x/y.md", b"prompts/b.md", b"src/github/x", b"tests/conftest.py"]
    assert host_paths(free, ["pipeline.yaml", "prompts/a.md", "tasks/*.md"]) == frozenset()


# Acknowledging.


def test_changed_protected_files_and_new_configuration_must_be_acknowledged() -> None:
    """New tests and new data are free."""
    c = {
        **PYTHON,
        b"tests/test_core.py": 9,
        b"tests/test_new.py": 1,
        b"tests/data/new.json": 1,
        b"tests/conftest.py": 1,
    }
    c |= {b"src/app/core.py": 9, b"json.py": 1}
    del c[b"tests/data/in.json"]
    wanted = (b"json.py", b"tests/conftest.py", b"tests/data/in.json", b"tests/test_core.py")
    assert to_acknowledge(PYTHON, c, shipped(PYTHON)) == wanted


def test_new_configuration_is_acknowledged_whatever_the_gate_protects() -> None:
    """A user's own short list does not open the runner's configuration."""
    own = Protection(("checks",))
    assert to_acknowledge(PYTHON, {**PYTHON, b"pytest.ini": 1}, own) == (b"pytest.ini",)


# K.


def apply(tree: dict[bytes, int], changes: dict[bytes, int | None]) -> dict[bytes, int]:
    """The tree after the recipe."""
    merged = {**tree, **changes}
    return {path: entry for path, entry in merged.items() if entry is not None}


def test_k_has_the_protected_paths_of_l_and_their_absence() -> None:
    """Changed, deleted and new ones; the product is C's."""
    c = {**PYTHON, b"tests/test_core.py": 9, b"tests/test_new.py": 1, b"src/app/core.py": 9}
    del c[b"tests/data/in.json"]
    refused = protected_changes(PYTHON, c, shipped(PYTHON))
    assert apply(c, k_changes(PYTHON, c, refused)) == {**PYTHON, b"src/app/core.py": 9}


def test_what_stands_in_the_way_of_a_restored_path_goes() -> None:
    """A link where the tests' folder was, and a folder where a test file was."""
    linked = {b"src/app/core.py": 1, b"pyproject.toml": 4, b"tests": 7}
    changes = k_changes(PYTHON, linked, [b"tests/test_core.py", b"tests/data/in.json"])
    assert apply(linked, changes) == PYTHON
    l_tree = {b"suite.py": 1}
    folder = {b"suite.py/evil": 2, b"suite.py/x/y": 3}
    assert apply(folder, k_changes(l_tree, folder, [b"suite.py"])) == l_tree


NAMES = st.sampled_from([b"tests", b"test_a.py", b"src", b"conftest.py", b"x"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
TREES = st.dictionaries(PATHS, st.integers(0, 2), max_size=8).map(
    lambda tree: {p: e for p, e in tree.items() if not any(other.startswith(p + b"/") for other in tree)}
)


@given(TREES, TREES)
def test_k_is_a_tree_that_agrees_with_l_on_all_that_is_refused(
    l_tree: dict[bytes, int], c_tree: dict[bytes, int]
) -> None:
    """The law of K: L's on protected paths, C's elsewhere, and no path both file and folder."""
    refused = protected_changes(l_tree, c_tree, shipped(l_tree))
    k_tree = apply(c_tree, k_changes(l_tree, c_tree, refused))
    assert all(k_tree.get(path) == l_tree.get(path) for path in refused)
    assert not any(other.startswith(path + b"/") for path in k_tree for other in k_tree)
    assert protected_changes(l_tree, k_tree, shipped(l_tree)) == ()
    for path in changed_paths(c_tree, k_tree):
        in_the_way = any(path.startswith(r + b"/") or r.startswith(path + b"/") for r in refused)
        assert path in refused or in_the_way


@given(st.binary(min_size=1, max_size=12).filter(lambda path: b"\0" not in path), st.binary(min_size=1, max_size=12))
def test_paths_become_text_one_to_one(one: bytes, other: bytes) -> None:
    """Two paths never look like one."""
    assert (path_text(one) == path_text(other)) == (one == other)
    path_text(one).encode()


@given(st.text("ab*?[]!#\\ é\t", min_size=1, max_size=8).filter(lambda name: name.strip() not in ("", ".", "..")))
def test_an_exact_pattern_selects_its_path_alone(name: str) -> None:
    """Whatever characters the name has."""
    path = name.encode()
    assert matching([exactly(path)], [path, b"x" + path, b"d/" + path, path + b"x"]) == {path}


_PARTS = st.lists(
    st.sampled_from(["a", "ab", "b.py", "test_", ".py", "*", "**", "?", "/", "[ab]", "!", "#", " ", "\\\\"])
)
_PATHS = st.lists(st.sampled_from(["a", "ab", "b.py", "test_b.py", "é"]), min_size=1, max_size=3).map("/".join)


@given(st.lists(_PARTS.map("".join), max_size=6), st.lists(_PATHS, max_size=8))
def test_patterns_select_what_a_gitignore_of_the_same_lines_selects(patterns: list[str], paths: list[str]) -> None:
    """What makes it fast on large trees changes no answer: order, negation and folders included."""
    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except ValueError:
        with pytest.raises(ValueError):
            matching(patterns, [path.encode() for path in paths])
        return
    assert matching(patterns, [path.encode() for path in paths]) == {p.encode() for p in paths if spec.match_file(p)}
