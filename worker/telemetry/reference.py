"""Writes docs/reference/metrics.md from the catalogue: ``python -m worker.telemetry.reference FILE``."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from worker.telemetry.catalogue import FLEET, PROCESS, Metric

_HEAD = """\
# Metrics

Written from the code by `make docs`. [Watch it](../how-to/watch-it.md) says where they are served, and what to alert on.

A label takes few values: remotes, lanes, operations and loops are named in the settings or in the code. Times are seconds.

## Of the fleet

Read from the database and from the limiter when somebody asks, at most once in five seconds. They are the same whoever is asked
(the gateway or any of the `loops`), so a query takes one of them: `max by (remote, lane) (coachsync_jobs_due)`. What cannot be read
is left out, and `coachsync_source_up` says so.
"""
_PROCESS = """\
## Of a process

Counted as it happens; what the children of one worker count is summed. `process` names it within its home, `worker-0` say: a process
that is started again takes the name of the one before, and its counters begin at 0 as Prometheus expects. A histogram has `_bucket`,
`_sum` and `_count`.
"""


def reference() -> str:
    return "\n".join([_HEAD, *_table(FLEET, ()), "", _PROCESS, *_table(PROCESS, ("process",)), ""])


def _table(metrics: Iterable[Metric], more: tuple[str, ...]) -> Iterator[str]:
    yield "| metric | kind | labels | meaning |"
    yield "|---|---|---|---|"
    for one in metrics:
        labels = ", ".join(f"`{label}`" for label in (*more, *one.labels))
        yield f"| `{one.name}` | {one.kind} | {labels} | {one.means} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
