"""Accepting a file, beside a bare loop that parses it and inserts the same rows; both in this run, on SQLite.

    python benchmarks/accepting.py [--rows 20000] [--rounds 3]

Prints rows a second, the ratio of the medians, and the peak memory of accepting. Figures of one machine and one moment:
trust the ratio.
"""

import argparse
import csv
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from schemas.jobs import JobKind
from schemas.lanes import Lane
from worker.configuration.credentials import NoCredentials
from worker.configuration.remotes import Remote
from worker.configuration.values import Idempotency
from worker.intake.accept import Offered, accept
from worker.intake.readers import GoodRow, read_wishes
from worker.intake.source import FileSource
from worker.store import schema
from worker.store.batches import NewBatch
from worker.store.engine import Database

PROFILE = "customers/acme/profiles/support"
COLUMNS = ("name", "scorecardTemplateName", "usecaseName", "criterionOrChapterId", "coachingPlanName", "target")
REMOTE = Remote(
    "default", "http://127.0.0.1:9", NoCredentials(), "1/second", 1, timedelta(seconds=10), Idempotency.READ
)
PAGE = 1_000


def write_file(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        fixed = (f"{PROFILE}/scorecardTemplates/empathy", f"{PROFILE}/usecases/voice", "", "")
        writer.writerows((f"{PROFILE}/targets/t-{row}", *fixed, row % 1000 / 10) for row in range(rows))


def accept_file(file: Path, folder: Path) -> None:
    """What ``coachsync targets apply`` does: read, validate, order, insert, a thousand rows a transaction."""
    database = Database(f"sqlite:///{folder / 'ours.db'}")
    schema.upgrade(database)
    rows = read_wishes(FileSource(file, file.name), JobKind.TARGET_UPDATE)
    offers = (Offered(row.row, row.line, row.wish) for row in rows if isinstance(row, GoodRow))
    accept(database, offers, NewBatch("benchmark", Lane.BULK), lambda _: REMOTE)
    database.close()


def insert_file(file: Path, folder: Path) -> None:
    """A bare loop: parse and insert, the same page and durability, nothing checked and nothing ordered."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"CREATE TABLE jobs (id INTEGER PRIMARY KEY, {', '.join(COLUMNS)})")
    with file.open(newline="") as lines:
        reader = csv.reader(lines)
        next(reader)
        page: list[list[str]] = []
        for row in reader:
            page.append(row)
            if len(page) == PAGE:
                _insert(connection, page)
                page = []
        _insert(connection, page)
    connection.close()


def _insert(connection: sqlite3.Connection, page: list[list[str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO jobs VALUES (NULL, ?, ?, ?, ?, ?, ?)", page)
    connection.execute("COMMIT")


def timed(work: Callable[[Path, Path], None], file: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        work(file, Path(folder))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "targets.csv"
        write_file(file, asked.rows)
        pairs = [(timed(accept_file, file), timed(insert_file, file)) for _ in range(asked.rounds)]
    ours, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"accept    {asked.rows / ours:>10,.0f} rows/s")
    print(f"bare loop {asked.rows / bare:>10,.0f} rows/s")
    print(f"ratio     {bare / ours:>10.0%}")
    print(f"peak RSS  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f} MB")


if __name__ == "__main__":
    main()
