"""``targets plan``: what applying a file would do, and what it would take. Nothing is sent but reads."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from schemas.names import customer_of
from schemas.plans import Plan, PlanAction, PlanRow, RemoteForecast
from worker.cli.apply import progress_of, require_remote
from worker.cli.options import File, Json, open_runtime
from worker.cli.output import ExitCode, Output
from worker.cli.plan_words import tell_plan
from worker.cli.refresh import refresh
from worker.clock import utc_now
from worker.configuration.problems import SettingsError
from worker.configuration.remotes import Remote
from worker.core.acceptance import Offer
from worker.core.forecast import TYPICAL_LATENCY, Conditions, duration_of
from worker.core.plan import planned_rows, requests_of, total
from worker.intake.accept import canonical
from worker.intake.door_checks import at_the_door
from worker.intake.plan_files import plan_record, read_rows, unreadable, write_plan
from worker.intake.readers import BadRow, GoodRow
from worker.intake.source import FileRefused, source_for
from worker.remote_access import policy_of
from worker.runtime import Runtime
from worker.store.foresight import Foresight, foresee, load_of
from worker.store.remote_urls import RemoteMoved
from worker.store.schema import NewerSchema


class ErrorsAreOne(TyperCommand):
    """Exit code 2 says that there are changes: a mistyped option must not."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except TyperException as error:
            error.exit_code = int(ExitCode.SOME_FAILED)
            raise


def plan(
    file: File,
    refresh_first: Annotated[
        bool, typer.Option("--refresh", help="Read the targets at the remote first, under the rate limit.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the plan here, for `targets apply`.", metavar="PLAN")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what applying FILE would do: create, change (from, to), leave unchanged, refuse; and how long it would take.

    Nothing is changed, here or at the remote. A plan that was written with -o can be applied: `coachsync targets apply
    PLAN` leaves every row alone whose target is no longer as the plan saw it. Exit code 0: nothing to do; 2: there are
    changes; 1: an error, or rows are refused and nothing else would change.

    Example: coachsync targets plan targets.csv --refresh -o plan.json
    """
    output = Output(as_json, failing=ExitCode.SOME_FAILED)
    with _told_as_errors(output), closing(open_runtime(output)) as runtime:
        require_remote(runtime.settings, output)
        runtime.check_remotes()
        if out and out.exists() and Path(file).exists() and out.samefile(file):
            output.fail(f"-o: {out} is the file that is planned; name another")
        made = _make(file, runtime, output, refreshing=refresh_first)
        if out:
            write_plan(made, out)
    if as_json:
        output.json(plan_record(made))
    else:
        tell_plan(made, out, output)
    raise typer.Exit(_code(made))


@contextmanager
def _told_as_errors(output: Output) -> Iterator[None]:
    try:
        yield
    except (FileRefused, NewerSchema, RemoteMoved, SettingsError) as error:
        output.fail(str(error))


def _code(made: Plan) -> ExitCode:
    counts = Counter(made.counts)
    if counts[PlanAction.CREATE] + counts[PlanAction.CHANGE]:
        return ExitCode.REFUSED
    return ExitCode.SOME_FAILED if counts[PlanAction.REFUSED] else ExitCode.DONE


def _make(file: str, runtime: Runtime, output: Output, *, refreshing: bool) -> Plan:
    with progress_of("reading", output):
        rows = list(
            map(at_the_door(runtime.settings.remote_for, utc_now()), read_rows(source_for(file, sys.stdin.buffer)))
        )
    offers = [Offer(row.row, row.line, row.wish, canonical(row.wish)) for row in rows if isinstance(row, GoodRow)]
    missing = refresh(_by_remote(offers, runtime), runtime, output) if refreshing else set[str]()
    with runtime.database.read() as session:
        foreseen: Foresight = foresee(session, offers)
    planned = [
        *planned_rows(foreseen.acceptance, foreseen.standings, missing),
        *(unreadable(row) for row in rows if isinstance(row, BadRow)),
    ]
    counts = Counter(row.action for row in planned)
    return Plan(
        coachsync_plan=1,
        file=file,
        made_at=utc_now(),
        refreshed=refreshing,
        counts={action: counts[action] for action in PlanAction},
        forecast=tuple(_forecast(planned, runtime)),
        rows=tuple(sorted(planned, key=lambda row: row.row)),
    )


def _by_remote(offers: Sequence[Offer], runtime: Runtime) -> Mapping[Remote, list[str]]:
    names: dict[Remote, dict[str, None]] = defaultdict(dict)
    for offer in offers:
        remote = runtime.settings.remote_for(customer_of(offer.wish.resource))
        if isinstance(remote, Remote):
            names[remote][offer.wish.resource] = None
    return {remote: list(its) for remote, its in names.items()}


def _forecast(planned: Sequence[PlanRow], runtime: Runtime) -> Iterator[RemoteForecast]:
    rows: dict[Remote, list[PlanRow]] = defaultdict(list)
    for row in planned:
        if row.action.offered and isinstance(remote := runtime.settings.remote_for(customer_of(row.name)), Remote):
            rows[remote].append(row)
    for remote, its in rows.items():
        requests, policy = total(map(requests_of, its)), policy_of(remote)
        with runtime.database.read() as session:
            load = load_of(session, remote.name, policy.limits)
        conditions = Conditions(policy, load.latency or TYPICAL_LATENCY, load.used, load.opens_in)
        sent = requests.reads + requests.writes
        seconds = duration_of(sent + load.jobs_ahead, conditions).total_seconds() if sent else 0.0
        yield RemoteForecast(
            remote=remote.name,
            reads=requests.reads,
            writes=requests.writes,
            jobs_ahead=load.jobs_ahead,
            rate_limit=remote.rate_limit,
            seconds=round(seconds, 1),
        )
