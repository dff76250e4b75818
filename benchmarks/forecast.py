"""How long applying a plan takes, beside what the plan has foretold.

    python -m benchmarks.forecast [--rows 5000] [--rate 200/second]

Two worker processes of two children each, on SQLite. The file is planned with and without a look at the remote, each
plan is applied, and the time from the command to the last answer is set against the forecast.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

from api_adapter.sandbox.seed import sample_targets
from tests.acceptance.installation import Config, Installation, installed
from tests.services.valkey import ValkeyServer

COLUMNS = ("name", "scorecardTemplateName", "usecaseName", "criterionOrChapterId", "coachingPlanName", "target")
CHANGES = 2  # exit code of a plan that has some


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--rate", default="200/second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = Config(f"sqlite:///{folder / 'coachsync.db'}", rate_limit=given.rate, targets=given.rows)
        server = ValkeyServer(folder)
        try:
            with installed(config, folder, server) as site:
                site.start_all()
                measure(site, given.rows, 33.0, refreshing=False)
                measure(site, given.rows, 44.0, refreshing=True)
        finally:
            server.stop()


def measure(site: Installation, rows: int, value: float, *, refreshing: bool) -> None:
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
    requests = len(site.remote.arrivals()) - asked
    foretold = forecast["reads"] + forecast["writes"]
    print(
        f"{'with' if refreshing else 'without'} --refresh, {rows:,} rows: foretold {foretold:,} requests in"
        f" {forecast['seconds']:.1f} s; it took {requests:,} in {took:.1f} s; ratio {forecast['seconds'] / took:.2f}"
    )


def _write(file: Path, rows: int, value: float) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
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


if __name__ == "__main__":
    main()
