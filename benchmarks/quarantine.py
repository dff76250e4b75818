"""What a token that is not let in costs a fleet with a large backlog: requests, failed jobs, time once it is let in.

Two worker processes of two children each, on SQLite. The remote lets nobody in while the backlog is accepted and for
so many seconds after; then the token is good again.
"""

import time
from collections.abc import Iterator
from threading import Event

from benchmarks.figures import OURS, Column, Row, Table
from benchmarks.mixed import wishes
from benchmarks.scale import Scale
from benchmarks.site import Site
from tests.acceptance.installation import TOKEN, Config, Installation, installed, wait_until

RATE = "1000/second"
ANOTHER = "a newer one"
AT_MOST = 1_200  # seconds for the whole backlog once the token is good
ASKED, PROBES, RELEASED, ENDED, FAILED, ALERTS = (
    "requests while shut out", "of them probes", "s until released", "s until all ended", "failed", "alerts",
)  # fmt: skip
COLUMNS = tuple(Column(name) for name in (ASKED, PROBES, RELEASED, ENDED, FAILED, ALERTS))


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    with site.database("SQLite") as database:
        config = Config(database, rate_limit=RATE, targets=scale.backlog)
        with installed(config, site.folder, site.broker) as installation:
            figures = _shut_out(installation, scale.backlog, scale.seconds)
    setting = (
        f"{scale.backlog:,} jobs at {RATE}, nobody let in for {scale.seconds} s; two workers of two processes, SQLite"
    )
    rows = [Row(OURS, {name: [figure] for name, figure in figures.items()})]
    yield Table("quarantine", "A token that is not let in", setting, COLUMNS, rows)


def _shut_out(site: Installation, rows: int, seconds: int) -> dict[str, float]:
    site.start_all()
    site.remote.settings(token=ANOTHER)
    batch = site.accept(wishes(0, rows, 22.0))
    wait_until(lambda: site.quarantined() is not None, "the remote is put aside", seconds=60)
    Event().wait(seconds)
    asked, probes = len(site.remote.arrivals()), site.probes()
    site.remote.settings(token=TOKEN)
    let_in = time.monotonic()
    wait_until(lambda: site.quarantined() is None, "a probe is answered", seconds=120)
    released = time.monotonic() - let_in
    site.await_end(batch, seconds=AT_MOST)
    return {
        ASKED: asked,
        PROBES: probes,
        RELEASED: released,
        ENDED: time.monotonic() - let_in,
        FAILED: site.states(batch).get("failed", 0),
        ALERTS: told(site, "remote_quarantined"),
    }


def told(site: Installation, action: str) -> int:
    return sum(process.logs().count(action) for name, process in site.started.items() if name.startswith("worker"))
