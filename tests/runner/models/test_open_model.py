"""Opening a model: what is refused before anybody is called, and what an import costs."""

import subprocess
import sys

import pytest

from runner.models import VENDORS, open_model
from runner.models.base import ErrorKind, ModelError, ModelSpec


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (ModelSpec("mistral/large"), "unknown_model"),
        (ModelSpec("claude-opus-5-5"), "unknown_model"),
        (ModelSpec("openai/"), "unknown_model"),
        (ModelSpec("anthropic/claude-opus-5-5"), "auth"),
        (ModelSpec("openai-compatible/qwen3"), "request"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do(spec: ModelSpec, kind: ErrorKind) -> None:
    """An unknown vendor, a missing name, key or address never become a request."""
    with pytest.raises(ModelError) as caught:
        open_model(spec)
    assert caught.value.kind == kind
    assert str(caught.value).startswith(f"{spec.model}: ")


def test_importing_the_room_imports_no_sdk() -> None:
    """`relay --help` must not pay for SDKs."""
    heavy = ["anthropic", "openai", "google.genai", "httpx2", "genai_prices", "pydantic"]
    code = f"import sys, runner.models, runner.models.base; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_key_is_in_no_repr() -> None:
    """A spec may end in a log."""
    assert "secret-key-1" not in repr(ModelSpec("openai/gpt-6-sol", key="secret-key-1"))


def test_the_window_is_the_pipelines_else_the_price_lists_else_a_careful_guess() -> None:
    """Sizes are known without a call, and the user's word wins."""
    known = open_model(ModelSpec("anthropic/claude-opus-5-5", key="k"))
    told = open_model(ModelSpec("anthropic/claude-opus-5-5", key="k", context_window=9000, max_output=100))
    local = open_model(ModelSpec("openai-compatible/x", base_url="http://127.0.0.1:1/v1"))
    assert (known.context_window, known.max_output) == (1_000_000, 32_000)
    assert (told.context_window, told.max_output) == (9000, 100)
    assert (local.context_window, local.max_output) == (32_768, 8_192)


def test_every_vendor_of_the_table_has_a_module() -> None:
    """The table is literal, so a wrong line would only show when used."""
    for vendor in VENDORS:
        model = open_model(ModelSpec(f"{vendor}/m", key="key-of-test", base_url="http://127.0.0.1:1/v1"))
        assert model.name == f"{vendor}/m"
