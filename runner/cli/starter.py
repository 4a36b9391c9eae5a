"""The texts that `relay init` writes: a commented pipeline file and a make file. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping

from runner.cli.detect import Project

KEYS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}
# By vendor: a model that plans and reviews, and one that implements.
_STRONG = {
    "anthropic": "anthropic/claude-opus-5-5",
    "openai": "openai/gpt-6-sol",
    "google": "google/gemini-3.1-pro-preview",
}
_FAST = {
    "google": "google/gemini-3.5-flash",
    "openai": "openai/gpt-5.4-mini",
    "anthropic": "anthropic/claude-sonnet-5-5",
}


def models(vendors: Collection[str]) -> tuple[str, str]:
    """The architect's and the implementer's model, from the vendors whose keys are set, else the defaults."""
    strong = next((_STRONG[vendor] for vendor in _STRONG if vendor in vendors), _STRONG["anthropic"])
    # Two vendors see more than one: the implementer is somebody else's where that is possible.
    others = [vendor for vendor in _FAST if vendor in vendors and vendor != strong.split("/")[0]]
    same = [vendor for vendor in _FAST if vendor in vendors]
    return strong, _FAST[(others or same or ["google"])[0]]


def pipeline_text(project: Project, *, target: str, registry: bool, vendors: Collection[str]) -> str:
    """A pipeline file that validates, for `project`; the image is `debian` where no registry answers."""
    architect, implementer = models(vendors)
    image = project.image if registry else "debian"
    setup = project.setup
    if image == "debian":
        setup = " && ".join(
            filter(None, (_packages(project), setup.removesuffix("pip install pytest").removesuffix(" && ")))
        )
    vendors_used = sorted({model.split("/")[0] for model in (architect, implementer)})
    keys = " and ".join(" or ".join(KEYS[vendor]) for vendor in vendors_used)
    about_image = "made by relay: no registry answered" if project.image != "debian" and not registry else "any image"
    lines = [
        "# How relay works on this repository. Check it with `relay doctor pipeline.yaml`, run it with",
        "# `relay pipeline run`. Everything that it may say: docs/pipeline.md of relay.",
        "version: 1",
        f"target: {_scalar(target)}   # where approved work lands",
        "",
        f"# Keys come from the environment ({keys}) and are never in this file.",
        "roles:",
        f"  architect:   {{model: {architect}}}   # plans and reviews",
        f"  implementer: {{model: {implementer}}}",
        "",
        "sandbox:",
        f"  image: {_scalar(image)}   # {about_image}",
        *([f"  setup: {_scalar(setup)}   # once, with network; nothing else has it"] if setup else []),
        "  # files: [.env.test]   # untracked files that the tests need",
        "",
        "gates:",
        *_gate(project),
        '    # protected-files: ["tests/**"]   # what an implementer may not change; the usual test files by default',
        "    # timeout: 10m",
        "",
        "stages:",
        "  - plan: architect          # a spec, cut into changes of the size of one pull request",
        "  - implement: implementer   # in a throwaway container; back to here when a test or the review says no",
        "  - test: tests",
        "  - review: architect",
        "  - merge: squash",
        "",
        "budget: {max-cost: 10.00, max-time: 8h}   # USD",
        "",
        '# What to do; or: relay pipeline run --task "..."',
        "# tasks: [tasks/*.md]",
    ]
    return "\n".join(lines) + "\n"


def make_text(relay: str, pipeline: str) -> str:
    """relay.mk: the main job without a terminal, printing relay's own exit code (make's is 2 for any failure)."""
    return f"""\
# Written by `relay init`. make -f relay.mk relay: one run. make -f relay.mk overnight: the same, words in a log.
# A task: make -f relay.mk relay RELAY_ARGS='--task "..."'; without one, those of the pipeline file.
# cron and systemd have a tiny PATH, so relay is named by its place (another: RELAY=/its/place)
RELAY ?= {_make(relay)}
PIPELINE ?= {_make(pipeline)}
RELAY_ARGS ?=
RELAY_LOG ?= relay-overnight.log
HERE := $(strip $(MAKEFILE_LIST))

.PHONY: relay overnight
relay:
\t@cd "$$(dirname "$(HERE)")" && "$(RELAY)" pipeline run "$(PIPELINE)" $(RELAY_ARGS) </dev/null; \\
\t  code=$$?; echo "relay: exit code $$code"; exit $$code

overnight:
\t@cd "$$(dirname "$(HERE)")" && echo "relay: started, its words go to $(RELAY_LOG)" && \\
\t  {{ "$(RELAY)" pipeline run "$(PIPELINE)" $(RELAY_ARGS) </dev/null >>"$(RELAY_LOG)" 2>&1; \\
\t  code=$$?; echo "relay: exit code $$code" | tee -a "$(RELAY_LOG)"; exit $$code; }}
"""


def _gate(project: Project) -> list[str]:
    if not project.run:
        return ["  tests:", "    run: ./run-tests   # relay found no test command: put yours here"]
    return ["  tests:", f"    run: {_scalar(project.run)}   # {project.why}"]


def _packages(project: Project) -> str:
    if not project.packages:
        return ""
    return f"apt-get update && apt-get install -y --no-install-recommends {shlex.join(project.packages)}"


def _scalar(text: str) -> str:
    """A YAML scalar: plain where that is safe, else JSON's quoting, which YAML shares (YAML 1.2, 1.3)."""
    plain = text and not text[0].isdigit() and all(c.isalnum() or c in " /._-:+=[]&" for c in text)
    plain = (
        plain and text[0] not in " -:[&." and ": " not in text and not text.endswith((":", " ")) and " #" not in text
    )
    reserved = text.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    return text if plain and not reserved else json.dumps(text)


def _make(text: str) -> str:
    return text.replace("$", "$$").replace("#", "\\#")
