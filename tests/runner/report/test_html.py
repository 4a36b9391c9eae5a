"""The report: one page that stands alone, says first what matters, and on which a model's words are only text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.runner.night import Night

TEMPLATE = Path(__file__).parents[3] / "runner" / "report" / "template.html.j2"
# What loads, runs or leads elsewhere.
ACTIVE = {"script", "img", "iframe", "object", "embed", "link", "a", "form", "base", "svg", "video", "audio", "input"}


class Page(HTMLParser):
    """The elements of a page with their attributes, its text by nearest heading, and its commands."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.heading = ""
        self.text: dict[str, str] = {}
        self.commands: list[str] = []
        self._in_command = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "h2":
            self.heading = ""
        self._in_command = tag == "pre" and ("class", "command") in attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is closed where {self.open} are open"
        self._in_command = False

    def handle_data(self, data: str) -> None:
        if "h2" in self.open:
            self.heading += data
        before = self.text.get(self.heading.strip(), "")
        self.text[self.heading.strip()] = " ".join([*before.split(), *data.split()])
        if self._in_command:
            self.commands.append(data)


@pytest.fixture
def text(night: Night) -> str:
    return (night.repo / ".git" / "relay" / "runs" / night.run / "report.html").read_text()


def test_the_first_screen_answers_what_landed_what_waits_what_failed_and_what_it_cost(night: Night, text: str) -> None:
    """Each thing that waits with its one command; a reason in one sentence; an unknown cost is unknown."""
    page = Page(text)
    assert "1 of 5 changes landed; 2 things wait for you." in page.text[""]
    assert "unknown price not known for every model" in page.text[""]
    assert page.commands[:3] == [
        f"relay land {night.run}",
        f"relay approve {night.run}/power-2",
        f"relay show {night.run}/hard-1",
    ]
    headings = [name for name in page.text if name]
    assert headings[:4] == ["Waits for you", "Landed", "Did not land", "Nothing to do"]
    assert "power-2 Make help it changes files that your own tools obey: Makefile" in page.text["Waits for you"]
    assert "power-1 Multiply" in page.text["Landed"]
    assert "gave-up: 2 rounds used; the last one: 2 tests red" in page.text["Did not land"]
    assert "hard-2 Root skipped: needs hard-1" in page.text["Did not land"]
    assert re.search(r"second openai-compatible/odd-model \d 2\.0k 0 100 unknown", page.text["Cost"])
    assert "the whole run unknown" in page.text["Cost"]


def test_nothing_of_a_model_is_markup_and_nothing_is_loaded(text: str) -> None:
    """Elements, handlers and addresses of a hostile model are text; the policy would forbid them besides."""
    page = Page(text)
    assert page.open == []
    assert ACTIVE & set(page.tags) == set()
    assert [
        (name, value) for _, name, value in page.attributes if name.startswith("on") or name in ("src", "href")
    ] == []
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert {name for _, name, _ in page.attributes} <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "open",
        "colspan",
    }
    assert re.search(r"url\(|@import|https?://", "".join(re.findall(r"<style>.*?</style>", text, re.S))) is None
    assert "&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;" in text
    assert page.tags.count("title") == 1 and page.tags.count("style") == 1


def test_no_control_or_bidi_character_is_on_the_page(text: str) -> None:
    """They are shown as what they are: `\\x1b`, `\\u202e`."""
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", text) == []
    assert r"\x1b]0;owned\x07" in text and r"\u202etxt.exe" in text


def test_a_long_text_and_a_long_name_are_cut_and_said_to_be(text: str) -> None:
    """The page of a night stays a page: 10 kB names are in the record, and only their beginning here."""
    assert len(text) < 400_000
    assert "x" * 25_000 not in text


def test_the_template_trusts_nobody() -> None:
    """No `|safe`, no switched-off escaping, no attribute without quotes around what is put into it."""
    source = TEMPLATE.read_text()
    assert re.findall(r"\|\s*safe|autoescape\s+false|Markup", source) == []
    assert re.findall(r"=\s*\{\{", source) == []


def test_the_page_goes_where_it_is_asked_to(night: Night, tmp_path: Path) -> None:
    """`--output` and `--json`; a folder that is not there is said in a sentence."""
    told = night.json("report", "--output", str(tmp_path / "night.html"))
    assert told == {"report": str(tmp_path / "night.html")}
    assert "<!doctype html>" in (tmp_path / "night.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["night.html"]
    done = night.relay("report", "--output", str(tmp_path / "no" / "night.html"))
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert "no/night.html" in done.stderr
