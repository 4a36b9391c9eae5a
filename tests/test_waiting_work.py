"""Work that waits for somebody's word: host paths, rejections, reviewers who disagree or say nothing."""

import re
from pathlib import Path

from tests.playing import Play, approve, done, edit, play, refuse, write

CODE, CHECK, LOOK, LAND = {"implement": "implementer"}, {"test": "tests"}, {"review": "reviewer"}, {"merge": "squash"}


def host_story(root: Path) -> Play:
    """A change of files that the user's own tools obey, the pipeline file among them; gate and review pass."""
    story = play(root, file="linked/ci/relay.yaml")
    (root / "linked").symlink_to("repo")
    story.says(
        "implementer",
        [
            write("Makefile", "test:\n\tpython -m pytest\n"),
            write("docs/AGENTS.md", "Be brief.\n"),
            write("ci/relay.yaml", "version: 1\n"),
            done(),
        ],
    )
    story.says("reviewer", approve("Makefile"))
    return story


def test_a_host_path_waits_for_the_user_and_lands_by_their_word(tmp_path: Path) -> None:
    """Exit 6 though gate and review passed; the approval is bound to the head and the tree that were shown."""
    story = host_story(tmp_path)
    main = story.git("rev-parse", "main")
    told = story.run()
    assert (told.code, told.outcome, told.change["outcome"]) == (6, "needs-human", "needs-human"), told.err
    gate = story.record("r1.1.test.tests")
    assert (gate["status"], gate["host_paths"]) == ("passed", ["Makefile", "ci/relay.yaml", "docs/AGENTS.md"])
    assert story.git("rev-parse", "main") == main
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    said = story.record("decision.1")
    assert (said["head"], said["tree"]) == (gate["head"], gate["tree"])
    assert story.git("rev-parse", "main^{tree}") == gate["tree"]
    assert "you <you@relay.invalid>" in story.trailers("Reviewed-by")


def test_a_rejection_is_final(tmp_path: Path) -> None:
    """No approval after it, and nothing is left to go on with. What was asked named the files for the user's own tools,
    also where an `approve` stage asks anyway.
    """
    story = host_story(tmp_path)
    story.pipeline["stages"] = [CODE, CHECK, LOOK, {"approve": "human"}, LAND]
    main = story.git("rev-parse", "main")
    asked = (
        "it waits for your approval; it changes files that your own tools obey: Makefile, ci/relay.yaml, docs/AGENTS.md"
    )
    assert asked in story.run().err
    assert story.relay("reject", "t1-1", "--note", "not my Makefile").code == 0
    told = story.relay("approve", "t1-1")
    assert told.code != 0 and "final" in told.err
    told = story.relay("status", "--json")
    assert (told.outcome, told.change["outcome"]) == ("partial", "rejected"), told.err
    assert "has ended (partial)" in story.relay("resume").err
    assert story.git("rev-parse", "main") == main


def test_the_second_reviewers_no_sends_it_back(tmp_path: Path) -> None:
    """All must approve; the comment reaches the implementer with its path and line, and both look again."""
    story = play(tmp_path, stages=[CODE, CHECK, {"review": ["reviewer", "second"]}, LAND])
    story.says("implementer", [edit("shop.py", "def total", "# all of it\ndef total"), done()], round=1)
    story.says("implementer", [edit("shop.py", "# all of it", "# every price"), done()], round=2)
    story.says("reviewer", approve())
    story.says("second", refuse("all of what?", "shop.py", 1), round=1)
    story.says("second", approve(), round=2)
    told = story.run()
    assert (told.code, told.outcome, told.change["rounds"]) == (0, "landed", 2), told.err
    said = [(event["role"], event["decision"]) for event in story.events("review ended")]
    assert said == [
        ("reviewer", "approve"),
        ("second", "request_changes"),
        ("reviewer", "approve"),
        ("second", "approve"),
    ]
    assert "all of what?" in story.kept("r2.1.implement/transcript.jsonl")
    assert len(story.trailers("Reviewed-by")) == 2


def test_the_users_word_stands_for_a_review_that_is_missing(tmp_path: Path) -> None:
    """A reviewer that ends without a review is no approval; what passed its gate lands when the user says so."""
    story = play(tmp_path)
    story.says("implementer", [edit("shop.py", "def total", "# all of it\ndef total"), done()])
    story.says("reviewer", *[[]] * 6)
    told = story.run()
    assert (told.code, told.change["outcome"]) == (6, "needs-human"), told.err
    assert re.search(r"relay approve \S+/t1-1", told.err)
    told = story.relay("approve", "t1-1", "--json")
    assert (told.code, told.outcome) == (0, "landed"), told.err
    assert story.trailers("Reviewed-by") == ["you <you@relay.invalid>"]
