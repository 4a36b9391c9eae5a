#!/usr/bin/env python3
"""Gives the demo's roles real models, of the vendors whose keys are set: demo/live.py PIPELINE (run by LIVE=1).

DEMO_BASE_URL names a server that speaks these vendors' formats in their place: a proxy, or a server of a test.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from runner.cli.init import vendors_with_keys
from runner.cli.starter import KEYS, models

MOST = "5.00"  # USD


def main() -> int:
    pipeline = Path(sys.argv[1])
    if not vendors_with_keys(os.environ):
        names = " or ".join(name for names in KEYS.values() for name in names)
        print(f"relay: LIVE asks real models, and no key is set: export {names}", file=sys.stderr)
        print("  without a key: make demo", file=sys.stderr)
        return 2
    text = live(pipeline.read_text(), os.environ)
    pipeline.write_text(text)
    print(f"relay: this costs real money, at most ${MOST}; stop it with Ctrl-C")
    return 0


def live(text: str, environ: Mapping[str, str]) -> str:
    """The pipeline with models in place of the scripted replies, and a budget of real money."""
    base = environ.get("DEMO_BASE_URL")
    where = f", base-url: {json.dumps(base)}" if base else ""
    for role, model in zip(("architect", "implementer"), models(vendors_with_keys(environ)), strict=True):
        text, found = re.subn(rf"^  {role}: .*$", f"  {role}: {{model: {model}{where}}}", text, flags=re.MULTILINE)
        assert found == 1, f"the demo's pipeline has no role {role}"
    text = re.sub(r"^# .*\n", "# The demo's pipeline, played by real models.\n", text, count=1)
    return text.replace("max-cost: 1.00", f"max-cost: {MOST}")


if __name__ == "__main__":
    sys.exit(main())
