"""`python -m benchmarks [NAME...] [--rounds N] [--files N] [--json FILE]`: measure, print tables, write JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import call, cli, gate, start, turn, whole
from benchmarks.ground import Ground, ground
from benchmarks.measure import Row, Way, Wrong, interleaved, rows
from runner import __version__


@dataclass(frozen=True)
class Benchmark:
    """`opened` gives the ways for as long as its block lasts; `base` is the way that ratios are to."""

    about: str
    base: str
    rounds: int
    files: int  # of the repository; 0 where there is none
    opened: Callable[[Ground, int], Any]  # a context manager of list[Way]


def _kept(make: Callable[[Ground, int], list[Way]]) -> Callable[[Ground, int], Any]:
    @contextmanager
    def opened(on: Ground, files: int) -> Iterator[list[Way]]:
        yield make(on, files)

    return opened


BENCHMARKS: Mapping[str, Benchmark] = {
    "cli": Benchmark("CPU time of commands that only look", cli.BASE, 20, 0, _kept(cli.ways)),
    "call": Benchmark("one tool call in a running container", call.BASE, 20, 0, lambda on, files: call.opened(on)),
    "start": Benchmark(
        "a container to its first answer, and away", start.BASE, 10, 0, _kept(lambda on, _: start.ways(on))
    ),
    "turn": Benchmark("a turn of 20 tool calls", turn.BASE, 5, 1000, _kept(turn.ways)),
    "gate": Benchmark("the test command on a fresh tree", gate.BASE, 5, 1000, _kept(gate.ways)),
    "whole": Benchmark("a whole run of one change", whole.BASE, 3, 10000, _kept(whole.ways)),
}


def main() -> int:
    """0; 1 when an answer was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without one")
    parser.add_argument("--rounds", type=int, help="samples of each way (one more is taken and dropped)")
    parser.add_argument("--files", type=int, help="files of the repository (turn, gate: 1000; whole: 10000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON too")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if (
        unknown
        or (options.rounds is not None and options.rounds < 1)
        or (options.files is not None and options.files < 100)
    ):
        parser.error(f"unknown: {', '.join(unknown)}" if unknown else "--rounds is at least 1, --files at least 100")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ground() as on:
        found: dict[str, Any] = {"machine": machine(on), "benchmarks": {}}
        print(*(f"{key}: {value}" for key, value in found["machine"].items()), sep="\n")
        for line in on.missing():
            print(line)
        try:
            for name in options.names or BENCHMARKS:
                found["benchmarks"][name] = measured(on, name, options.rounds, options.files)
        except Wrong as wrong:
            print(f"relay: {name}: a wrong answer: {wrong}", file=sys.stderr)
            return 1
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
        print(f"relay: wrote {options.json}")
    return 0


def measured(on: Ground, name: str, rounds: int | None, asked: int | None) -> dict[str, Any]:
    """One benchmark, printed and as plain values."""
    chosen = BENCHMARKS[name]
    files = chosen.files and (asked or chosen.files)
    with chosen.opened(on, files) as ways:
        before = os.getloadavg()[0]
        found = rows(interleaved(ways, rounds or chosen.rounds), chosen.base)
        load = [round(before, 1), round(os.getloadavg()[0], 1)]
    size = f", {files} files" if files else ""
    print(f"\n{name}: {chosen.about}{size} (load {load[0]} to {load[1]}; times in ms, ratios to {chosen.base})")
    print(*table(found), sep="\n", flush=True)
    return {"files": files, "load": load, "base": chosen.base, "rows": [asdict(row) for row in found]}


def table(found: list[Row]) -> Iterator[str]:
    """Rows as aligned lines."""
    wide = max(len(row.way) for row in found)
    deep = max(len(row.phase) for row in found)
    yield f"  {'':{deep}}  {'':{wide}}  {'n':>3} {'median':>10} {'p10':>10} {'p95':>10} {'ratio':>8}"
    for row in found:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        numbers = f"{row.n:>3} {row.median:>10.1f} {row.p10:>10.1f} {row.p95:>10.1f} {ratio:>8}"
        yield f"  {row.phase:{deep}}  {row.way:{wide}}  {numbers}"


def machine(on: Ground) -> dict[str, str]:
    """What the numbers depend on."""
    info = on.engine.info()
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return {
        "relay": __version__,
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "engine": f"Docker {info.version}, {info.storage}, cgroup v{info.cgroup}, workspaces by {on.backend}",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}",
        "versions": f"Python {platform.python_version()}, git {git}",
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
