"""What a token that is not let in costs a fleet with a large backlog: requests, failed jobs, time once it is let in.

    python -m benchmarks.quarantine [--rows 100000] [--seconds 60] [--rate 1000/second]

Two worker processes of two children each, on SQLite. The remote lets nobody in while the backlog is accepted and for
so many seconds after; then the token is good again.
"""

import argparse
import tempfile
import time
from pathlib import Path
from threading import Event

from benchmarks.mixed import wishes
from tests.acceptance.installation import TOKEN, Config, Installation, installed, wait_until
from tests.services.valkey import ValkeyServer

ANOTHER = "a newer one"
AT_MOST = 1_200  # seconds for the whole backlog once the token is good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", default="1000/second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = Config(f"sqlite:///{folder / 'coachsync.db'}", rate_limit=given.rate, targets=given.rows)
        server = ValkeyServer(folder)
        try:
            with installed(config, folder, server) as site:
                measure(site, given.rows, given.seconds)
        finally:
            server.stop()


def measure(site: Installation, rows: int, seconds: int) -> None:
    site.start_all()
    site.remote.settings(token=ANOTHER)
    batch = site.accept(wishes(0, rows, 22.0))
    wait_until(lambda: site.quarantined() is not None, "the remote is put aside", seconds=60)
    Event().wait(seconds)
    asked, probes, before = len(site.remote.arrivals()), site.probes(), site.states(batch)
    print(f"{rows:,} jobs; while nobody was let in: {asked} requests, {probes} of them probes; states {before}")

    site.remote.settings(token=TOKEN)
    let_in = time.monotonic()
    wait_until(lambda: site.quarantined() is None, "a probe is answered", seconds=120)
    released = time.monotonic() - let_in
    site.await_end(batch, seconds=AT_MOST)
    took, ended = time.monotonic() - let_in, site.states(batch)
    print(f"failed: {ended.get('failed', 0):,}; states {ended}")
    print(
        f"released {released:.0f} s after the token was good, all ended after {took:.0f} s: {rows / took:.0f} a second"
    )
    words = ", ".join(f"{told(site, action)} {action}" for action in ("remote_quarantined", "remote_released"))
    print(f"log lines: {words}")


def told(site: Installation, action: str) -> int:
    return sum(process.logs().count(action) for name, process in site.started.items() if name.startswith("worker"))


if __name__ == "__main__":
    main()
