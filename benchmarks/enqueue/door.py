"""A way from a CSV file to rows, measured in a process that has loaded nothing but what it needs.

    python -m benchmarks.enqueue.door MODULE FILE

Prints, as JSON, the seconds it took to read and take the file, the most memory of the process, and how many rows are
there afterwards.
"""

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.throughput.updates import Update, updates

COLUMNS = ("name", "scorecardTemplateName", "usecaseName", "criterionOrChapterId", "coachingPlanName", "target")
DDL = f"CREATE TABLE jobs ({', '.join(f'{column} TEXT' for column in COLUMNS)})"
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Door:
    """``take`` the file's rows, ``rows`` says how many there are now; what came before ``take`` is not measured."""

    take: Callable[[Path], None]
    rows: Callable[[], int]


def write_file(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(
            (
                one.name,
                one.scorecard_template_name,
                one.usecase_name,
                one.criterion_or_chapter_id,
                one.coaching_plan_name,
                one.target,
            )
            for one in updates(0, rows)
        )


def pages(file: Path) -> Iterator[list[list[str]]]:
    with file.open(newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        while page := list(islice(rows, PAGE)):
            yield page


def update_pages(file: Path) -> Iterator[list[Update]]:
    for page in pages(file):
        yield [Update(*row[:-1], target=float(row[-1])) for row in page]


def count_rows(connection: Any, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a door's own table


def main() -> None:
    door = import_module(f"benchmarks.enqueue.doors.{sys.argv[1]}").door()
    started = time.perf_counter()
    door.take(Path(sys.argv[2]))
    took = time.perf_counter() - started
    print(json.dumps({"seconds": took, "megabytes": _peak(), "rows": door.rows()}))


def _peak() -> float:
    """Megabytes, of this process alone."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    main()
