"""How much a model can read and write: the windows of the price list, and output caps by family.

A pipeline's `context-window` and `max-output-tokens` win over both.
"""

from __future__ import annotations

import re

from runner.models.base import ModelSpec
from runner.models.prices import listed_window

# The cap that relay asks for, thinking included. More would only make every reservation dearer.
DEFAULT_OUTPUT = 32_000
# A local server that is asked for more than its window may silently drop the beginning of the prompt.
DEFAULT_WINDOW = {"anthropic": 200_000, "google": 1_000_000, "openai": 128_000, "openai-compatible": 32_768}

# Families whose own limit lies below the default; vendors refuse a larger cap.
_OUTPUT = (
    (r"anthropic/claude-(2|v1|3-(opus|haiku|sonnet))", 4_096),
    (r"anthropic/claude-3-5", 8_192),
    (r"openai/gpt-4o", 16_384),
    (r"openai/gpt-(4-|3\.5|4$)", 4_096),
    (r"google/gemini-(pro|1|2\.0)", 8_192),
)


def window(spec: ModelSpec) -> int:
    """Tokens that prompt and reply together may have."""
    vendor = spec.model.partition("/")[0]
    return spec.context_window or listed_window(spec.model) or DEFAULT_WINDOW[vendor]


def output_cap(spec: ModelSpec) -> int:
    """The output cap that relay asks for; at most half of the window."""
    if spec.max_output:
        return spec.max_output
    family = next((cap for pattern, cap in _OUTPUT if re.match(pattern, spec.model)), DEFAULT_OUTPUT)
    if spec.model.startswith("openai-compatible/"):
        family = 8_192
    return min(family, window(spec) // 2)
