"""The pipeline language as one table: every key, its kind, its default, its meaning, and whether it is built.

The loader's checks, `schema.json` and the table of docs/pipeline.md are all made from here.
"""

from __future__ import annotations

from pipelines.kinds import (
    Amount,
    Anything,
    Choice,
    Either,
    Key,
    ListOf,
    MapOf,
    Number,
    Only,
    Record,
    Rule,
    StageKind,
    Text,
    Whole,
)

_SAFE = r"[^\x00-\x1f\x7f]"  # no control character
_NO_PARENT = r"(?!(.*/)?\.\.(/|$))"

NAME = Rule(
    r"(?!landed$)[a-z][a-z0-9-]{0,39}",
    "a name of a-z, 0-9 and `-` that begins with a letter, at most 40 long, and not `landed`",
    "architect",
)
TASK_ID = Rule(
    r"(?!landed$)[a-z0-9][a-z0-9-]{0,59}", "an id of a-z, 0-9 and `-`, at most 60 long, and not `landed`", "fix-login"
)
ENV_NAME = Rule(
    r"[A-Za-z_][A-Za-z0-9_]{0,99}",
    "the name of an environment variable (letters, digits, `_`), never a value",
    "MY_API_KEY",
    private=True,
)
ENV_VALUE = Rule(r"[^\x00]*", "text", '"0"', private=True)
REFERENCE = Rule(r"[^\x00]{1,200}", "a name", "architect")
ANY_TEXT = Rule(r"[\s\S]*", "text", "Done.")
TOOL = Rule(r"[A-Za-z][A-Za-z0-9_-]{0,63}", "the name of a tool", "edit")
MODEL = Rule(
    r"(anthropic|google|openai|openai-compatible)/[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}|scripted/" + _SAFE + "{1,400}",
    "vendor/model",
    "anthropic/claude-opus-5-5",
)
URL = Rule(
    r"https?://[A-Za-z0-9._:\[\]-]+(/[!-\"$->@-~]*)?",
    "an http or https address without user, query or fragment",
    "http://127.0.0.1:8080/v1",
    private=True,
)
FILE = Rule(_SAFE + "{1,1000}", "a path, relative to the pipeline file", "prompts/architect.md")
TREE_FILE = Rule(
    "(?!/)" + _NO_PARENT + _SAFE + "{1,1000}", "a path inside the repository, relative to its root", "docs/style.md"
)
GLOB = Rule(
    "(?![ #!])(?!/+$)" + _NO_PARENT + r"[^\x00-\x1f\x7f\\]{0,999}[^\x00-\x20\x7f\\]",
    "a path pattern as in .gitignore, without `!`, `..` and backslash",
    '"tests/**"',
)
PROTECTED = Rule(
    "(?![ #])!?(?!/+$)" + _NO_PARENT + r"[^\x00-\x1f\x7f\\]{0,999}[^\x00-\x20\x7f\\!]",
    "a path pattern as in .gitignore, without `..` and backslash",
    '"tests/**"',
)
IMAGE = Rule(
    r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}", "`debian` (made by relay) or the name of an image", "python:3.12-slim"
)
COMMAND = Rule(r"[^\x00]*[^\x00-\x20][^\x00]*", "a shell command", "python -m pytest -q")
BRANCH = Rule(
    r"(?!relay(/|$))(?![-./@])(?!.*(\.\.|@\{|//|/\.|\.lock(/|$)))[^\x00-\x20\x7f~^:?*\[\\]{0,200}[^\x00-\x20\x7f~^:?*\[\\./]",
    "the name of a branch (not `relay/...`, which is relay's own)",
    "main",
)
TASK = Rule(
    r"[^\x00]*[^\x00-\x20][^\x00]*",
    "a text, or the path of a markdown file (`*.md`, may be a pattern)",
    "tasks/*.md",
)
MODEL_EXAMPLE = "{model: anthropic/claude-opus-5-5}"

GLOBS = ListOf(Text(GLOB))

ROLE = Record(
    (
        Key("model", Text(MODEL), "Who plays the role: `vendor/model`.", required=True),
        Key("fallbacks", ListOf(Text(MODEL)), "Models to go on with when the first has no quota or no key.", "none"),
        Key("effort", Choice(("low", "medium", "high", "max")), "How hard the model thinks.", "the model's own"),
        Key("prompt", Text(FILE), "A file whose text is added to relay's own words for the role.", "none"),
        Key("context", ListOf(Text(TREE_FILE)), "Files of the target's tree that the role is always shown.", "none"),
        Key("max-steps", Whole(1, 10_000), "Model replies in one turn.", "80"),
        Key("base-url", Text(URL), "Where the vendor's API answers.", "the vendor's own"),
        Key("api-key-env", Text(ENV_NAME), "The environment variable that holds the key.", "the vendor's own"),
        Key("max-output-tokens", Amount("tokens", "8k"), "The longest single reply.", "the model's own"),
        Key("context-window", Amount("tokens", "32k", 1000), "How much the model can read.", "what is known of it"),
    ),
    MODEL_EXAMPLE,
)

LIMITS = Record(
    (
        Key("cpus", Number(above=True, most=4096), "CPUs.", "2"),
        Key("memory", Amount("size", "4g", 6 * 1024**2), "Memory, swap included.", "4g"),
        Key("pids", Whole(16, 1_000_000), "Processes.", "512"),
        Key("disk", None, "Disk space of a turn."),
        Key("output", Amount("size", "1m", 1024), "Output kept of one command: its head and its tail.", "1m"),
    ),
    "{cpus: 2, memory: 4g}",
)

SANDBOX = Record(
    (
        Key(
            "image",
            Either(Text(IMAGE), None, ("build", "context", "devcontainer")),
            "The base image. `debian` is made by relay itself and needs no registry.",
            "debian",
        ),
        Key("pull", Choice(("missing", "never", "always")), "When the image is pulled.", "missing"),
        Key("setup", Text(COMMAND), "Run once per environment, as root, with network.", "none"),
        Key(
            "setup-inputs",
            ListOf(Text(TREE_FILE)),
            "Files of the tree that setup depends on.",
            "the usual manifests and lock files",
        ),
        Key("lock", None, "A command that renews lock files."),
        Key("secrets", None, "Environment variables for setup only."),
        Key(
            "network",
            Either(Choice(("none", "full")), None, ("allowed",)),
            "The network of turns. A gate never has it.",
            "none",
        ),
        Key("env", MapOf(ENV_NAME, Text(ENV_VALUE)), "Environment variables of setup, turns and gates.", "none"),
        Key("files", ListOf(Text(TREE_FILE)), "Untracked files that the tests need, copied in read-only.", "none"),
        Key("caches", None, "Folders kept between the turns of one change."),
        Key("services", None, "Containers beside the gate, such as a database."),
        Key("limits", LIMITS, "What one sandbox may use.", "as below"),
        Key("runtime", None, "The container runtime."),
    ),
    "{image: debian}",
)

GATE = Record(
    (
        Key("run", Text(COMMAND), "The command that tests the tree.", required=True),
        Key(
            "results",
            Either(
                Choice(("junit", "exit-code")),
                Record((Key("junit", Text(TREE_FILE), "The report that the command writes.", required=True),), "{}"),
            ),
            "How the outcome is read: `junit`, `exit-code`, or `{junit: path}`.",
            "junit where the runner is known, else exit-code",
        ),
        Key(
            "protected-files",
            ListOf(Text(PROTECTED)),
            "Files that are tested as they are on the landing branch.",
            "tests, their data and runner configuration of Python, JavaScript and Go",
        ),
        Key("min-tests", Whole(0), "Tests that must pass at least.", "1"),
        Key("timeout", Amount("time", "10m"), "The longest run.", "10m"),
        Key("repeat", None, "Run the tests several times."),
        Key("effort", None, "How thorough the gate is."),
        Key("quarantine", None, "Tests whose result does not count."),
    ),
    "{run: python -m pytest -q}",
)

_TIMES = (
    Key("timeout", Amount("time", "30m"), "The longest turn.", "30m"),
    Key("idle-timeout", Amount("time", "10m"), "The longest wait for a reply or a tool.", "10m"),
)
STAGE = StageKind(
    common=(Key("name", Text(NAME), "The stage's name.", "its verb"),),
    verbs=(
        (
            Key("plan", Text(REFERENCE), "The role that writes the spec and cuts it into changes."),
            (Key("max-changes", Whole(1, 100), "Changes in one spec.", "8"),),
        ),
        (
            Key("implement", Text(REFERENCE), "The role that writes the code."),
            (
                Key("max-rounds", Whole(1, 100), "Attempts at one change before it is given up.", "4"),
                *_TIMES,
                Key("may-change", GLOBS, "Protected files and host files that every change may change.", "none"),
            ),
        ),
        (Key("test", ListOf(Text(REFERENCE), least=1, or_one=True), "The gates, in order."), ()),
        (Key("review", ListOf(Text(REFERENCE), least=1, or_one=True), "The reviewing roles; all must approve."), ()),
        (Key("approve", Choice(("human",)), "Waits for `relay approve`."), ()),
        (
            Key("merge", Choice(("squash",), later=("merge",)), "How a change lands."),
            (
                Key("checkout", Choice(("hold",), later=("update",)), "What happens to a checked-out target.", "hold"),
                Key("acceptance", None, "What becomes of acceptance tests."),
            ),
        ),
    ),
    example="- implement: implementer",
)

BUDGET = Record(
    (
        Key("max-cost", Number(words="a number of USD"), "USD of the whole run.", "unbounded"),
        Key("max-tokens", Amount("tokens", "20m"), "Tokens of the whole run.", "unbounded"),
        Key(
            "max-time", Amount("time", "8h"), "Time of the whole run; waiting for a person does not count.", "unbounded"
        ),
        Key("per-task", None, "Limits of each task."),
    ),
    "{max-cost: 10.00, max-time: 8h}",
)

_USD = Number(words="USD per million tokens")
PRICE = Record(
    (
        Key("input", _USD, "USD per million tokens read.", required=True),
        Key("output", _USD, "USD per million tokens written, thinking included.", required=True),
        Key("cache-read", _USD, "USD per million tokens read from the vendor's cache.", "as input"),
        Key("cache-write", _USD, "USD per million tokens written to the vendor's cache.", "as input"),
    ),
    "{input: 0.50, output: 2.00}",
)

PIPELINE = Record(
    (
        Key("version", Only(1), "The language's version.", required=True),
        Key("target", Text(BRANCH), "The branch where approved work lands.", "the branch checked out now"),
        Key("roles", MapOf(NAME, ROLE, least=1), "Names, each with a model.", required=True),
        Key("sandbox", SANDBOX, "The container around every turn and gate.", "as below"),
        Key("gates", MapOf(NAME, GATE), "Names, each with a way to test a tree.", "none"),
        Key("stages", ListOf(STAGE, least=1, unique=False), "What happens, in order.", required=True),
        Key("tasks", ListOf(Text(TASK)), "What to do: texts, or markdown files.", "none; `--task` adds more"),
        Key("max-parallel", Only(1), "Changes at once.", "1"),
        Key("budget", BUDGET, "Limits of the whole run.", "unbounded"),
        Key("stop-after", None, "A clock time that always wins."),
        Key("on-rate-limit", None, "What to do when a vendor says to wait."),
        Key("prices", MapOf(MODEL, PRICE), "Prices of models; wins over the price list.", "the price list"),
        Key("notify", None, "Whom to tell."),
    ),
    "version: 1",
)

TASK_MATTER = Record(
    (
        Key("id", Text(TASK_ID), "The task's identity.", "made from the file's name"),
        Key("needs", ListOf(Text(TASK_ID), or_one=True), "Tasks that run before.", "none"),
        Key("priority", Whole(-1000, 1000), "Higher runs earlier.", "0"),
        Key("may-change", GLOBS, "Protected files and host files that the task may change.", "none"),
    ),
    "id: fix-login",
)

REPLIES = Record(
    (
        Key(
            "replies",
            ListOf(
                Record(
                    (
                        Key("role", Text(NAME), "The role that speaks.", required=True),
                        Key("task", Text(TASK_ID), "Only in this task.", "any"),
                        Key("change", Text(TASK_ID), "Only in this change, such as `t1-2`.", "any"),
                        Key("round", Whole(1), "Only in this round.", "any"),
                        Key("step", Whole(1), "The reply's place in the turn, from 1.", required=True),
                        Key("text", Text(ANY_TEXT), "What the model says.", "nothing"),
                        Key(
                            "calls",
                            ListOf(
                                Record(
                                    (
                                        Key("tool", Text(TOOL), "The tool.", required=True),
                                        Key("args", MapOf(ENV_NAME, Anything()), "Its arguments.", "none"),
                                    ),
                                    "{tool: done, args: {summary: fixed}}",
                                ),
                                unique=False,
                            ),
                            "The tools it calls.",
                            "none",
                        ),
                    ),
                    "{role: implementer, round: 1, step: 1, calls: []}",
                ),
                unique=False,
            ),
            "The replies; the first that fits is played.",
            required=True,
        ),
    ),
    "replies: []",
)
