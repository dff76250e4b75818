"""A storm over a whole installation: all kinds of work through real processes, while they are killed, stopped past
their leases and started anew, the broker is wiped, frozen and restarted, the database restarted or left without room,
one worker's clock is wrong, and the remote cuts, throttles and lies.

What happens, and in which order, comes of a seed. ``ride_out`` returns the story once all has come to rest; what must
be true of it is in ledger.py.
"""

import json
import random  # noqa: TID251 - of a seed, which is an argument
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from redis import RedisError
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from schemas.jobs import JobState, QuotaRecalculation, Wish
from schemas.lanes import Lane
from tests.acceptance import mischief
from tests.acceptance.installation import Installation, wait_until
from tests.acceptance.mischief import Lift
from tests.acceptance.night import KINDS
from tests.acceptance.receivers import FAILING, GONE, HANGING, HEALTHY, SLOW, Receivers
from tests.acceptance.remote import Arrival, Effect
from tests.acceptance.wishes import (
    WishFile,
    correction_file,
    nightly_file,
    target_of,
    wish,
    wishes_by_target,
    wrong_file,
)
from tests.acceptance.year import PROFILE, Person, Simulation, Told, Year
from tests.services.postgres import PostgresServer
from worker.app import queue_key
from worker.clock import utc_now
from worker.intake.accept import Offered, Receipt, accept
from worker.store import batches
from worker.store.batches import NewBatch
from worker.store.outbox import PENDING
from worker.store.tables import agents, deliveries, jobs, roster_events, targets, wants

GUARDED = 3
PAST_ITS_LEASE = 23.0  # seconds: a chunk's is 19, an endpoint's 20
LIES: tuple[Mapping[str, Any], ...] = tuple(
    {"kind": "status", "status": status, "headers": headers}
    for status, headers in (
        (429, {"Retry-After": "-5"}),
        (429, {"Retry-After": "soon"}),
        (503, {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}),
        (429, {"RateLimit": '"burst";r=-1;t=abc, ;;=', "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "-99"}),
        (503, {"RateLimit": "limit=0, remaining=NaN, reset=1e9", "Retry-After": ""}),
    )
)
FAULTS = (*KINDS, *LIES)
ABSURD = {"kind": "status", "status": 429, "headers": {"Retry-After": "99999999999999"}}  # three million years
CONCURRENCY = {HEALTHY: "20", SLOW: "50", FAILING: "20", HANGING: "10", GONE: "5"}
LATE_FILE = correction_file(range(1, 17))
KNOWN = 30  # targets, before somebody changes them all
_QUOTAS = tuple(f"{PROFILE}/scorecardTemplates/{name}" for name in ("compliance@3", "empathy@2", "resolution@1"))


@dataclass(frozen=True, slots=True)
class Plan:
    """``rounds`` of all mischief; each round has ``wishes`` for as many targets beside the files."""

    seed: int
    rows: int
    agents: int
    fortnights: int
    wishes: int
    rate: int
    rounds: int = 1
    absurd: bool = False
    faulty: float = 0.03

    @property
    def targets(self) -> int:
        return self.rows + 2 * self.wishes + 100

    @property
    def patience(self) -> float:
        """Seconds, on a machine that has other things to do."""
        return 180 + 8 * self.rounds * (self.rows + self.wishes) / self.rate


@dataclass(frozen=True, slots=True)
class Urgent:
    """An interactive wish: when it was accepted, on the machine's monotonic clock, and what was due before it."""

    name: str
    at: float
    waiting: int


@dataclass
class Story:
    """What there is to judge. ``answers`` are the guarded commands' exit codes by what they were given; ``untouched``
    says of those that were stopped whether nothing was written."""

    plan: Plan
    year: Year
    receipts: list[dict[str, Any]] = field(default_factory=list)
    files: list[WishFile] = field(default_factory=list)
    wished: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    urgent: list[Urgent] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    untouched: dict[str, bool] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    endpoint: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    most_in_a_second: int = 0
    most_queued: int = 0
    memory: int = 0
    seconds: float = 0.0

    @property
    def order(self) -> dict[str, list[float]]:
        """The values that were asked for each target that somebody has named, oldest wish first."""
        return wishes_by_target(self.files) | self.wished


@dataclass
class Storm:
    site: Installation
    plan: Plan
    receivers: Receivers
    postgres: PostgresServer | None
    lifts: list[tuple[float, Lift]] = field(default_factory=list)
    asleep: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.plan.seed)  # noqa: S311 - a story, no secret
        begin = (utc_now() - timedelta(days=14 * self.plan.fortnights + 60)).replace(hour=0, minute=0, second=0)
        year = Simulation(self.plan.agents, self.plan.fortnights, self.plan.seed, begin.replace(microsecond=0)).run()
        self.story = Story(self.plan, year)

    def ride_out(self) -> Story:
        site, story = self.site, self.story
        self._start()
        started = time.monotonic()
        site.remote.limit(f"{self.plan.rate}/second")
        site.remote.script(self._faults())
        for step in self._steps():
            step()
            self._lift()
            story.most_queued = max(story.most_queued, self._queued())
            time.sleep(self.dice.uniform(0.0, 0.6))  # noqa: TID251 - the storm's own pace
        wait_until(lambda: not self._lift(), "what was stopped goes on", seconds=2 * PAST_ITS_LEASE)
        site.revive()
        wait_until(lambda: not self._left(), "all has come to rest", seconds=self.plan.patience)
        story.seconds = time.monotonic() - started
        story.arrivals, story.effects = site.remote.arrivals(), site.remote.effects()
        story.most_in_a_second = site.remote.most_in(1)
        story.memory = max(mischief.largest(site.started[name]) for name in ("worker-1", "worker-2"))
        site.remote.script([])
        return story

    def _start(self) -> None:
        """One of each two will have a wrong clock, or be stopped; the others go on."""
        site = self.site
        for kind in CONCURRENCY:
            self._make_endpoint(kind)
        skew = self.dice.choice((-7200.0, 7200.0))
        for process in [
            site.start_worker("worker-1"),
            site.start_worker("worker-2", clock_ahead=skew),
            *(site.start_loops(f"loops-{number}") for number in (1, 2)),
            *(site.start_deliverer(f"deliverer-{number}") for number in (1, 2)),
        ]:
            process.ready()
        self.story.struck["clocks two hours off"] += 1

    def _steps(self) -> list[Callable[[], None]]:
        """The work in its order; in the first half of each round all the mischief, in any, so that what it leaves
        is met by the rest of the work."""
        work = self._work()
        share = -(-len(work) // self.plan.rounds)
        steps: list[Callable[[], None]] = []
        for number in range(self.plan.rounds):
            some, trouble = work[number * share : (number + 1) * share], self._mischief()
            self.dice.shuffle(trouble)
            places = sorted(self.dice.randint(2, len(some) // 2) for _ in trouble)
            for place, strike in reversed(list(zip(places, trouble, strict=True))):
                some.insert(place, strike)
            stops = [partial(self._freeze, kind) for kind in ("worker", "loops", "deliverer")]
            some[2:2] = self.dice.sample(stops, len(stops))
            steps += some
        return steps

    def _work(self) -> list[Callable[[], None]]:
        plan, files = self.plan, []
        for number in range(plan.rounds):
            part = plan.rows // plan.rounds
            base = number * part
            files += [
                partial(self._apply, f"night-{number}", nightly_file(part, base)),
                partial(self._wish, base=plan.rows, value=60.25 + number),
                self._recalculate,
                partial(self._urgent, number * 10),
                partial(self._wish, base=plan.rows + plan.wishes // 2, value=60.5 + number),
                partial(self._urgent, number * 10 + 1),
                self._rotate,
                partial(self._too_much, number),
                partial(self._apply, f"correction-{number}", correction_file(range(base, base + part // 2, 17))),
                partial(self._urgent, number * 10 + 2),
            ]
        told = [partial(self._tell, one) for one in self.story.year.told]
        return [*files[:1], told[0], *self._merged(files[1:], told[1:])]

    def _merged(self, one: list[Any], other: list[Any]) -> list[Any]:
        """Both in their order, in between each other."""
        turns = [one] * len(one) + [other] * len(other)
        self.dice.shuffle(turns)
        each = {id(one): iter(one), id(other): iter(other)}
        return [next(each[id(turn)]) for turn in turns]

    def _mischief(self) -> list[Callable[[], None]]:
        site = self.site
        found: dict[str, Callable[[], None]] = {
            "workers killed": lambda: mischief.kill(site.started["worker-2"]),
            "children killed": lambda: mischief.kill_a_child(site.started["worker-2"]),
            "loops killed": lambda: mischief.kill(site.started["loops-2"]),
            "deliverers killed": lambda: mischief.kill(site.started["deliverer-2"]),
            "brokers wiped": site.valkey.flush,
            "brokers killed": self._restart_the_broker,
            "brokers frozen": lambda: self._lasts(1.5, mischief.freeze_the_broker(site)),
            "databases restarted" if self.postgres else "disks full": self._trouble_the_database,
        }
        if self.plan.absurd:
            found["waits of millennia"] = self._hold_for_ever
        return [partial(self._strike, name, strike) for name, strike in found.items()]

    def _strike(self, name: str, strike: Callable[[], None]) -> None:
        strike()
        self.story.struck[name] += 1
        for process in self.site.started.values():
            if process.status != "running":
                process.start()

    def _freeze(self, kind: str) -> None:
        """The first of its kind, unless it is stopped already."""
        if kind in self.asleep:
            return
        lift = mischief.freeze(self.site.started[f"{kind}-1"], self.site)
        self.asleep.add(kind)

        def wake() -> None:
            lift()
            self.asleep.remove(kind)

        self._lasts(PAST_ITS_LEASE, wake)
        self.story.struck[f"{kind} stopped past its lease"] += 1

    def _restart_the_broker(self) -> None:
        self.site.broker.kill()
        self.site.broker.restart()

    def _trouble_the_database(self) -> None:
        if self.postgres:
            self.postgres.restart()
            return
        lift = mischief.fill_the_disk(self.site)
        self._refused_for_want_of_room()

        def make_room() -> None:
            lift()
            self._apply("no-room", LATE_FILE)

        self._lasts(1.0, make_room)

    def _refused_for_want_of_room(self) -> None:
        """A command says so in one line; what it was given is offered again under the same key."""
        path = self._written("no-room", LATE_FILE)
        code, printed = self.site.without_room("targets", "apply", path, "--key", "no-room", "--approve", "--json")
        if code:
            self.story.refused.append(printed)

    def _hold_for_ever(self) -> None:
        """Until a person ends it."""
        self.site.remote.script([{"times": 1, "fault": ABSURD}, *self._faults()])
        self.site.accept([wish(self.plan.targets - 1, 99.0)])
        self.story.wished[target_of(self.plan.targets - 1).name].append(99.0)
        wait_until(self._is_held, "the fleet keeps the wait", seconds=60)
        code, printed = self.site.coachsync("remotes", "release", "default", "--json")
        assert code == 0, printed

    def _is_held(self) -> bool:
        code, printed = self.site.coachsync("remotes", "release", "default", "--dry-run", "--json")
        return code == 0 and json.loads(printed)["cooldownSeconds"] > 1_000

    def _lasts(self, seconds: float, lift: Lift) -> None:
        self.lifts.append((time.monotonic() + seconds, lift))

    def _lift(self) -> bool:
        """What is over goes on; whether anything is left."""
        now = time.monotonic()
        over = sorted((one for one in self.lifts if one[0] <= now), key=lambda one: one[0], reverse=True)
        self.lifts = [one for one in self.lifts if one[0] > now]
        for _, lift in over:
            lift()
        return bool(self.lifts)

    # The work

    def _apply(self, name: str, file: WishFile) -> None:
        self.story.files.append(file)
        path = self._written(name, file)
        code, printed = self._patiently("targets", "apply", path, "--json", "--key", name, "--approve")
        assert code in (0, 1 if file.invalid else 0), printed
        self.story.receipts.append(json.JSONDecoder().raw_decode(printed)[0])

    def _written(self, name: str, file: WishFile) -> str:
        path = self.site.folder / f"{name}.csv"
        path.write_text(file.text)
        return str(path)

    def _wish(self, base: int, value: float) -> None:
        """From Python, twice for each target: the second is the newest."""
        for more in (0.0, 20.0):
            numbers = range(base, base + self.plan.wishes)
            self._accept((wish(number, value + more) for number in numbers), f"wishes-{base}-{value + more}")
            for number in numbers:
                self.story.wished[target_of(number).name].append(value + more)

    def _urgent(self, number: int) -> None:
        target = self.plan.rows + 2 * self.plan.wishes + number
        waiting, asked = self.site.due(), time.monotonic()
        self._accept([wish(target, 33.25)], f"urgent-{number}", Lane.INTERACTIVE)
        name = target_of(target).name
        self.story.wished[name].append(33.25)
        self.story.urgent.append(Urgent(name, asked, waiting))

    def _recalculate(self) -> None:
        questions = [QuotaRecalculation(scorecard_template_name=name) for name in _QUOTAS]
        self._accept(questions, "quotas")

    def _accept(self, wishes: Iterable[Wish], key: str, lane: Lane = Lane.BULK) -> None:
        """As a producer in Python does, which offers the same again where it was not told that it is accepted."""
        rows = [Offered(row, row, one) for row, one in enumerate(wishes, start=1)]
        new = NewBatch("storm", lane, key=f"{key}-{len(self.story.receipts)}")
        runtime = self.site.runtime
        receipt = _offered(lambda: accept(runtime.database, rows, new, runtime.settings.remote_for))
        counts = {"rows": receipt.rows, "accepted": receipt.accepted, "rejected": receipt.rejected}
        self.story.receipts.append({"batch": receipt.batch_id, **counts})

    def _too_much(self, number: int) -> None:
        """A whole file of wrong values, without a word of approval."""
        wait_until(lambda: self._known() >= KNOWN, "some targets are known", seconds=self.plan.patience)
        name = f"too-much-{number}"
        path = self._written(name, wrong_file(range(self.plan.rows)))
        code, _ = self._patiently("targets", "apply", path, "--json", "--key", name)
        self.story.answers[name] = code
        with self.site.runtime.database.read() as session:
            self.story.untouched[name] = batches.find(session, name) is None

    def _rotate(self) -> None:
        code, printed = self._patiently("webhooks", "endpoints", "rotate", self.story.endpoint[HEALTHY], "--json")
        assert code == 0, printed
        self.story.secrets.append(json.loads(printed)["secret"])

    def _tell(self, told: Told) -> None:
        site = self.site
        if told.roster:
            site.remote.roster(PROFILE, [_seen_by_remote(person) for person in told.roster])
        path = site.folder / told.name
        path.write_text(told.text)
        command = ["roster", "import" if told.as_of else "events", str(path), "--json"]
        if told.as_of:
            command += ["--as-of", told.as_of.isoformat()]
        before = self._projection()
        code, printed = self._patiently(*command)
        self.story.answers[told.name] = code
        if code == GUARDED:
            self.story.untouched[told.name] = before == self._projection()
        if told.bulk:
            code, printed = self._patiently(*command, "--approve")
        assert code == 0 or told.truncated, printed

    def _patiently(self, *command: str) -> tuple[int, str]:
        """As a person who reads `the database refused`, and runs the same command again."""
        for _ in range(5):
            code, printed = self.site.coachsync(*command)
            if "the database" not in printed:
                break
            self.story.refused.append(printed)
        return code, printed

    def _make_endpoint(self, kind: str) -> None:
        more = ["--ordered"] if kind == HEALTHY else []
        url = f"{self.receivers.url}/{kind}"
        options = ["--concurrency", CONCURRENCY[kind], *more, "--json"]
        code, printed = self.site.coachsync("webhooks", "endpoints", "create", url, *options)
        assert code == 0, printed
        made = json.loads(printed)
        self.story.endpoint[kind] = made["endpoint"]
        if kind == HEALTHY:
            self.story.secrets.append(made["secret"])

    # What there is

    def _faults(self) -> list[dict[str, Any]]:
        match = {"path": "/v1/*", "probability": self.plan.faulty / len(FAULTS)}
        return [{"match": match, "fault": fault} for fault in FAULTS]

    def _queued(self) -> int:
        """Messages that lie with the broker; none where it does not answer."""
        runtime = self.site.runtime
        with suppress(RedisError):
            return sum(int(runtime.redis.llen(queue_key(runtime.app, lane))) for lane in Lane)
        return 0

    def _known(self) -> int:
        with self.site.runtime.database.read() as session:
            return int(session.execute(select(func.count()).select_from(targets)).scalar_one())

    def _projection(self) -> list[Any]:
        with self.site.runtime.database.read() as session:
            rows = session.execute(select(agents.c.agent, agents.c.facts, agents.c.active).order_by(agents.c.agent))
            return [tuple(row) for row in rows]

    def _left(self) -> int:
        """What is still to be planned, asked, sent, or told to those who take it."""
        working = [self.story.endpoint[kind] for kind in (HEALTHY, SLOW, FAILING)]
        still_open = jobs.c.state.in_((JobState.PENDING, JobState.RUNNING))
        waiting = deliveries.c.endpoint_id.in_(working), deliveries.c.state == PENDING
        counted = (
            select(func.count()).select_from(roster_events).where(roster_events.c.state == "waiting"),
            select(func.count()).select_from(wants).where(~wants.c.asked),
            select(func.count()).select_from(jobs).where(still_open),
            select(func.count()).select_from(deliveries).where(*waiting),
        )
        with self.site.runtime.database.read() as session:
            return sum(int(session.execute(query).scalar_one()) for query in counted)


def _offered(accept_all: Callable[[], Receipt]) -> Receipt:
    """Again where the database stayed away for longer than the door waits."""
    for _ in range(4):
        with suppress(DBAPIError):
            return accept_all()
    return accept_all()


def _seen_by_remote(person: Person) -> dict[str, Any]:
    usecases = [f"{PROFILE}/usecases/{one}" for one in person.usecases]
    return {"user": person.name, "group": person.group, "usecases": usecases}
