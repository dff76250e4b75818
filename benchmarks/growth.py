"""What an update costs when the store holds much already: jobs that are done, their attempts, known targets."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from sqlalchemy import text

from benchmarks.figures import OURS, Better, Column, Table, gathered
from benchmarks.remote import Remote, running_remote
from benchmarks.scale import Scale
from benchmarks.site import ENGINES, Site
from benchmarks.throughput import contest
from benchmarks.throughput.contenders import CONTENDERS, our_environment
from benchmarks.throughput.place import Place
from benchmarks.throughput.updates import PROFILE, updates
from schemas.jobs import TargetUpdate
from schemas.lanes import Lane
from worker.configuration.settings import load_settings
from worker.intake.accept import Offered, accept
from worker.store.batches import NewBatch
from worker.store.engine import Database

FIRST = 1_000_000  # beyond those that are measured
COLUMNS = (
    Column(contest.RATE, better=Better.MORE),
    Column(contest.CPU, 2, Better.LESS),
    Column(contest.SERVERS, 2, Better.LESS),
    Column(contest.COMMITS, 2),
)
_WE = next(one for one in CONTENDERS if one.name == OURS)
_DONE = f"""
UPDATE jobs SET state = 'succeeded', result = 'updated', attempts = 1, fence = 1, first_sent_at = created_at,
    finished_at = created_at;
UPDATE batches SET succeeded = accepted, completed_at = touched_at;
INSERT INTO attempts (job_id, number, remote, operation, started_at, latency_ms, status, outcome, request_id, worker)
    SELECT id, 1, remote, 'update_target', created_at, 5, 200, 'answered', resource, 'filled' FROM jobs;
INSERT INTO targets (name, scorecard_template_name, criterion_or_chapter_id, target, usecase_name,
    coaching_plan_name, known_at, job_id)
    SELECT resource, '{PROFILE}/scorecardTemplates/empathy', '', 50, '{PROFILE}/usecases/voice', '', created_at, id
    FROM jobs;
ANALYZE
"""  # noqa: S608 - our own name


def measure(site: Site, scale: Scale) -> Iterator[Table]:
    size = contest.Size(scale.updates, warm_up=max(100, scale.updates // 10))
    names = {count: f"{count:,} jobs done before" for count in scale.stored}
    for engine in ENGINES:
        with running_remote(site.folder) as remote:
            done = [
                {names[count]: _round(site, remote, engine, size, count) for count in scale.stored}
                for _ in range(scale.rounds)
            ]
        yield Table(
            f"growth-{engine.lower()}",
            f"Growth of the store on {engine}",
            f"{scale.updates:,} updates; the gain is the smallest store's: 1.15 is a cost that grew by 15 %",
            COLUMNS,
            gathered(list(names.values()), done),
            ours=names[scale.stored[0]],
        )


def _round(site: Site, remote: Remote, engine: str, size: contest.Size, stored: int) -> dict[str, float]:
    with contest.under_way(_WE, site, remote, engine, partial(fill, site.folder, stored)) as one:
        return contest.measured(one, size)


def fill(folder: Path, count: int, url: str) -> None:
    """As if so many updates had come and succeeded."""
    nowhere = Place("redis://127.0.0.1:9/0", "", "http://127.0.0.1:9")
    settings = load_settings(our_environment(nowhere, folder, url), cwd=folder)
    wishes = (TargetUpdate.model_validate(asdict(one)) for one in updates(FIRST, count))
    rows = (Offered(row, row, wish) for row, wish in enumerate(wishes, start=1))
    database = Database(url)
    accept(database, rows, NewBatch("benchmark", Lane.BULK), settings.remote_for)
    with database.write() as session:
        for statement in _DONE.split(";"):
            session.execute(text(statement))
    database.close()
