"""What a large backlog does to a fleet: the memory of its workers, and how long an urgent change waits behind it.

Two worker processes of two children each, 200 requests a second, on SQLite. Memory is what a worker and its children
have for themselves (PSS), before any backlog and in the midst of it. An urgent change is timed from before its
acceptance to its arrival at the remote.
"""

import statistics
import time
from collections.abc import Iterator
from threading import Event

from api_adapter.sandbox.seed import sample_targets
from benchmarks.figures import OURS, Column, Row, Table
from benchmarks.process_tree import pss_megabytes
from benchmarks.scale import Scale
from benchmarks.site import Site
from schemas.jobs import TargetUpdate
from schemas.lanes import Lane
from tests.acceptance.installation import Config, Installation, installed

WARM_UP = 8_000  # jobs done before memory is first looked at: most of a minute of work
MEDIAN, P95, LONGEST = "urgent, median s", "urgent, p95 s", "urgent, longest s"
WITHOUT, WITH, DUE, MOST = "MB a worker before", "MB a worker amid it", "due then", "most in a second of 200"
COLUMNS = (
    *(Column(name, 2) for name in (MEDIAN, P95, LONGEST)),
    *(Column(name) for name in (WITHOUT, WITH, DUE, MOST)),
)


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


def memory(fleet: Installation) -> list[float]:
    """Megabytes of each worker, its children included."""
    return [pss_megabytes([process.pid]) for name, process in fleet.started.items() if name.startswith("worker")]


def urgent_waits(fleet: Installation, first: int, seconds: int) -> list[float]:
    """One urgent change a second; the seconds each took to the remote."""
    asked: dict[str, float] = {}
    for wish in wishes(first, seconds, 77.5):
        asked[wish.name] = time.monotonic()
        fleet.accept([wish], Lane.INTERACTIVE)
        fleet.runtime.dispatcher.nudge()
        Event().wait(1)
    Event().wait(5)
    came = {one.name: one.at for one in fleet.remote.arrivals() if one.name in asked}
    assert came.keys() == asked.keys(), "an urgent change has not come within five seconds of the last one"
    return sorted(came[name] - at for name, at in asked.items())


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    folder, total = site.folder, scale.backlog + scale.seconds
    config = Config(f"sqlite:///{folder / 'mixed.db'}", targets=max(total, WARM_UP))
    with installed(config, folder, site.broker) as fleet:
        fleet.start_all()
        fleet.await_end(fleet.accept(wishes(0, min(WARM_UP, scale.backlog), 11.0)))
        before = memory(fleet)
        fleet.accept(wishes(0, scale.backlog, 22.0))
        waits = urgent_waits(fleet, scale.backlog, scale.seconds)
        figures = {
            MEDIAN: statistics.median(waits),
            P95: waits[int(0.95 * len(waits))],
            LONGEST: waits[-1],
            WITHOUT: max(before),
            WITH: max(memory(fleet)),
            DUE: fleet.due(),
            MOST: fleet.remote.most_in(1),
        }
    setting = (
        "two workers of two processes, 200 requests a second, SQLite; one urgent change a second, timed from before its"
        " acceptance to its arrival at the remote"
    )
    rows = [Row(OURS, {name: [figure] for name, figure in figures.items()})]
    yield Table("mixed", f"An urgent change amid {scale.backlog:,} of bulk", setting, COLUMNS, rows)
