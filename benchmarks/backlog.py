"""What a large backlog does to a fleet: the memory of its workers, and how long an urgent change waits behind it.

    python -m benchmarks.backlog [--rows 100000] [--seconds 60]

Two worker processes of two children each, 200 requests a second, on SQLite. Memory is what a worker and its children
have for themselves (PSS), before any backlog and in the midst of it. An urgent change is timed from before its
acceptance to its arrival at the remote.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from api_adapter.sandbox.seed import sample_targets
from schemas.jobs import TargetUpdate
from schemas.lanes import Lane
from tests.acceptance.installation import Config, Installation, installed
from tests.services.valkey import ValkeyServer

WARM_UP = 8_000  # jobs done before memory is first looked at: most of a minute of work
MEGABYTE = 1024


def wishes(first: int, count: int, value: float) -> Iterator[TargetUpdate]:
    for target in sample_targets("acme", first + count)[first:]:
        yield TargetUpdate(
            name=target.name,
            scorecard_template_name=target.scorecard_template_name,
            usecase_name=target.usecase_name,
            criterion_or_chapter_id=target.criterion_or_chapter_id,
            coaching_plan_name=target.coaching_plan_name,
            target=value,
        )


def memory(site: Installation) -> list[float]:
    """Megabytes of each worker, its children included."""
    return [_pss_of_tree(process.pid) / MEGABYTE for name, process in site.started.items() if name.startswith("worker")]


def _pss_of_tree(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _pss(pid) + sum(_pss_of_tree(int(child)) for child in children)


def _pss(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def urgent_waits(site: Installation, first: int, seconds: int) -> list[float]:
    """One urgent change a second; the seconds each took to the remote."""
    asked: dict[str, float] = {}
    for wish in wishes(first, seconds, 77.0):
        asked[wish.name] = time.monotonic()
        site.accept([wish], Lane.INTERACTIVE)
        site.runtime.dispatcher.nudge()
        Event().wait(1)
    Event().wait(5)
    came = {one.name: one.at for one in site.remote.arrivals() if one.name in asked}
    assert came.keys() == asked.keys(), "an urgent change has not come within five seconds of the last one"
    return sorted(came[name] - at for name, at in asked.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, total = Path(name), given.rows + given.seconds
        server = ValkeyServer(folder)
        try:
            with installed(Config(f"sqlite:///{folder / 'coachsync.db'}", targets=total), folder, server) as site:
                measure(site, given.rows, given.seconds)
        finally:
            server.stop()


def measure(site: Installation, rows: int, seconds: int) -> None:
    site.start_all()
    site.await_end(site.accept(wishes(0, WARM_UP, 11.0)))
    before = memory(site)
    site.accept(wishes(0, rows, 22.0))
    waits = urgent_waits(site, rows, seconds)
    after, left = memory(site), site.due()
    print(f"memory of a worker: {max(before):.0f} MB without a backlog, {max(after):.0f} MB with {left:,} due jobs")
    p50, p95 = statistics.median(waits), waits[int(0.95 * len(waits))]
    print(f"an urgent change among them: p50 {p50:.2f} s, p95 {p95:.2f} s, the longest {waits[-1]:.2f} s")
    print(f"at most {site.remote.most_in(1)} requests in any second, of 200")


if __name__ == "__main__":
    main()
