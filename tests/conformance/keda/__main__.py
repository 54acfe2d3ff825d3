"""Compare what the harness makes of ScaledObjects with KEDA itself on random stories; see tools/keda-oracle/README.md.

    python -m tests.conformance.keda [--objects 1000] [--seed 1] [--out build/conformance]
    python -m tests.conformance.keda --keep build/conformance/keda-differs-17.json   # the unit tests compare it too
    python -m tests.conformance.keda --record      # the unit tests' other stories, anew

Exit 0 when all agrees, 1 when something differs (the story is shrunk and written down with both answers), 2 when it
cannot be told.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import tools
from harness.errors import HarnessError
from harness.files import write_atomically
from tests.conformance.keda import recorded
from tests.conformance.keda.compare import differences, met
from tests.conformance.keda.ours import live
from tests.conformance.keda.shrink import smallest
from tests.conformance.keda.stories import Document, make_story
from tests.conformance.oracle import Program

TOOL = tools.GoTest("keda-oracle", "celery-workers.example/tools/keda-oracle", module="github.com/kedacore/keda/v2")
# An idle connection would stop virtual time.
ENVIRONMENT = {"KEDA_HTTP_DISABLE_KEEP_ALIVE": "true"}
OBJECTS = 1000
CHUNK_OBJECTS = 50
RECORDED_FROM = 150
SHRUNK = 5  # of the stories that differ
RESULT = "keda.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, compare, report."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.keda", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--objects", type=int, default=OBJECTS)
    parser.add_argument("--seed", type=int, default=1, help="first seed; a ScaledObject has one each")
    parser.add_argument("--out", type=Path, default=Path("build/conformance"))
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="add a shrunk story to the unit tests' stories and stop"
    )
    parser.add_argument("--record", action="store_true", help="write the unit tests' other stories anew and stop")
    options = parser.parse_args(arguments)
    try:
        if options.keep:
            print(f"kept in {recorded.keep(options.keep)}")
            return 0
        if options.record:
            stories = [make_story(seed) for seed in range(options.seed, options.seed + RECORDED_FROM)]
            print(f"{recorded.write(zip(stories, Program(TOOL, ENVIRONMENT).ask(stories), strict=True))} stories")
            return 0
        return _compare(Program(TOOL, ENVIRONMENT), range(options.seed, options.seed + options.objects), options.out)
    except (HarnessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compare(keda: Program, seeds: range, out: Path) -> int:
    started_at, started = datetime.now(UTC), time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    differing: list[int] = []
    count: Counter[str] = Counter()
    for first in range(0, len(seeds), CHUNK_OBJECTS):
        chunk = seeds[first : first + CHUNK_OBJECTS]
        stories = [make_story(seed) for seed in chunk]
        for seed, story, theirs in zip(chunk, stories, keda.ask(stories), strict=True):
            count.update(met(story, theirs))
            if differences(theirs, live(story)):
                differing.append(seed)
                _tell(seed, *(smallest(story, keda.ask) if len(differing) <= SHRUNK else (story, theirs)), out)
        print(
            f"{first + len(chunk):,} ScaledObjects, {count['pollings']:,} pollings, {len(differing)} differ", flush=True
        )
    result = {
        "started_at": started_at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
        "seeds": {"first": seeds[0], "last": seeds[-1]},
        "scaled_objects": len(seeds),
        "differing": differing,
        "versions": {"keda": tools.pinned_version(TOOL)},
        "coverage": dict(sorted(count.items())),
    }
    write_atomically(out / RESULT, json.dumps(result, indent=2) + "\n")
    for name, times in sorted(count.items()):
        print(f"{name:42}{times:>10,}")
    print(f"seeds {seeds[0]}-{seeds[-1]}: {len(seeds):,} ScaledObjects, {len(differing)} differ; {out / RESULT}")
    return 1 if differing else 0


def _tell(seed: int, story: Document, theirs: Document, out: Path) -> None:
    ours, path = live(story), out / f"keda-differs-{seed}.json"
    found = differences(theirs, ours)
    document = {"story": story, "keda": theirs, "harness": ours, "differences": found}
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"seed {seed} differs: {found[0]}{' ...' if len(found) > 1 else ''} ({path})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
