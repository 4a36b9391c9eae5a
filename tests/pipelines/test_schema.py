"""schema.json is current, and says what the loader says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.check import check
from pipelines.find import shipped
from pipelines.findings import Findings
from pipelines.keys import PIPELINE
from pipelines.kinds import (
    Amount,
    Choice,
    Either,
    Kind,
    ListOf,
    MapOf,
    Number,
    Only,
    Record,
    StageKind,
    Text,
    Whole,
)
from pipelines.load import read_yaml
from pipelines.schema import SHIPPED, pipeline_schema, schema_text
from tests.pipelines.minischema import valid

SCHEMA = pipeline_schema()
EXAMPLES = ["main", "tests/**", "AGENTS.md", "X_1", "debian", "pytest -q", "anthropic/a", "http://h/v1", "t.md"]
TEXTS = ["", " ", "landed", "../x", "/x", "!x", "relay/x", "A B", "a\n", "4g", "90s", "20m", "1.5", "x" * 300]
ODD = st.sampled_from([*TEXTS, True, None, -1, 0, 1, 2, 1.5, 10**9, [], {}, ["a", "a"], {"a": 1}])


def test_the_shipped_schema_is_current() -> None:
    """After a change of the table: write `schema_text()` to schema.json."""
    assert SHIPPED.read_text() == schema_text()


@pytest.mark.parametrize("path", [*shipped().values(), Path("demo/pipeline.yaml")], ids=lambda path: path.stem)
def test_every_shipped_file_is_valid(path: Path) -> None:
    """By the schema, as by the loader."""
    assert valid(yaml.safe_load((Path(__file__).parents[2] / path).read_text()), SCHEMA)


def _found(document: Any) -> list[str]:
    """What the checks of form say of a document."""
    found = Findings("p.yaml")
    node = read_yaml(json.dumps(document), found)
    if node is not None:
        check(node, PIPELINE, found)
    return [str(problem) for problem in found.problems]


def _good(kind: Kind) -> st.SearchStrategy[Any]:
    """Values of a kind, most of them good."""
    match kind:
        case Record(keys=keys):
            built = {key.name: _good(key.kind) for key in keys if key.kind is not None}
            needed = {key.name: built[key.name] for key in keys if key.required}
            return st.fixed_dictionaries(needed, optional={k: v for k, v in built.items() if k not in needed})
        case StageKind(common=common, verbs=verbs):
            return st.one_of(
                *(_good(Record((verb._replace(required=True), *common, *more), "")) for verb, more in verbs)
            )
        case MapOf(key=rule, value=value):
            return st.dictionaries(st.sampled_from([rule.example, "tests"]), _good(value), min_size=1, max_size=2)
        case ListOf(item=item):
            return st.lists(_good(item), min_size=1, max_size=2)
        case Either(scalar=scalar):
            return _good(scalar)
        case _:
            return _good_scalar(kind)


def _good_scalar(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Text(rule=rule):
            return st.sampled_from([rule.example.strip('"'), *EXAMPLES])
        case Amount(example=example):
            return st.just(example)
        case Whole(least=least):
            return st.integers(least, least + 20)
        case Number():
            return st.sampled_from([1, 2.5])
        case Only(value=value):
            return st.just(value)
        case Choice(values=values):
            return st.sampled_from(values)
        case _:
            return st.booleans()


def _spoil(document: Any, path: list[int], odd: Any) -> Any:
    """The document with one value at a place of it replaced."""
    if not path or not isinstance(document, dict | list) or not document:
        return odd
    if isinstance(document, list):
        place = path[0] % len(document)
        return [_spoil(each, path[1:], odd) if n == place else each for n, each in enumerate(document)]
    chosen = list(document)[path[0] % len(document)]
    return {key: _spoil(each, path[1:], odd) if key == chosen else each for key, each in document.items()}


DOCUMENTS = _good(PIPELINE)


@given(DOCUMENTS)
def test_schema_and_loader_agree_on_good_documents(document: Any) -> None:
    """What the schema takes, the checks of form take, and the other way round."""
    assert valid(document, SCHEMA) == (_found(document) == []), _found(document)


@given(DOCUMENTS, st.lists(st.integers(0, 20), min_size=1, max_size=5), ODD)
def test_schema_and_loader_agree_on_spoiled_documents(document: Any, path: list[int], odd: Any) -> None:
    """One odd value somewhere. Sizes and times that are too small are the loader's alone: a pattern cannot compare."""
    spoiled = _spoil(document, path, odd)
    told = _found(spoiled)
    assume(not any("too small" in line for line in told))
    assert valid(spoiled, SCHEMA) == (told == []), told
