"""What the tests of plans share: files about the sandbox's targets, the command, and a worker in this process."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from api_adapter.outcomes import Operation
from api_adapter.sandbox.background import background_sandbox
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.seed import sample_targets
from api_adapter.sandbox.server import RunningSandbox
from api_adapter.sandbox.targets import Target as SandboxTarget
from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration import store_rig
from tests.integration.apply_rig import COLUMNS, file
from tests.integration.cli_rig import Command, command_on
from worker.configuration.settings import load_settings
from worker.executor import Chunk
from worker.runtime import Runtime, WorkerRuntime
from worker.store.engine import Database
from worker.store.tables import jobs

COUNT = 60
TARGETS = sample_targets("acme", COUNT)
MUTATING = {Operation.UPDATE_TARGET, Operation.CREATE_TARGET, Operation.DELETE_TARGET}


def line(number: int, value: object, **said: str) -> list[str]:
    """A row about one of the sandbox's targets."""
    target = TARGETS[number]
    cells = [
        target.name,
        target.scorecard_template_name,
        target.usecase_name,
        str(value),
        target.criterion_or_chapter_id,
        target.coaching_plan_name,
    ]
    return [said.get(column, cell) for column, cell in zip(COLUMNS, cells, strict=True)]


def targets_file(*rows: list[str], path: str = "targets.csv") -> Path:
    return file(path, *rows)


@dataclass(frozen=True, slots=True)
class Site:
    store: Database
    sandbox: RunningSandbox
    coachsync: Command
    home: Path

    def there(self, number: int) -> SandboxTarget:
        return self.sandbox.state.targets[TARGETS[number].name]

    def lists_nothing(self) -> None:
        """This remote knows no such operation."""
        self.sandbox.api.script_faults(
            [{"fault": {"kind": "status", "status": 501}, "match": {"path": "/v1/*/targets"}}]
        )

    def somebody_sets(self, number: int, value: float) -> None:
        self.sandbox.state.put(replace(self.there(number), target=value))

    def asked(self) -> list[Operation | None]:
        return [arrival.operation for arrival in self.sandbox.ledger.arrivals]

    def plan(self, *arguments: object, code: int = 2) -> Any:
        """The plan's JSON, which is in ``plan.json`` too."""
        return self.coachsync.json("targets", "plan", "targets.csv", "-o", "plan.json", *arguments, code=code)

    def work(self) -> dict[int, JobState]:
        """A worker does all that is due; returns the state of each job."""
        store_rig.let_time_pass(self.store)
        with self.store.read() as session:
            query = select(jobs.c.id).where(jobs.c.state == JobState.PENDING).order_by(jobs.c.id)
            pending = tuple(session.execute(query).scalars())
        runtime = Runtime(load_settings(dict(self.coachsync.environ), cwd=self.home))
        with closing(runtime), closing(WorkerRuntime(runtime)) as worker:
            worker.run_chunk(Chunk("message", "default", Lane.BULK, pending))
        return {id_: JobState(job.state) for id_, job in store_rig.all_jobs(self.store).items()}


@contextmanager
def planning_site(store: Database, home: Path, valkey: str, **settings: str) -> Iterator[Site]:
    with background_sandbox(SandboxOptions(targets=COUNT)) as sandbox:
        named = {"broker_url": valkey, "api_url": sandbox.url, "rate_limit": "600000/minute"} | settings
        yield Site(store, sandbox, command_on(store, home, **named), home)


def actions(plan: Any) -> dict[str, int]:
    return {action: count for action, count in plan["counts"].items() if count}
