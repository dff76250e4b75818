"""How long applying a plan takes, beside what the plan has foretold.

Two worker processes of two children each, on SQLite. The file is planned with and without a look at the remote, each
plan is applied, and the time from the command to the last answer is set against the forecast.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from api_adapter.sandbox.seed import sample_targets
from benchmarks.enqueue.door import COLUMNS as FILE_COLUMNS
from benchmarks.figures import Column, Row, Table
from benchmarks.scale import Scale
from benchmarks.site import Site
from tests.acceptance.installation import Config, Installation, installed

RATE = "200/second"
RATIO, FORETOLD, TOOK = "foretold/took", "s foretold", "s it took"
REQUESTS_FORETOLD, REQUESTS = "requests foretold", "requests sent"
COLUMNS = (Column(RATIO, 2), Column(FORETOLD, 1), Column(TOOK, 1), Column(REQUESTS_FORETOLD), Column(REQUESTS))
CHANGES = 2  # exit code of a plan that has some


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    with site.database("SQLite") as database:
        config = Config(database, rate_limit=RATE, targets=scale.updates)
        with installed(config, site.folder, site.broker) as installation:
            installation.start_all()
            rows = [
                Row("planned without a look", _applied(installation, scale.updates, 33.0, refreshing=False)),
                Row("planned with --refresh", _applied(installation, scale.updates, 44.0, refreshing=True)),
            ]
    setting = f"{scale.updates:,} rows at {RATE}; two workers of two processes, SQLite"
    yield Table("forecast", "A plan's forecast beside what happened", setting, COLUMNS, rows, None)


def _applied(site: Installation, rows: int, value: float, *, refreshing: bool) -> dict[str, list[float]]:
    file, plan = site.folder / "targets.csv", site.folder / "plan.json"
    _write(file, rows, value)
    options = ["--refresh"] if refreshing else []
    code, printed = site.coachsync("targets", "plan", str(file), "-o", str(plan), "--json", *options)
    assert code == CHANGES, printed
    (forecast,) = json.loads(plan.read_text())["forecast"]
    asked = len(site.remote.arrivals())
    code, printed = site.coachsync("targets", "apply", str(plan), "--json", "--approve")
    assert code == 0, printed
    batch = json.loads(printed)["batch"]
    site.await_end(batch, seconds=600)
    done = site.batch(batch)
    took = (done.completed_at - done.created_at).total_seconds() if done.completed_at else 0.0
    return {
        RATIO: [forecast["seconds"] / took],
        FORETOLD: [forecast["seconds"]],
        TOOK: [took],
        REQUESTS_FORETOLD: [forecast["reads"] + forecast["writes"]],
        REQUESTS: [len(site.remote.arrivals()) - asked],
    }


def _write(file: Path, rows: int, value: float) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(FILE_COLUMNS)
        for target in sample_targets("acme", rows):
            writer.writerow(
                [
                    target.name,
                    target.scorecard_template_name,
                    target.usecase_name,
                    target.criterion_or_chapter_id,
                    target.coaching_plan_name,
                    value,
                ]
            )
