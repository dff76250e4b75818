"""A world that plays producers, workers, time and a remote against the real store, in any order.

The walk of a job is the executor's, with its network replaced by a simulated remote: what may be in flight when a
worker dies or gives up arrives before the pause is over that the store makes everybody wait.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, TypeVar

from hypothesis import strategies as st
from sqlalchemy import select

from api_adapter.outcomes import Ambiguous, Answered, Exchange, Operation, Outcome, Throttled, Unavailable
from schemas.coaching import Target, TargetWrite
from schemas.jobs import JobState, TargetUpdate
from tests.integration import store_rig
from tests.services.stores import empty
from worker.core.acceptance import Quiet
from worker.core.decisions import CHANGED_ELSEWHERE, Decision, Effort, Fail, GiveBack, Succeed, decide
from worker.core.resolution import (
    AlreadyThere,
    ChangedElsewhere,
    Earlier,
    OtherIdentity,
    Send,
    compose,
    must_read,
    resolve,
)
from worker.store.claims import Claimed, rescue
from worker.store.engine import Database
from worker.store.records import Record, Tried
from worker.store.repairs import repair
from worker.store.tables import jobs

BEFORE = 5.0
PERSONS = 60.0
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
QUIET = Quiet(timedelta(hours=1), timedelta(hours=2))  # no storm ends by itself within a story
T = TypeVar("T")


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = auto()
    LOST_APPLIED = auto()
    LOST_NEVER = auto()
    LOST_IN_FLIGHT = auto()
    UNAVAILABLE = auto()
    THROTTLED = auto()
    DIES_BEFORE = auto()
    DIES_APPLIED = auto()
    DIES_IN_FLIGHT = auto()


ARRIVES = (Fate.ANSWERED, Fate.LOST_APPLIED, Fate.DIES_APPLIED)
IN_FLIGHT = (Fate.LOST_IN_FLIGHT, Fate.DIES_IN_FLIGHT)
DIES = (Fate.DIES_BEFORE, Fate.DIES_APPLIED, Fate.DIES_IN_FLIGHT)
MAY_ARRIVE = (*ARRIVES, *IN_FLIGHT, Fate.LOST_NEVER)


@dataclass(frozen=True, slots=True)
class Accept:
    """``age``: the wish has an ``asOf`` of long ago, else none. ``rests``: it becomes a job when its storm is over."""

    which: int
    value: float
    age: int | None = None
    rests: bool = False


@dataclass(frozen=True, slots=True)
class AcceptBatch:
    wishes: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Work:
    """What mostly happens: a wish, a message with it alone, its request, perhaps its record.

    ``waits``: where a target is not free yet, pauses and leases end first. Without a fate the worker hangs: it has
    the job in hand, sends nothing, and its lease ends.
    """

    which: int
    value: float
    fate: Fate | None
    recorded: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message with ``many`` open jobs, from the ``pick``-th on; ``again``: one that was delivered before."""

    pick: int
    many: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class SendOne:
    """One of the jobs in the workers' hands."""

    pick: int
    fate: Fate


@dataclass(frozen=True, slots=True)
class End:
    """A worker sends what it has left and records all; without a fate it gives back the rest; or it dies."""

    pick: int
    fate: Fate | None
    dies: bool


class Time(Enum):
    """``LEASES_END``: those of live workers too. They hang, and whatever they send from now on is late."""

    PAUSES_END = auto()
    LEASES_END = auto()


@dataclass(frozen=True, slots=True)
class Edit:
    """A person changes a target at the remote."""

    which: int


Step = Accept | AcceptBatch | Work | Deliver | SendOne | End | Time | Edit
_WHICH = st.sampled_from([0, 0, 0, 1])
_VALUES = st.sampled_from([10.0, 20.0, 30.0])
_FATES = st.sampled_from([*Fate, *[Fate.ANSWERED] * 4])
_PICKS = st.integers(0, 11)
_ACCEPTS = st.builds(Accept, _WHICH, _VALUES, st.none() | st.integers(0, 3), st.booleans())
_WORKS = st.builds(Work, _WHICH, _VALUES, _FATES | st.just(None), st.booleans(), st.booleans())
_BATCHES = st.builds(AcceptBatch, st.lists(st.tuples(_WHICH, _VALUES), min_size=2, max_size=4).map(tuple))
_SENDS = st.builds(SendOne, _PICKS, _FATES)
_ENDS = st.builds(End, _PICKS, _FATES | st.just(None), st.sampled_from([False, False, False, True]))
_DELIVERIES = st.builds(Deliver, _PICKS, st.integers(1, 3), st.booleans())
_USUAL = (_ACCEPTS, _ACCEPTS, _BATCHES, *[_WORKS] * 7, _DELIVERIES, *[_SENDS] * 3, *[_ENDS] * 3, st.sampled_from(Time))


def stories(*, people: bool = False, length: int = 25) -> st.SearchStrategy[list[Step]]:
    kinds: list[st.SearchStrategy[Any]] = [*_USUAL, *([st.builds(Edit, _WHICH)] * 2 if people else [])]
    step = st.integers(0, len(kinds) - 1).flatmap(kinds.__getitem__)
    return st.lists(step, min_size=length // 2, max_size=length)


@dataclass
class Remote:
    """Holds targets, and what is still on its way. ``arrived`` counts the writes of each job that took effect."""

    values: dict[str, float] = field(default_factory=lambda: defaultdict(lambda: BEFORE))
    changed_at: dict[str, datetime] = field(default_factory=dict)
    on_its_way: list[tuple[int, TargetWrite]] = field(default_factory=list)
    arrived: Counter[int] = field(default_factory=Counter)
    edited: dict[str, int] = field(default_factory=dict)

    def read(self, wish: TargetUpdate) -> Target:
        there = store_rig.remote_target(wish, self.values[wish.name])
        return there.model_copy(update={"update_time": self.changed_at.get(wish.name)})

    def arrive(self, job: int, write: TargetWrite) -> None:
        self._set(write.name, write.target)
        self.arrived[job] += 1
        self.edited.pop(write.name, None)

    def arrive_all(self) -> None:
        for one in self.on_its_way:
            self.arrive(*one)
        self.on_its_way.clear()

    def edit(self, name: str, value: float, step: int) -> None:
        self._set(name, value)
        self.edited[name] = step

    def _set(self, name: str, value: float) -> None:
        self.values[name] = value
        self.changed_at[name] = datetime.now(UTC)  # noqa: TID251 - compared with the database's clock


@dataclass
class Held:
    """A job in a worker's hands; ``record`` is what it has to write. A ``late`` write lives to be recorded."""

    job: Claimed
    record: Record | None = None
    late: bool = False


class World:
    """Every step is one transaction or one request."""

    def __init__(self, store: Database) -> None:
        self.store = store
        self.remote = Remote()
        self.workers: dict[str, list[Held]] = {}
        self.messages: dict[str, list[int]] = {}
        self.newest: dict[str, tuple[tuple[int, int], int]] = {}
        self.values: dict[int, float] = {}
        self.left_at: dict[int, int] = {}
        self.overtaken: set[str] = set()
        self.touched: set[str] = set()
        self.clock = itertools.count()
        empty(store)

    def live(self, story: Iterable[Step]) -> None:
        for step in story:
            self._take(step)
        self._come_to_rest()
        self._check()

    def _take(self, step: Step) -> None:  # noqa: C901 - one arm a step
        match step:
            case Accept(which=which, value=value, age=age, rests=rests):
                as_of = None if age is None else LONG_AGO + timedelta(minutes=age)
                self._accept(store_rig.wish(which, value, as_of=as_of), quiet=QUIET if rests else None)
            case AcceptBatch(wishes=wishes):
                self._accept(*(store_rig.wish(which, value) for which, value in wishes))
            case Work():
                self._work(step)
            case Deliver(again=True) if self.messages:
                self._claim(_pick(sorted(self.messages), step.pick))
            case Deliver(pick=pick, many=many):
                self._deliver(sorted(store_rig.open_jobs(self.store))[pick % 3 :][:many])
            case SendOne(pick=pick, fate=fate) if unsent := self._unsent():
                self._send(*_pick(unsent, pick), fate)
            case End() if self.workers:
                self._end(_pick(sorted(self.workers), step.pick), step.fate, dies=step.dies)
            case Time.PAUSES_END:
                self._let_pauses_end()
            case Time.LEASES_END:
                self._let_leases_end()
            case Edit(which=which):
                self._edit(store_rig.name_of(which))
            case _:
                pass  # nobody is there to do it

    def _accept(self, *wishes: TargetUpdate, quiet: Quiet | None = None) -> None:
        """An ``asOf`` of long ago is older than any wish without one."""
        ids = store_rig.resting(self.store, quiet, *wishes) if quiet else store_rig.job_ids(self.store, *wishes)
        for wish, job in zip(wishes, ids, strict=True):
            self.values[job] = wish.target
            version = (0, wish.as_of.minute) if wish.as_of else (1, next(self.clock))
            if wish.name not in self.newest or version >= self.newest[wish.name][0]:
                self.newest[wish.name] = (version, job)

    def _work(self, step: Work) -> None:
        if not self._open(step.which):
            self._accept(store_rig.wish(step.which, step.value))
        if step.waits:
            self._let_leases_end()
        worker = self._deliver(self._open(step.which))
        if step.fate is None:
            self._let_leases_end()
            return
        for held in list(self.workers[worker]):
            self._send(worker, held, step.fate)
        if step.recorded and worker in self.workers:
            self._record(worker)

    def _end(self, worker: str, fate: Fate | None, *, dies: bool) -> None:
        for held in self.workers[worker]:
            if fate and worker in self.workers and held.record is None:
                self._send(worker, held, fate)
        if worker in self.workers:
            self._die(worker) if dies else self._record(worker)

    def _open(self, which: int) -> list[int]:
        mine = jobs.c.resource == store_rig.name_of(which)
        query = select(jobs.c.id).where(mine, jobs.c.state.in_((JobState.PENDING, JobState.RUNNING)))
        with self.store.read() as session:
            return sorted(session.execute(query).scalars())

    def _deliver(self, ids: list[int]) -> str:
        owner = f"m-{next(self.clock)}"
        self.messages[owner] = ids
        return self._claim(owner)

    def _let_pauses_end(self) -> None:
        self.remote.arrive_all()
        store_rig.change(self.store, sorted(store_rig.open_jobs(self.store)), due_at=LONG_AGO)

    def _let_leases_end(self) -> None:
        self.remote.arrive_all()
        store_rig.let_time_pass(self.store)
        with self.store.write() as session:
            rescue(session)

    def _edit(self, name: str) -> None:
        step = next(self.clock)
        self.touched.add(name)
        self.remote.edit(name, PERSONS + step % 40, step)

    def _unsent(self) -> list[tuple[str, Held]]:
        return [(worker, held) for worker, some in sorted(self.workers.items()) for held in some if not held.record]

    def _claim(self, owner: str) -> str:
        worker = f"{owner}/{next(self.clock)}"
        claimed = store_rig.take(self.store, *self.messages[owner], owner=owner)
        self.workers[worker] = [Held(job) for job in claimed]
        return worker

    def _send(self, worker: str, held: Held, fate: Fate) -> None:
        row = store_rig.job(self.store, held.job.id)
        held.late = (row.state, row.fence) != (JobState.RUNNING, held.job.fence)
        if held.late:
            self.overtaken.add(held.job.resource)
            fate = Fate.LOST_APPLIED if fate in DIES else fate
        wish = TargetUpdate.model_validate_json(held.job.wish)
        decision, tried = self._walk(held, wish, fate)
        if fate in DIES:
            self._die(worker)
        else:
            held.record = Record(held.job, decision, tried)

    def _walk(self, held: Held, wish: TargetUpdate, fate: Fate) -> tuple[Decision, tuple[Tried, ...]]:
        job = held.job
        if not (job.read_first or must_read(wish, job.known)):
            return self._write(held, compose(wish, job.known), fate)
        if fate is Fate.UNAVAILABLE:
            return self._decide(job, Unavailable(_seen(Operation.GET_TARGET), None, "down")), ()
        found = self.remote.read(wish)
        baseline = job.baseline if job.baseline is not None or not job.known else job.known.target
        sent_before = job.first_sent_at if job.read_first else None
        match resolve(wish, found, Earlier(sent_before, baseline, job.ours), forced=job.forced):
            case AlreadyThere():
                return Succeed("already_there", found), ()
            case Send(write=write):
                return self._write(held, write, fate)
            case ChangedElsewhere(found=value):
                return Fail(CHANGED_ELSEWHERE, f"somebody set {value}", found), ()
            case OtherIdentity(fields=fields):
                raise AssertionError(f"nobody changes identities here: {fields}")

    def _write(self, held: Held, write: TargetWrite, fate: Fate) -> tuple[Decision, tuple[Tried, ...]]:
        job, edited = held.job, self.remote.edited.get(write.name)
        if job.id in self.left_at and edited is not None and not held.late:
            assert edited < self.left_at[job.id], "a retry overwrites what a person changed since the first try"
        if fate in MAY_ARRIVE:
            self.left_at.setdefault(job.id, next(self.clock))
        if fate in ARRIVES:
            self.remote.arrive(job.id, write)
        elif fate in IN_FLIGHT:
            self.remote.on_its_way.append((job.id, write))
        return self._decide(job, _outcome(fate, write)), (store_rig.AT_WORK,)

    def _decide(self, job: Claimed, outcome: Outcome[Any]) -> Decision:
        return decide(outcome, Effort(job.failures, write=True), lambda: 0.5)

    def _record(self, worker: str) -> None:
        records = [held.record or Record(held.job, GiveBack()) for held in self.workers.pop(worker)]
        late = store_rig.write(self.store, *records)
        with self.store.write() as session:
            repair(session, late)

    def _die(self, worker: str) -> None:
        if any(held.late and held.record for held in self.workers[worker]):
            self._record(worker)  # a lease outlives every request by far: who wrote late lives to tell
        self.workers.pop(worker, None)

    def _come_to_rest(self) -> None:
        for worker in list(self.workers):
            self._die(worker)
        for _ in range(200):
            self._let_leases_end()
            ids = sorted(store_rig.open_jobs(self.store))
            if not ids:
                return
            for number in ids:
                for job in store_rig.take(self.store, number, owner=f"m-{next(self.clock)}"):
                    worker, held = f"last/{job.id}", Held(job)
                    self.workers[worker] = [held]
                    self._send(worker, held, Fate.ANSWERED)
                    self._record(worker)
        raise AssertionError("jobs are left that never end")

    def _check(self) -> None:
        store_rig.assert_adds_up(self.store)
        rows = store_rig.all_jobs(self.store)
        for row in rows.values():
            assert JobState(row.state).final, row
            assert row.finished_at, row
        for name, (_, newest) in self.newest.items():
            if name not in self.touched and rows[newest].error_code not in ("exhausted", "poison"):
                assert self.remote.values[name] == self.values[newest], (name, rows[newest])
        for number, count in self.remote.arrived.items():
            assert count == 1 or rows[number].resource in self.overtaken | self.touched, rows[number]


def _pick(some: Sequence[T], pick: int) -> T:
    return some[pick % len(some)]


def _seen(operation: Operation) -> Exchange:
    return Exchange(operation, "r-1", None, timedelta(0))


def _outcome(fate: Fate, write: TargetWrite) -> Outcome[Target]:
    seen = _seen(Operation.UPDATE_TARGET)
    match fate:
        case Fate.ANSWERED:
            return Answered(seen, Target.model_validate(write.model_dump()))
        case Fate.THROTTLED:
            return Throttled(seen, None, "slow down")
        case Fate.UNAVAILABLE:
            return Unavailable(seen, None, "down")
        case _:
            return Ambiguous(seen, "no answer")
