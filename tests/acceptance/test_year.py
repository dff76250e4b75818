"""A year of a contact centre, told badly, under faults and kills: in the end the remote is what the policy says for the
final roster, the cut-off export has changed nothing, and every event is explained.

The short version runs with the suite; the whole one, 2,000 agents over a year, with `make chaos`.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from schemas.jobs import JobState
from tests.acceptance.chaos import ONLY_IN_CHAOS
from tests.acceptance.installation import Config, Installation, installed, wait_until
from tests.acceptance.night import KINDS
from tests.acceptance.remote import Arrival
from tests.acceptance.year import COLUMNS, PROFILE, Person, Simulation, Told, Year, policy_file
from tests.services.valkey import ValkeyServer
from worker.clock import utc_now
from worker.store.tables import agents, asks, drifts, jobs, quota_answers, roster_events, wants

SEED = 20_260_131
GUARDED = 3


@dataclass(frozen=True, slots=True)
class Plan:
    agents: int
    fortnights: int
    rate: int
    patience: float
    faulty: float = 0.02


@dataclass
class Lived:
    """What there is to judge. ``answers`` are the commands' exit codes and words, by the name of what was told."""

    year: Year
    installation: Installation
    answers: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    untouched: bool = False
    arrivals: list[Arrival] = field(default_factory=list)
    ended: datetime = field(default_factory=utc_now)


SHORT = Plan(agents=60, fortnights=3, rate=100, patience=90)
WHOLE = Plan(agents=2_000, fortnights=26, rate=200, patience=600)


@pytest.fixture(
    scope="module", params=[pytest.param(SHORT, id="short"), pytest.param(WHOLE, id="whole", marks=ONLY_IN_CHAOS)]
)
def lived(request: pytest.FixtureRequest) -> Iterator[Lived]:
    plan: Plan = request.param
    begin = (utc_now() - timedelta(days=14 * plan.fortnights + 60)).replace(hour=0, minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory(prefix="coachsync-year-") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "coachsync.toml").write_text(_settings())
        valkey = ValkeyServer(folder)
        stack.callback(valkey.stop)
        config = Config(f"sqlite:///{folder / 'coachsync.db'}", rate_limit=f"{plan.rate}/second", targets=0)
        installation = stack.enter_context(installed(config, folder, valkey))
        installation.start_all(loops=2)
        yield _live(installation, plan, Simulation(plan.agents, plan.fortnights, SEED, begin).run())


def _settings() -> str:
    columns = "\n".join(f'{ours} = "{theirs}"' for ours, theirs in COLUMNS.items())
    return f'[roster]\nprofile = "{PROFILE}"\n\n[roster.columns]\n{columns}\n{policy_file()}'


def _live(installation: Installation, plan: Plan, year: Year) -> Lived:
    lived = Lived(year, installation)
    match = {"path": "/v1/*", "probability": plan.faulty / len(KINDS)}
    installation.remote.script([{"match": match, "fault": fault} for fault in KINDS])
    third = len(year.told) // 3
    for number, told in enumerate(year.told):
        if told.roster:
            installation.remote.roster(PROFILE, [_seen_by_remote(person) for person in told.roster])
        before = _projection(installation) if told.truncated else None
        lived.answers[told.name] = _tell(installation, told)
        if told.truncated:
            lived.untouched = before == _projection(installation)
        if number == third:
            installation.started["worker-1"].kill("SIGKILL")
            installation.started["loops-1"].kill("SIGKILL")
        if number == 2 * third:
            installation.valkey.flush()
            installation.revive()
    _settle(installation, plan.patience)
    lived.ended = utc_now()
    lived.arrivals = installation.remote.arrivals()
    installation.remote.script([])
    return lived


def _tell(installation: Installation, told: Told) -> tuple[int, dict[str, Any]]:
    path = installation.folder / told.name
    path.write_text(told.text)
    command = ["roster", "import" if told.as_of else "events", str(path), "--json"]
    if told.as_of:
        command += ["--as-of", told.as_of.isoformat()]
    code, printed = installation.coachsync(*command)
    if told.bulk:
        assert code == GUARDED, printed
        code, printed = installation.coachsync(*command, "--approve")
    return code, json.loads(printed) if code == 0 else {"said": printed}


def _seen_by_remote(person: Person) -> dict[str, Any]:
    return {
        "user": person.name,
        "group": person.group,
        "usecases": [f"{PROFILE}/usecases/{one}" for one in person.usecases],
    }


def _projection(installation: Installation) -> list[Any]:
    with installation.runtime.database.read() as session:
        rows = session.execute(select(agents.c.agent, agents.c.facts, agents.c.active).order_by(agents.c.agent))
        return [tuple(row) for row in rows]


def _settle(installation: Installation, patience: float) -> None:
    wait_until(lambda: _unfinished(installation) == 0, "everything that was asked for has ended", seconds=patience)


def _unfinished(installation: Installation) -> int:
    open_states = (JobState.PENDING, JobState.RUNNING)
    with installation.runtime.database.read() as session:
        left = (
            select(func.count()).select_from(roster_events).where(roster_events.c.state == "waiting"),
            select(func.count()).select_from(wants).where(~wants.c.asked),
            select(func.count()).select_from(jobs).where(jobs.c.state.in_(open_states)),
        )
        return sum(session.execute(query).scalar_one() for query in left)


def _held(lived: Lived) -> dict[tuple[str, str, str], list[float]]:
    """What the remote has for coaching plans: template, criterion and plan → values."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for target in lived.installation.remote.targets(PROFILE):
        key = (
            target["scorecardTemplateName"].rpartition("/")[2],
            target.get("criterionOrChapterId", ""),
            target["coachingPlanName"],
        )
        found.setdefault(key, []).append(target.get("target", 0.0))
    return found


def test_the_remote_ends_as_the_policy_says_for_the_final_roster(lived: Lived) -> None:
    held = _held(lived)
    wanted = lived.year.wanted(lived.ended)
    assert {key: held.get(key) for key in wanted} == {key: [value] for key, value in wanted.items()}


def test_no_target_was_made_twice(lived: Lived) -> None:
    assert not {key: values for key, values in _held(lived).items() if len(values) > 1}


def test_each_quota_is_the_remote_s_for_the_final_roster(lived: Lived) -> None:
    staff = lived.year.staff.values()
    with lived.installation.runtime.database.read() as session:
        newest = select(func.max(quota_answers.c.id)).group_by(quota_answers.c.resource)
        query = select(quota_answers).where(quota_answers.c.id.in_(newest))
        counted = {row.scorecard_template_name: row.total_active_agents_count for row in session.execute(query)}
    assert counted == {
        f"{PROFILE}/scorecardTemplates/compliance@3": sum("voice" in one.usecases for one in staff),
        f"{PROFILE}/scorecardTemplates/empathy@2": sum("chat" in one.usecases for one in staff),
    }


def test_the_projection_is_the_truth(lived: Lived) -> None:
    with lived.installation.runtime.database.read() as session:
        rows = session.execute(select(agents.c.agent, agents.c.record).where(agents.c.active)).all()
    known = {row.agent: tuple(json.loads(row.record)["groups"]) for row in rows}
    assert known == {person.name: (person.group,) for person in lived.year.staff.values()}


def test_the_truncated_export_changed_nothing(lived: Lived) -> None:
    code, said = lived.answers["truncated.csv"]
    assert code == GUARDED, said
    assert lived.untouched


def test_every_other_delivery_was_taken(lived: Lived) -> None:
    refused = {name: said for name, (code, said) in lived.answers.items() if code and name != "truncated.csv"}
    assert not refused


def test_every_event_is_there_once_and_explained(lived: Lived) -> None:
    with lived.installation.runtime.database.read() as session:
        rows = session.execute(select(roster_events).where(roster_events.c.source == "/hr")).all()
        asked = set(session.execute(select(asks.c.event_seq)).scalars())
        unnamed = session.execute(select(func.count()).select_from(asks).where(asks.c.job_id.is_(None))).scalar_one()
    assert len(rows) == lived.year.happenings
    assert {row.outcome for row in rows} <= {"applied", "outdated", "unchanged"}
    assert all(row.state == "planned" for row in rows)
    some = [row for row in rows if row.seq in asked][:: max(1, len(rows) // 5)]
    assert some
    for row in some:
        code, printed = lived.installation.coachsync("explain", f"e{row.seq}", "--json")
        story = json.loads(printed)
        assert code == 0
        assert story["asks"]
        assert all(ask["job"] or not ask["want"] or ask["want"]["obstacle"] for ask in story["asks"]), story
    assert unnamed == 0 or unnamed < len(asked)


def test_no_job_gives_up_and_nothing_drifts(lived: Lived) -> None:
    with lived.installation.runtime.database.read() as session:
        failed = session.execute(
            select(jobs.c.kind, jobs.c.resource, jobs.c.error_code, jobs.c.error).where(jobs.c.state == JobState.FAILED)
        ).all()
        still_open = session.execute(select(drifts).where(drifts.c.closed_at.is_(None))).all()
    assert not failed
    assert not still_open


def test_far_fewer_requests_than_a_call_per_event(lived: Lived, capsys: pytest.CaptureFixture[str]) -> None:
    year, arrivals = lived.year, lived.arrivals
    kinds = sorted({one.operation or "?" for one in arrivals})
    counts = ", ".join(f"{kind} {sum(one.operation == kind for one in arrivals):,}" for kind in kinds)
    quotas = sum(one.operation == "retrieve_quota" for one in arrivals)
    with capsys.disabled():
        print(  # noqa: T201 - the figures of the run
            f"\n  {year.happenings:,} events in {year.delivered:,} deliveries, {len(year.told)} files:"
            f" {len(arrivals):,} requests ({counts}); a quota call per event would be {year.happenings:,}"
        )
    assert quotas < year.happenings
