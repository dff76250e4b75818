"""``coachsync roster list``, ``show`` and ``set-aside``: who is coached, and what could not be read."""

from contextlib import closing
from typing import Annotated

import typer

from schemas.names import PROFILE
from worker.cli.filters import checked_if_given
from worker.cli.options import Json, Limit, open_runtime
from worker.cli.output import Output
from worker.store import roster
from worker.store.explaining_roster import agents_named
from worker.store.roster import AgentFilter
from worker.store.roster_models import AgentRow
from worker.telling.roster_records import agent_record, agent_row, aside_record, fact_rows

COLUMNS = ("agent", "there", "groups", "usecases", "coachingPlan", "joinedAt", "changedAt", "profile")
FACTS = ("field", "value", "since", "by")
ASIDE = ("number", "at", "door", "entry", "reason")
OfProfile = Annotated[str | None, typer.Option("--profile", help="Of this profile.", metavar="NAME")]


def list_agents(
    profile: OfProfile = None,
    group: Annotated[str | None, typer.Option("--group", help="Who is in this group.", metavar="NAME")] = None,
    gone: Annotated[bool, typer.Option("--gone", help="Those who have left, instead of those who are there.")] = False,
    limit: Limit = 100,
    after: Annotated[
        str | None, typer.Option("--after", help="With --profile: go on after this agent.", metavar="AGENT")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the agents of the roster, as all events so far have them.

    Example: coachsync roster list --group tier-2
    """
    output = Output(as_json)
    checked_if_given("--profile", PROFILE.check, profile, output)
    if after is not None and profile is None:
        output.fail("--after: say of which --profile the agent is")
    chosen = AgentFilter(profile, group, there=not gone, after=after)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = roster.list_agents(session, chosen, limit)
    if as_json:
        output.json([agent_record(one) for one in found])
    else:
        output.table(COLUMNS, map(agent_row, found), empty="nobody: `coachsync roster import FILE` brings a roster in")
    if len(found) == limit:
        output.note(f"the first {limit:,}; for more: --profile {found[-1].profile} --after {found[-1].agent}")


def show_agent(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The source's own id of the person.")],
    profile: OfProfile = None,
    as_json: Json = False,
) -> None:
    """Show one agent: each fact, since when it holds, and which event said so.

    What was asked for because of them: coachsync explain AGENT.

    Example: coachsync roster show ann
    """
    output = Output(as_json)
    checked_if_given("--profile", PROFILE.check, profile, output)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = _one(agents_named(session, agent), agent, profile, output)
    if as_json:
        output.json(agent_record(found) | {"facts": fact_rows(found)})
        return
    output.record(agent_row(found))
    output.say("")
    told = [
        row | {"value": ", ".join(row["value"])} if isinstance(row["value"], list) else row for row in fact_rows(found)
    ]
    output.table(FACTS, told, empty="")


def list_aside(limit: Limit = 100, as_json: Json = False) -> None:
    """List what came in by a stream or a queue and is no event, newest first, each with the reason.

    Example: coachsync roster set-aside --json
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        found = roster.list_aside(session, limit)
    output.table(ASIDE, map(aside_record, found), empty="nothing was set aside")


def _one(found: list[AgentRow], agent: str, profile: str | None, output: Output) -> AgentRow:
    fitting = [one for one in found if profile in (None, one.profile)]
    if len(fitting) > 1:
        homes = ", ".join(one.profile for one in fitting)
        output.fail(f"AGENT: {agent!r} is in several profiles; give one with --profile: {homes}")
    return fitting[0] if fitting else output.fail(f"AGENT: nobody is known as {agent!r:.80} (coachsync roster list)")
