"""docs/pipeline.md says what the table says."""

from pathlib import Path

from pipelines.load import load
from pipelines.reference import reference

DOCS = Path(__file__).parents[2] / "docs/pipeline.md"
BEGIN, END = "<!-- keys: made by pipelines/reference.py -->\n", "<!-- end of keys -->\n"


def test_the_tables_of_the_docs_are_current() -> None:
    """After a change of the table: put `reference()` between the two marks."""
    assert DOCS.read_text().partition(BEGIN)[2].partition(END)[0] == "\n" + reference() + "\n"


def test_the_example_of_the_docs_is_valid(tmp_path: Path) -> None:
    """What a newcomer copies works."""
    example = DOCS.read_text().partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "pipeline.yaml").write_text(example)
    assert load(tmp_path / "pipeline.yaml").warnings == ()
