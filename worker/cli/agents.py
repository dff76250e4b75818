"""``coachsync agents``: forget a person."""

import secrets
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated

import typer

from schemas.names import PROFILE
from worker.cli.filters import checked_if_given
from worker.cli.options import DryRun, Json, open_runtime
from worker.cli.output import Output
from worker.cli.trail import leave
from worker.core.person import Person
from worker.counts import counted
from worker.intake.patience import patiently
from worker.store import persons
from worker.store.audit import AuditAction
from worker.store.engine import Database
from worker.store.persons import Forgotten, Unfinished
from worker.store.roster import take_door

app = typer.Typer(help="Agents: forget a person.", no_args_is_help=True)
COLUMNS = ("table", "rowsWithoutThem", "rowsDeleted", "partOfALongerWord")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="agents")


@app.command()
def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source's own id of the person.")],
    profile: Annotated[
        str | None, typer.Option("--profile", help="Of this profile; needed where several know the name.")
    ] = None,
    cancel_pending: Annotated[
        bool, typer.Option("--cancel-pending", help="Cancel what is still to be done for them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="You mean it: it cannot be undone.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Delete what is kept of a person: agent, wants, targets of a plan that is theirs alone, and their name anywhere.

    Rows that count stay, under an alias that leads back to nobody: jobs, attempts, batches, deliveries, events. Names
    of targets stay as well, unless the person's is in them. Have them leave the roster first, and have the Coaching API
    forget them: what a source or the remote tells again comes in again. Exit code 0 also where nothing is kept; 2: they
    are still there, or work for them is open, or --yes is missing, and nothing was changed.

    Example: coachsync agents forget ann --dry-run
    """
    output = Output(as_json)
    checked_if_given("--profile", PROFILE.check, profile, output)
    if not name.strip():
        output.fail("NAME: whom? The source's own id of the person (coachsync roster list)")
    with closing(open_runtime(output)) as runtime:
        with runtime.database.read() as session:
            homes = persons.profiles_of(session, name)
        if profile or not homes:
            homes = [home for home in (profile or runtime.settings.roster.profile,) if home]
        if len(homes) > 1:
            output.fail(f"NAME: {name!r} is known in several profiles; give one with --profile: {', '.join(homes)}")
        if not homes:
            output.note("the roster never knew the name; with --profile every table is looked through all the same")
            _tell(name, Forgotten(), output, dry_run=dry_run)
            return
        acts = yes and not dry_run
        order = _Order(homes[0], name, cancel_pending, acts)
        told = patiently(lambda: _carry_out(order, runtime.database, output))
    if told.rows and not acts and not dry_run:
        output.fail(f"--yes: {_sum(told)} would be changed or deleted for ever; give --yes, or --dry-run to see them")
    _tell(name, told, output, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Order:
    """``acts``: it is meant; else it is only looked at."""

    profile: str
    name: str
    cancel_pending: bool
    acts: bool


def _carry_out(order: _Order, database: Database, output: Output) -> Forgotten:
    """In one transaction, which a busy database may turn away: then anew, from the beginning."""
    with (database.write if order.acts else database.read)() as session:
        if order.acts:
            take_door(session)  # no event of theirs comes in between
        person = persons.person_named(session, order.profile, order.name, f"forgotten-{secrets.token_hex(6)}")
        _refuse_if_open(person, persons.unfinished(session, person), output, cancel_pending=order.cancel_pending)
        if order.acts and order.cancel_pending:
            persons.drop_unfinished(session, person)
        told = persons.forget(session, person, dry_run=not order.acts)
        if order.acts and told.rows:
            leave(session, AuditAction.FORGET_AGENT, person.alias, _sum(told))
    return told


def _refuse_if_open(person: Person, left: Unfinished, output: Output, *, cancel_pending: bool) -> None:
    if left.there:
        output.fail(
            f"NAME: {person.agent!r} is still in the roster of {person.profile}: tell that they have left first"
            " (coachsync roster events); nothing was changed"
        )
    if left.running:
        sent = counted(len(left.running), "job for them is", "jobs for them are")
        output.fail(f"{sent} being sent; try again soon; nothing was changed")
    if (left.pending or left.events) and not cancel_pending:
        output.fail(
            f"still to be done for them: {counted(len(left.pending), 'job')}, {counted(left.events, 'event')};"
            " wait for the end of it, or give --cancel-pending; nothing was changed"
        )


def _tell(name: str, told: Forgotten, output: Output, *, dry_run: bool) -> None:
    tables = sorted({*told.changed, *told.deleted, *told.longer})
    rows = [
        {
            "table": table,
            "rowsWithoutThem": told.changed[table],
            "rowsDeleted": told.deleted[table],
            "partOfALongerWord": told.longer[table],
        }
        for table in tables
        if told.changed[table] or told.deleted[table] or told.longer[table]
    ]
    if output.as_json:
        output.json({"agent": name, "dryRun": dry_run, "tables": rows})
        return
    output.table(COLUMNS, rows, empty=f"nothing is kept of {name!r}")
    if rows:
        said = "would be forgotten; nothing was changed" if dry_run else "is forgotten"
        output.say(f"{name!r} {said}: {_sum(told)}.")
    if any(told.longer.values()):
        output.note("where the name is a part of a longer word nothing is touched: look yourself whether it is theirs")


def _sum(told: Forgotten) -> str:
    return counted(told.rows, "row")
