"""A storm over a whole installation: all kinds of work through real processes, while they are killed, stopped past
their leases and started anew, the broker is wiped, frozen and restarted, the database restarted or left without room,
one worker's clock is wrong, and the remote cuts, throttles and lies.

What happens, and in which order, comes of a seed. ``ride_out`` returns the story once all has come to rest; what must
be true of it is in ledger.py.
"""

import json
import random  # noqa: TID251 - of a seed, which is an argument
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from redis import RedisError

from schemas.lanes import Lane
from tests.acceptance import mischief
from tests.acceptance.installation import Installation, wait_until
from tests.acceptance.mischief import Lift
from tests.acceptance.night import KINDS
from tests.acceptance.receivers import Receivers
from tests.acceptance.story import CONCURRENCY, Plan, Story
from tests.acceptance.wishes import correction_file, nightly_file
from tests.acceptance.workload import Workload
from tests.acceptance.year import Simulation
from tests.services.postgres import PostgresServer
from worker.app import queue_key
from worker.clock import utc_now

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
LATE_FILE = correction_file(range(1, 17))


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
        self.work = Workload(self.site, self.story, self.receivers, self._await)

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
        self._await(lambda: not self.lifts, "what was stopped goes on")
        site.revive()
        wait_until(lambda: not self.work.left(), "all has come to rest", seconds=self.plan.patience)
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
            self.work.make_endpoint(kind)
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
                partial(self.work.apply, f"night-{number}", nightly_file(part, base)),
                partial(self.work.wish_twice, base=plan.rows, value=60.25 + number),
                self.work.recalculate,
                partial(self.work.urgent, number * 10),
                partial(self.work.wish_twice, base=plan.rows + plan.wishes // 2, value=60.5 + number),
                partial(self.work.urgent, number * 10 + 1),
                self.work.rotate,
                partial(self.work.too_much, number),
                partial(self.work.apply, f"correction-{number}", correction_file(range(base, base + part // 2, 17))),
                partial(self.work.urgent, number * 10 + 2),
            ]
        told = [partial(self.work.tell, one) for one in self.story.year.told]
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
            "brokers wiped": self._wipe_the_broker,
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

    def _wipe_the_broker(self) -> None:
        """One that stands still takes no command."""
        self.site.valkey.thaw()
        self.site.valkey.flush()

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
            self.work.apply("no-room", LATE_FILE)

        self._lasts(1.0, make_room)

    def _refused_for_want_of_room(self) -> None:
        """A command says so in one line; what it was given is offered again under the same key."""
        path = self.work.written("no-room", LATE_FILE)
        code, printed = self.site.without_room("targets", "apply", path, "--key", "no-room", "--approve", "--json")
        if code:
            self.story.refused.append(printed)

    def _hold_for_ever(self) -> None:
        """Until a person ends it."""
        self.site.remote.script([{"times": 1, "fault": ABSURD}, *self._faults()])
        self.work.urgent(99 - self.story.struck["waits of millennia"])
        self._await(self._is_held, "the fleet keeps the wait")
        code, printed = self.site.coachsync("remotes", "release", "default", "--json")
        assert code == 0, printed

    def _is_held(self) -> bool:
        code, printed = self.site.coachsync("remotes", "release", "default", "--dry-run", "--json")
        return code == 0 and json.loads(printed)["cooldownSeconds"] > 1_000

    def _lasts(self, seconds: float, lift: Lift) -> None:
        self.lifts.append((time.monotonic() + seconds, lift))

    def _lift(self) -> None:
        """What is over goes on."""
        now = time.monotonic()
        over = [one for one in self.lifts if one[0] <= now]
        self.lifts = [one for one in self.lifts if one[0] > now]
        for _, lift in over:
            lift()

    def _await(self, true: Callable[[], bool], what: str) -> None:
        def is_true() -> bool:
            self._lift()
            return true()

        wait_until(is_true, what, seconds=self.plan.patience)

    def _faults(self) -> list[dict[str, Any]]:
        """Each of them early on, once; then all of them by chance."""
        early = self.dice.sample(range(5, 200), len(FAULTS))
        certain = [{"path": "/v1/*", "nth": number} for number in early]
        chance = {"path": "/v1/*", "probability": self.plan.faulty / len(FAULTS)}
        matches = [*certain, *(chance for _ in FAULTS)]
        return [{"match": match, "fault": fault} for match, fault in zip(matches, FAULTS * 2, strict=True)]

    def _queued(self) -> int:
        """Messages that lie with the broker; none where it does not answer."""
        runtime = self.site.runtime
        with suppress(RedisError):
            return sum(int(runtime.redis.llen(queue_key(runtime.app, lane))) for lane in Lane)
        return 0
