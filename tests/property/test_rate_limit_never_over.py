"""Whatever happens in whatever order, no sliding window at the remote ever holds more than the limit, and nobody sends
before a wait that the remote has asked for is over, though the limiter's memory be lost.

The remote may receive a request at any moment between its grant and its end; the check below is over all such moments
at once. One thing is assumed (docs/explanation/rate-limit.md): a request whose permit was forgotten under way arrives
within the permit's time to be used.
"""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from api_adapter.rate_limit.permits import Grant, Permit, Settled, Why
from api_adapter.rate_limit.policy import INTERACTIVE_GRACE_MS, PERMIT_LIFETIME, USE_WITHIN, History, Policy, RateLimit
from schemas.lanes import Lane
from tests.services.limiters import Bench, LocalBench, SharedBench
from tests.services.valkey import ValkeyServer

MS = timedelta(milliseconds=1)
LIFETIME_MS, USE_WITHIN_MS = PERMIT_LIFETIME // MS, USE_WITHIN // MS


@dataclass(frozen=True, slots=True)
class Ask:
    want: int
    lane: Lane


@dataclass(frozen=True, slots=True)
class End:
    """One of the permits, chosen by ``which``, settled with an answer that came ``late_ms`` ago; perhaps once more.

    The answer may ask for a wait.
    """

    which: int
    sent: bool
    late_ms: int
    wait_ms: int | None


@dataclass(frozen=True, slots=True)
class Pass:
    ms: int


@dataclass(frozen=True, slots=True)
class Forget:
    pass


Step = Ask | End | Pass | Forget
asks = st.builds(Ask, want=st.integers(1, 12), lane=st.sampled_from([Lane.BULK, Lane.BULK, Lane.INTERACTIVE]))
which, late_ms = st.integers(0, 1000), st.integers(0, 300)
ends = st.builds(End, which, st.integers(0, 5).map(bool), late_ms, wait_ms=st.none())
throttles = st.builds(End, which, st.just(value=True), late_ms, wait_ms=st.sampled_from([0, 300, 3000, 12_000]))
passes = st.builds(
    Pass, st.one_of(st.integers(1, 40), st.integers(1, 1200), st.integers(LIFETIME_MS - 50, LIFETIME_MS))
)
# `one_of` would take each kind once, however often it is named
kinds = [*[asks] * 9, *[ends] * 6, *[passes] * 6, *[throttles] * 2, *[st.builds(Forget)] * 2]
steps = st.lists(st.integers(0, len(kinds) - 1).flatmap(kinds.__getitem__), min_size=20, max_size=100)
# limits whose numbers come often enough to meet each other's edges
edged = st.builds(
    lambda short, long, in_flight: Policy((short, long), in_flight, interactive_reserve=0.2),
    st.builds(RateLimit, st.integers(1, 12), st.sampled_from([100 * MS, 1000 * MS])),
    st.builds(RateLimit, st.integers(12, 40), st.sampled_from([1500 * MS, 4000 * MS])),
    st.sampled_from([5, 100]),
)
# a window that is soon used up to its reserve
reserving = st.builds(
    lambda long: Policy((RateLimit(24, 100 * MS), long), 100, interactive_reserve=0.6),
    st.builds(RateLimit, st.integers(24, 32), st.sampled_from([5000 * MS, 20_000 * MS])),
)
policies = st.one_of(edged, reserving)


@dataclass(slots=True)
class Sent:
    """A request that reaches the remote at some moment from ``granted`` to ``ended``, in ms."""

    permit: Permit
    granted: int
    ended: int
    over: bool = False
    sent: bool = True


@dataclass
class World:
    """One fleet, one remote, and the truth about every request."""

    bench: Bench
    policy: Policy
    all: list[Sent] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    asked_for_quiet_until: int = 0
    interactive_may_wait_until: int = 0

    def __post_init__(self) -> None:
        self.limiter = self.bench.limiter(self.policy, seed=self.honest_seed)
        self.bench.settle(self.limiter)
        self.bench.advance(4.5)

    @property
    def now(self) -> int:
        return round(self.bench.clock.now * 1000)

    async def honest_seed(self) -> History:
        cooldown = max(0, self.asked_for_quiet_until - self.now)
        self.met["a cooldown in the seeded history"] += cooldown > 0
        sent = {limit.window: self.seen_since(self.now - limit.window_ms) for limit in self.policy.limits}
        return History(sent, cooldown * MS)

    def seen_since(self, start: int) -> int:
        return sum(one.sent and (not one.over or one.ended >= start) for one in self.all)

    def take(self, step: Step) -> None:
        match step:
            case Ask():
                self.ask(step)
            case End() if self.all:
                self.end(self.all[step.which % len(self.all)], step)
            case Pass(ms):
                self.bench.advance(ms / 1000)
                for one in self.all:
                    one.over |= one.ended <= self.now
            case Forget():
                for one in self.all:
                    one.ended = one.ended if one.over else min(one.ended, one.granted + USE_WITHIN_MS)
                self.bench.forget()

    def ask(self, step: Ask) -> None:
        grant = self.bench.ask(self.limiter, step.want, lane=step.lane)
        assert not grant.permits or self.now >= self.asked_for_quiet_until
        if step.lane is Lane.INTERACTIVE:
            self.interactive_may_wait_until = self.now + grant.retry_in // MS + INTERACTIVE_GRACE_MS
        nobody_is_ahead = self.now >= self.interactive_may_wait_until
        self.met["the reserve"] += grant.why is Why.RESERVED and (nobody_is_ahead or bool(grant.permits))
        self.grants.append(grant)
        self.all += [Sent(one, self.now, self.now + LIFETIME_MS) for one in grant.permits]

    def end(self, one: Sent, step: End) -> None:
        if not one.over:
            one.ended = min(one.ended, max(one.granted, self.now - step.late_ms))
            one.over, one.sent = True, step.sent
        wait = None if step.wait_ms is None else step.wait_ms * MS
        if step.wait_ms is not None:
            self.asked_for_quiet_until = max(self.asked_for_quiet_until, one.ended + step.wait_ms)
        settled = Settled(one.permit, one.sent, step.wait_ms is not None, wait, one.ended / 1000)
        self.bench.settle(self.limiter, settled)

    def assert_no_window_was_over(self) -> None:
        """A window holds most when it begins just as some request can last have arrived."""
        requests = [one for one in self.all if one.sent]
        for limit in self.policy.limits:
            for start in {one.ended for one in requests}:
                end = start + limit.window_ms
                held = sum(one.granted < end and one.ended >= start for one in requests)
                assert held <= limit.limit, f"{held} requests can arrive within {limit} from {start}"


def lived_through(policy: Policy, schedule: list[Step]) -> World:
    with closing(LocalBench()) as bench:
        world = World(bench, policy)
        for step in schedule:
            world.take(step)
    return world


@settings(max_examples=150)
@given(policies, steps)
def test_no_sliding_window_is_ever_over_its_limit_and_no_wait_is_cut_short(
    policy: Policy, schedule: list[Step]
) -> None:
    world = lived_through(policy, schedule)
    for what in +world.met:
        event(what)
    world.assert_no_window_was_over()


def test_the_stories_meet_the_reserve_and_a_cooldown_in_the_seeded_history() -> None:
    stories = Counter[str]()

    @settings(max_examples=200, phases=[Phase.generate])
    @given(policies, steps)
    def tell(policy: Policy, schedule: list[Step]) -> None:
        stories.update((+lived_through(policy, schedule).met).keys())

    tell()
    assert stories["the reserve"] >= 3
    assert stories["a cooldown in the seeded history"] >= 3


class KeptAsText(LocalBench):
    """Between two exchanges its fractions are kept as the script keeps them, in JSON: to fourteen digits."""

    def ask(self, *asked: Any, **how: Any) -> Grant:
        grant = super().ask(*asked, **how)
        if self.twin and self.twin._memory:
            pace = self.twin._memory.pace
            for name in ("tokens", "factor", "answers", "throttled"):
                setattr(pace, name, float(f"{getattr(pace, name):.14g}"))
        return grant


@settings(max_examples=50)
@given(policies, steps)
def test_the_script_decides_as_its_specification_does(
    valkey_server: ValkeyServer, policy: Policy, schedule: list[Step]
) -> None:
    valkey_server.flush()
    with closing(KeptAsText()) as twin, closing(SharedBench(url=valkey_server.url)) as shared:
        specified, scripted = World(twin, policy), World(shared, policy)
        for step in schedule:
            specified.take(step)
            scripted.take(step)
            assert scripted.grants[-1:] == specified.grants[-1:]
    scripted.assert_no_window_was_over()
