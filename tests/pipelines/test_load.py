"""The strict loader, through its front door."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.load import Loaded, load, thaw
from pipelines.problems import PipelineError

Load = Callable[[str], Loaded]
Complain = Callable[[str], list[str]]

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


def test_ten_mistakes_get_ten_lines_by_position(complaints: Complain) -> None:
    """Every problem at once, each with its place, what it is and what to do."""
    lines = complaints(TEN_MISTAKES)
    assert [line.split(": ")[0] for line in lines] == [
        "p.yaml:2:9",
        "p.yaml:4:22",
        "p.yaml:5:49",
        "p.yaml:6:28",
        "p.yaml:8:33",
        "p.yaml:8:37",
        "p.yaml:10:11",
        "p.yaml:12:19",
        "p.yaml:15:1",
        "p.yaml:16:1",
    ]
    assert all(len(line.split(": ")) >= 3 for line in lines)
    assert "did you mean `anthropic/claude-opus-5-5`?" in lines[1]
    assert "did you mean `max-steps`?" in lines[2]
    assert "`repeat` is not in this version" in lines[5]
    assert "did you mean `architect`?" in lines[6]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: 1\n", "", "has no `version`"),
        ("version: 1\n", "version: 2\n", "`version: 2` is not in this version"),
        ("version: 1\n", 'version: "1"\n', "must be a whole number, not text"),
        ("{max-cost: 10.00}", "{max-cost: -1}", "cannot be `-1`"),
        ("{max-cost: 10.00}", "{max-cost: yes}", "must be a number of USD, not text"),
        ("{max-cost: 10.00}", "{max-time: 1:30}", "must be a time with a unit"),
        ("{max-cost: 10.00}", "{max-time: 90}", "a bare number has none"),
        ("{max-cost: 10.00}", "{max-tokens: 20M}", "did you mean `20m`?"),
        ("{max-cost: 10.00}", "{max-time: 8 hours}", "did you mean `8h`?"),
        ("{max-cost: 10.00}", "", "`budget` must be a mapping, not empty"),
        ("  - merge: squash", "  - merge: merge", "`merge: merge` is not in this version"),
        ("  - merge: squash", "  - {merge: squash, checkout: update}", "`checkout: update` is not in this version"),
        ("  - merge: squash", "  - {merge: squash, test: tests}", "two verbs"),
        ("  - merge: squash", "  - squash", "a stage must be a mapping, not text"),
        ("  - merge: squash", "  - {name: land}", "a stage without a verb"),
        ("  - merge: squash", "  - merg: squash", "unknown key `merg`"),
        ("  - merge: squash", "  - {merge: squash, max-rounds: 3}", "does not belong to `merge`"),
        ("  - merge: squash", "  - {name: plan, merge: squash}", "a second stage with the name `plan`"),
        ("  - merge: squash", "  - {name: landed, merge: squash}", "not `landed`"),
        ("gates:\n", "gates:\n  landed: {run: x}\n", "not `landed`"),
        ("version: 1\n", "version: 1\nsetup: x\n", "it belongs under `sandbox`"),
        ("version: 1\n", "version: 1\nmax_parallel: 1\n", "did you mean `max-parallel`?"),
        ("version: 1\n", "version: 1\ntarget: relay/x\n", "relay's own"),
        ("version: 1\n", "version: 1\ntarget: a..b\n", "the name of a branch"),
        ("version: 1\n", "version: 1\ntarget:\n", "has no value"),
        ("version: 1\n", "version: 1\nsandbox: {env: {A: 0}}\n", "put it in quotes"),
        ("version: 1\n", "version: 1\nsandbox: {env: {A-B: x}}\n", "environment variable"),
        ("version: 1\n", "version: 1\nsandbox: {files: [../x]}\n", "inside the repository"),
        ("version: 1\n", "version: 1\nsandbox: {files: [a, a]}\n", "stands twice"),
        ("version: 1\n", "version: 1\nsandbox: {limits: {memory: 1k}}\n", "at least 6m"),
        ("version: 1\n", "version: 1\nsandbox: {network: {allowed: [x]}}\n", "`allowed` in `network` is not in this"),
        ("version: 1\n", "version: 1\nsandbox: {image: {build: x}}\n", "`build` in `image` is not in this version"),
        ("version: 1\n", "version: 1\nsandbox: {image: {devcontainer: true}}\n", "not in this version"),
        ("version: 1\n", "version: 1\nmax-parallel: 2\n", "`max-parallel: 2` is not in this version"),
        ("version: 1\n", "version: 1\nprices: {openai/gpt-6-sol: {input: 1}}\n", "has no `output`"),
        ("version: 1\n", "version: 1\ntasks: [nothing.md]\n", "no such file"),
        ("version: 1\n", "version: 1\ntasks: [tasks/a.txt]\n", "looks like a path"),
        ("{max-cost: 10.00}", "{max-cost: 10.00}\nroles: {}", "the key `roles` stands twice"),
        ("version: 1\n", "version: 1\n<<: {target: main}\n", "merge key"),
        ("version: 1\n", "version: 1\ntarget: !!str main\n", "the tag `!!str`"),
        ("version: 1\n", "version: 1\ntarget: *main\n", "no anchor"),
        ("version: 1\n", "version: 1\n? [a]\n: b\n", "a key that is a list"),
        ("version: 1\n", "version: 1\ntarget: a: b\n", "a second `: ` in a value"),
        ("version: 1\n", 'version: 1\ntarget: "main\n', "no YAML"),
        ("version: 1\n", "version: 1\nsandbox:\n\timage: debian\n", "a tab in the indentation"),
        ("version: 1\n", "version: 1\ntarget: ma\x07in\n", r"the character `\x07`"),
        ("version: 1\n", "%YAML 1.1\n---\nversion: 1\n", "directive"),
        ("{max-cost: 10.00}", "{max-cost: 10.00}\n---\nversion: 1", "a second document"),
        ("{model: google/gemini-3.5-flash}", "{}", "has no `model`"),
        ("{model: google/gemini-3.5-flash}", "{model: openai-compatible/qwen3}", "needs the address of its server"),
        ("{model: google/gemini-3.5-flash}", "{model: google/x, base-url: 'http://me:pw@h/'}", "an http or https"),
        ("{model: google/gemini-3.5-flash}", "{model: google/x, prompt: .}", "it is a directory"),
        ("{run: python -m pytest -q}", "{run: x, results: exit-code, min-tests: 3}", "has no effect"),
        ("{run: python -m pytest -q}", '{run: ""}', "a shell command"),
        ("{run: python -m pytest -q}", "{run: true}", "must be text, not a boolean"),
        ("  - plan: architect\n  - implement: implementer\n", "  - plan: architect\n", "no `implement` stage"),
        ("  - test: tests\n", "", "nothing lands untested"),
        ("  - test: tests\n  - review: architect", "  - review: architect\n  - test: tests", "only what passed its"),
        ("  - review: architect\n", "", "nothing lands unreviewed"),
        ("  - test: tests\n  - review: architect\n", "", "nothing lands untested"),
        ("  - merge: squash", "  - merge: squash\n  - test: tests", "`merge` must be the last stage"),
        ("  - merge: squash", "  - implement: implementer\n  - merge: squash", "nothing lands untested"),
        ("  - merge: squash", "  - plan: architect\n  - merge: squash", "`plan` must be the first stage"),
    ],
)
def test_one_mistake_gets_one_line(small: str, complaints: Complain, old: str, new: str, words: str) -> None:
    """Each mistake is told once, where it stands."""
    assert old in small
    lines = complaints(small.replace(old, new, 1))
    assert len(lines) == 1, lines
    assert words in lines[0]


LATER = [
    *(
        f"sandbox: {{{key}}}"
        for key in ("lock: {run: x}", "secrets: [A]", "caches: [x]", "services: {}", "runtime: runc")
    ),
    "sandbox: {limits: {disk: 4g}}",
    *(f"gates: {{more: {{run: x, {key}}}}}" for key in ("repeat: 1", "effort: quick", "quarantine: []")),
    "budget: {per-task: {max-cost: 2.00}}",
    'stop-after: "07:00"',
    "on-rate-limit: {do: wait}",
    "notify: {urls: []}",
]


@pytest.mark.parametrize("key", LATER)
def test_what_is_not_built_is_refused_as_such(small: str, complaints: Complain, key: str) -> None:
    """An accepted setting has its effect, or is refused."""
    top = key.split(":")[0]
    lines = small.replace("gates:\n  tests: {run: python -m pytest -q}\n", "") if top == "gates" else small
    lines = lines.replace("budget: {max-cost: 10.00}\n", "") if top == "budget" else lines
    told = [line for line in complaints(f"{lines}{key}\n") if "not in this version" in line]
    assert len(told) == 1


def test_words_that_other_loaders_take_for_something_else_are_text(small: str, load_text: Load) -> None:
    """`on`, `yes`, sexagesimals, octals and dates are what they look like."""
    text = "sandbox: {env: {A: on, B: yes, C: 12:30:00, D: 0o17, E: 017, F: 2026-01-01, G: 1_000, H: 0x1f, on: Off}}\n"
    env = load_text(small + text).pipeline.sandbox.env
    assert list(env.values()) == ["on", "yes", "12:30:00", "0o17", "017", "2026-01-01", "1_000", "0x1f", "Off"]
    assert "on" in env


def test_a_billion_laughs_are_refused_quickly(complaints: Complain) -> None:
    """Aliases that grow are counted, never expanded."""
    text = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    begun = time.process_time()
    lines = complaints(text)
    assert time.process_time() - begun < 2
    assert len(lines) == 1 and "aliases that stand for more than" in lines[0]


def test_an_alias_may_stand_for_a_value(small: str, load_text: Load) -> None:
    """Honest aliases work."""
    text = small.replace("- plan: architect", "- plan: &who architect").replace("- review: architect", "- review: *who")
    assert load_text(text).pipeline.stages[3].objects == ("architect",)


@pytest.mark.parametrize("deep", ["[" * 100_000, "{a: " * 50_000, "- " * 50_000, "&a [" * 1000])
def test_deep_nesting_is_refused_quickly(deep: str, complaints: Complain) -> None:
    """No recursion error, no waiting."""
    begun = time.process_time()
    assert complaints(deep)
    assert time.process_time() - begun < 5


def test_bytes_that_are_no_utf8_are_told_with_their_place(tmp_path: Path) -> None:
    """The line and column of the first bad byte."""
    (tmp_path / "p.yaml").write_bytes(b"version: 1\ntarget: gr\xfcn\n")
    with pytest.raises(PipelineError, match=r"p\.yaml:2:11: the file is not UTF-8"):
        load(tmp_path / "p.yaml")


SMALL_FILES = {
    "a program": b"\x7fELF\x02\x01\x01\0\0" + bytes(range(256)) * 20,
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "UTF-16": "version: 1\n".encode("utf-16"),
    "a NUL": b"version: 1\ntarget: ma\0in\n",
    "ten megabytes": b"version: 1\n" + b"# \n" * (10 << 20),
    "an object of Python": b"version: !!python/object/apply:os.system ['touch relay-was-here']\n",
    "a name of Python": b"!!python/name:os.system\n",
    "a set": b"version: 1\ntasks: !!set {a, b}\n",
    "an alias of itself": b"version: 1\ntasks: &a [*a]\n",
    "a key that stands twice, once in quotes": b"version: 1\n'version': 1\n",
    "a document that is begun and empty": b"version: 1\n---\n",
    "an octal number": b"version: 0o1\n",
    "a mark in the middle": "version: 1\n\ufefftarget: main\n".encode(),
    "nothing": b"",
    "a comment": b"# soon\n",
    "a list": b"- version: 1\n",
    "a quote that is not closed": b'version: 1\ntarget: "main\nroles: {}\n',
}


@pytest.mark.parametrize("what", SMALL_FILES)
def test_any_file_gets_a_sentence_with_its_place(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is handed over: told, quickly, and nothing of it is carried out."""
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_bytes(SMALL_FILES[what])
    with pytest.raises(PipelineError) as caught:
        load("p.yaml")
    assert all(problem.line >= 1 and problem.what and problem.hint for problem in caught.value.problems)
    assert all(str(problem).isprintable() for problem in caught.value.problems)
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


def test_a_quote_that_is_not_closed_is_told_where_it_begins(complaints: Complain) -> None:
    """Not where the file ends."""
    (line,) = complaints('version: 1\ntarget: "main\nroles: {}\n')
    assert line.startswith("p.yaml:2:9: ") and "a quote that is not closed" in line


def test_a_mark_at_the_start_of_the_file_and_windows_lines_do_no_harm(small: str, tmp_path: Path) -> None:
    """What editors of other systems write."""
    (tmp_path / "p.yaml").write_bytes(b"\xef\xbb\xbf" + small.replace("\n", "\r\n").encode())
    assert load(tmp_path / "p.yaml").pipeline.stages


@pytest.mark.parametrize("what", ["missing", "folder", "pipe", "huge"])
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, what: str) -> None:
    """Never a traceback, and never a read that does not end."""
    path = tmp_path / "p.yaml"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "huge":
        path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(PipelineError) as caught:
        load(path)
    assert len(caught.value.problems) == 1
    assert caught.value.exit_code == 2


def test_messages_do_not_repeat_what_may_be_a_secret(small: str, complaints: Complain) -> None:
    """A key pasted where its name belongs is not printed again."""
    text = small.replace("{model: google/gemini-3.5-flash}", "{model: google/x, api-key-env: sk-12345-secret}")
    (line,) = complaints(text)
    assert "secret" not in line


def test_messages_cannot_steer_a_terminal(complaints: Complain) -> None:
    """Control characters come out as escapes."""
    assert all(line.isprintable() for line in complaints('version: 1\n"\\e[31mred\\n": 1\n'))


_YAML = st.text(alphabet=st.sampled_from("ab:- []{}&*!|>'\"#%@,?\n\t\\0159\u2028é😀\x00\x85\ufeff"), max_size=60)


@given(_YAML | st.text(max_size=40))
def test_no_text_raises_anything_but_pipeline_errors(text: str) -> None:
    """Whatever stands in the file, it is told or taken; each problem has a place and something to do."""
    for name in ("p.yaml", "a b/ü.yaml"):
        try:
            thaw(name, text, {})
        except PipelineError as error:
            assert error.problems
            assert all(problem.line >= 1 and problem.column >= 1 and problem.hint for problem in error.problems)


WORDS = st.sampled_from(
    """version 1 roles architect model anthropic/x stages plan test gates run on 4g tasks x.md budget max-cost merge
    squash env true ~ sandbox prices limits""".split()  # noqa: SIM905 (a list would be one word a line)
)
TREES = st.recursive(
    WORDS | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=25,
)


@given(TREES)
def test_no_tree_of_known_words_raises_anything_but_pipeline_errors(tree: object) -> None:
    """JSON is YAML: any shape of known keys is told or taken."""
    import json

    try:
        thaw("p.yaml", json.dumps(tree), {})
    except PipelineError as error:
        assert error.problems
