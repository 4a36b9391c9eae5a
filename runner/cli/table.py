"""Every command: its name, the module that holds it, and its line in `relay --help`.

A literal, so that help imports no command. A command's module has one click command named `command`, whose function
returns the exit code.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command; `module` is None for a group, whose commands are in `GROUPS`."""

    module: str | None
    help: str


COMMANDS = {
    "init": Entry("runner.cli.init", "Look at the repository; write pipeline.yaml and relay.mk."),
    "doctor": Entry("runner.cli.doctor", "Check the machine, and with FILE the pipeline; say what to do."),
    "pipeline": Entry(None, "Run, check and show pipeline files."),
    "runs": Entry("runner.cli.runs", "List the runs of this repository."),
    "status": Entry("runner.cli.status", "Say where a run stands, change by change."),
    "show": Entry("runner.cli.show", "Show a change: spec, verdicts, reviews, costs."),
    "log": Entry("runner.cli.log", "Print what happened in a run; -f follows it."),
    "diff": Entry("runner.cli.diff", "Print the patch of a change."),
    "approve": Entry("runner.cli.approve", "Approve a change that waits for you, and go on."),
    "reject": Entry("runner.cli.reject", "Reject a change for good."),
    "resume": Entry("runner.cli.resume", "Go on with a run that was interrupted."),
    "cancel": Entry("runner.cli.cancel", "End a run for good; what it landed stays."),
    "land": Entry("runner.cli.land", "Bring a run's landed changes into the target branch."),
    "report": Entry("runner.cli.report", "Write a run's report as one HTML page."),
    "image": Entry(None, "Make, list and remove sandbox images."),
    "clean": Entry("runner.cli.clean", "Remove what relay left behind and no run needs."),
}

GROUPS = {
    "pipeline": {
        "run": Entry("runner.cli.pipeline_run", "Run a pipeline: plan, implement, test, review, land."),
        "validate": Entry("runner.cli.pipeline_validate", "Check a pipeline file; all problems at once."),
        "show": Entry("runner.cli.pipeline_show", "Print a pipeline as relay understands it."),
        "schema": Entry("runner.cli.pipeline_schema", "Print the JSON Schema of pipeline files."),
    },
    "image": {
        "debian": Entry("runner.cli.image_debian", "Make the base image `debian` from this system's packages."),
        "list": Entry("runner.cli.image_list", "List the images that relay made."),
        "prune": Entry("runner.cli.image_prune", "Remove images that no run needs."),
    },
}

NOT_IN_THIS_VERSION = ("watch", "note", "retry", "pause", "verify", "rebuild", "forget")
