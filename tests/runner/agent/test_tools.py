"""The tools' names and schemas, which other people's harnesses rely on, and the check of arguments."""

from typing import Any

import pytest

from runner.agent.arguments import checked
from runner.agent.tools import ENDING, ROLE_TOOLS, TOOLS, tools_named

UNDERSTOOD = {"type", "description", "properties", "required", "additionalProperties"}
UNDERSTOOD |= {"items", "enum", "minLength", "minItems", "minimum"}


def test_the_tools_and_their_arguments_are_the_contract() -> None:
    """Names in snake_case, `?` for what may be left out."""
    said = {
        name: ", ".join(
            argument + ("" if argument in tool.schema["required"] else "?") for argument in tool.schema["properties"]
        )
        for name, tool in TOOLS.items()
    }
    assert said == {
        "bash": "command, timeout_s?",
        "read": "path, start?, end?",
        "edit": "path, old, new",
        "write": "path, content",
        "done": "summary",
        "spec": "title, body, changes",
        "review": "decision, summary, comments?, acknowledge?",
        "permit": "paths, reason",
    }
    change = TOOLS["spec"].schema["properties"]["changes"]["items"]["properties"]
    assert list(change) == ["title", "body", "may_change", "needs"]
    comment = TOOLS["review"].schema["properties"]["comments"]["items"]["properties"]
    assert list(comment) == ["path", "line", "body", "severity"]


def test_each_role_has_its_tools_and_only_the_implementer_can_write() -> None:
    """Planner and reviewers look and run; they end with their own tool."""
    assert ROLE_TOOLS["plan"] == ("bash", "read", "spec")
    assert ROLE_TOOLS["implement"] == ("bash", "read", "edit", "write", "done")
    assert ROLE_TOOLS["review"] == ("bash", "read", "review")
    assert ROLE_TOOLS["permit"] == ("bash", "read", "permit")
    for kind, names in ROLE_TOOLS.items():
        assert ENDING[kind] == (tools_named(names)[-1].name,)


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_a_schema_says_nothing_that_is_not_checked(name: str) -> None:
    """What a schema promises, the checker holds."""

    def look(schema: dict[str, Any]) -> None:
        assert set(schema) <= UNDERSTOOD
        for inner in schema.get("properties", {}).values():
            look(inner)
        if "items" in schema:
            look(schema["items"])
        if schema["type"] == "object":
            assert schema["additionalProperties"] is False

    look(dict(TOOLS[name].schema))


SPEC: dict[str, Any] = {"title": "t", "body": "b", "changes": [{"title": "t", "body": "b"}]}


@pytest.mark.parametrize(
    ("tool", "args", "problems"),
    [
        ("bash", {"command": "ls", "timeout_s": 3.0}, []),
        ("bash", {"command": "ls", "timeout_s": None}, []),
        ("bash", {"command": "ls", "timeout_s": 2.5}, ["timeout_s must be an integer, not a number"]),
        ("bash", {"command": "ls", "timeout_s": True}, ["timeout_s must be an integer, not a boolean"]),
        ("bash", {"command": None}, ["command must be a string, not null"]),
        ("bash", {"command": "  "}, ["command must not be empty"]),
        ("bash", {}, ["command is missing"]),
        ("read", {"path": "a", "line_start": 1}, ["line_start is no argument; did you mean start?"]),
        ("read", {"path": "a", "zzz": 1}, ["zzz is no argument; known: path, start, end"]),
        ("edit", {"path": "a", "old": "", "new": ""}, []),
        ("spec", SPEC, []),
        ("spec", SPEC | {"changes": []}, ["changes must not be empty"]),
        ("spec", SPEC | {"changes": {}}, ["changes must be a list, not an object"]),
        ("spec", SPEC | {"changes": [{"title": "t"}]}, ["changes[0].body is missing"]),
        ("spec", SPEC | {"changes": ["x"]}, ["changes[0] must be an object, not a string"]),
        (
            "spec",
            SPEC | {"changes": [{"title": "t", "body": "b", "acceptance": []}]},
            ["changes[0].acceptance is no argument; known: title, body, may_change, needs"],
        ),
        (
            "spec",
            SPEC | {"changes": [{"title": "t", "body": "b", "needs": [1]}]},
            ["changes[0].needs[0] must be a string, not a number"],
        ),
        (
            "review",
            {"decision": "maybe", "summary": "s"},
            ["decision must be one of approve, request_changes, not 'maybe'"],
        ),
        (
            "review",
            {"decision": "approve", "summary": "s", "comments": [{"path": "a", "body": "b", "line": 0}]},
            ["comments[0].line must be at least 1"],
        ),
    ],
)
def test_arguments_are_checked_and_what_is_wrong_is_named(tool: str, args: dict[str, Any], problems: list[str]) -> None:
    """Each problem says where it is and what would be right."""
    assert checked(args, TOOLS[tool].schema)[1] == problems


def test_what_vendors_send_instead_is_understood() -> None:
    """A whole float is an integer, and null for what may be left out is nothing."""
    args = {"path": "a", "start": 2.0, "end": None}
    assert checked(args, TOOLS["read"].schema)[0] == {"path": "a", "start": 2}
