"""The tools, as a model sees them: names, descriptions, JSON Schemas of their arguments, and which role has which.

These names and arguments are a contract for other people's harnesses; the tool that ends a turn comes last in a role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from runner.models.base import Tool

RoleKind = Literal["plan", "implement", "review", "permit"]


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _text(description: str, *, filled: bool = False) -> dict[str, Any]:
    return {"type": "string", "description": description} | ({"minLength": 1} if filled else {})


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "minLength": 1}, "description": description}


def _number(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "description": description}


PATH = _text("Relative to /work, or absolute below it.", filled=True)

_CHANGE = _object(
    {
        "title": _text("One line in the imperative, as of a good commit.", filled=True),
        "body": _text(
            "What to build and how one sees that it works: behaviour, files, names, edge cases, tests.", filled=True
        ),
        "may_change": _texts(
            "Existing protected files (tests, runner configuration) that this change has to edit, as gitignore "
            "patterns. Not needed for new test files."
        ),
        "needs": _texts(
            "Titles (or numbers, from 1) of earlier changes of this spec that it builds on. Left out: the one before."
        ),
    },
    "title",
    "body",
)

_COMMENT = _object(
    {
        "path": _text("The file, relative to /work.", filled=True),
        "line": _number("The line in the new version of the file."),
        "body": _text("What is wrong, why it matters, and what would be right.", filled=True),
        "severity": _text("blocker or major: must be fixed; minor: need not be."),
    },
    "path",
    "body",
)

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "bash",
            "Run a shell command (`sh -c`) in /work. Each call is a new process: directory and variables do not carry "
            "over, files do. Standard input is closed. stdout and stderr come back together, head and tail when long.",
            _object(
                {
                    "command": _text("The command.", filled=True),
                    "timeout_s": _number("Seconds after which it is ended; 120 when left out."),
                },
                "command",
            ),
        ),
        Tool(
            "read",
            "Show a text file with line numbers. The number and the tab before each line are not part of the file.",
            _object(
                {
                    "path": PATH,
                    "start": _number("First line, counted from 1."),
                    "end": _number("Last line, itself included."),
                },
                "path",
            ),
        ),
        Tool(
            "edit",
            "Replace one piece of a file. `old` must occur exactly once, to the character, indentation and line ends "
            "included; take in a few lines around it to make it unique.",
            _object(
                {
                    "path": PATH,
                    "old": _text("The text that stands there now."),
                    "new": _text("The text that shall stand there instead."),
                },
                "path",
                "old",
                "new",
            ),
        ),
        Tool(
            "write",
            "Create a file, or replace a whole one. Directories on the way are made.",
            _object({"path": PATH, "content": _text("The whole content.")}, "path", "content"),
        ),
        Tool(
            "done",
            "End your turn: the change is complete and you have run what you could to see that it works.",
            _object({"summary": _text("What you changed and why, for the reviewer.", filled=True)}, "summary"),
        ),
        Tool(
            "spec",
            "End your turn with the specification, cut into changes in the order in which they shall land.",
            _object(
                {
                    "title": _text("One line.", filled=True),
                    "body": _text(
                        "The specification as a whole: goal, constraints, decisions, what is out.", filled=True
                    ),
                    "changes": {
                        "type": "array",
                        "items": _CHANGE,
                        "minItems": 1,
                        "description": "Each of the size of one pull request, complete and green by itself.",
                    },
                },
                "title",
                "body",
                "changes",
            ),
        ),
        Tool(
            "review",
            "End your turn with your judgement of this change.",
            _object(
                {
                    "decision": {"type": "string", "enum": ["approve", "request_changes"]},
                    "summary": _text("What you looked at, and why you decide so.", filled=True),
                    "comments": {"type": "array", "items": _COMMENT, "description": "Tied to file and line."},
                    "acknowledge": _texts(
                        "With approve: each changed protected file listed in your instructions, by path, when its "
                        "change is right."
                    ),
                },
                "decision",
                "summary",
            ),
        ),
        Tool(
            "permit",
            "End your turn with the files whose change you allow. An empty list means no.",
            _object(
                {
                    "paths": _texts("Of the paths you were asked about, those that may change."),
                    "reason": _text("Why, or why not; the implementer reads it.", filled=True),
                },
                "paths",
                "reason",
            ),
        ),
    )
}

ROLE_TOOLS: Mapping[RoleKind, tuple[str, ...]] = {
    "plan": ("bash", "read", "spec"),
    "implement": ("bash", "read", "edit", "write", "done"),
    "review": ("bash", "read", "review"),
    "permit": ("bash", "read", "permit"),
}

ENDING: Mapping[RoleKind, tuple[str, ...]] = {
    "plan": ("spec",),
    "implement": ("done",),
    "review": ("review",),
    "permit": ("permit",),
}


def tools_named(names: Sequence[str]) -> tuple[Tool, ...]:
    """The tools of these names, in this order. KeyError for a name that is none."""
    return tuple(TOOLS[name] for name in names)
