"""Whatever happens in whatever order, no sliding window at the remote ever holds more than the limit.

The remote may receive a request at any moment between its grant and its end; the check below is over all such moments
at once. One thing is assumed (docs/explanation/rate-limit.md): a request whose permit was forgotten under way arrives
within the permit's time to be used.
"""

from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from api_adapter.rate_limit.permits import Grant, Permit, Settled
from api_adapter.rate_limit.policy import PERMIT_LIFETIME, USE_WITHIN, History, Policy, RateLimit
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
    """One of the permits, chosen by ``which``, settled with an answer that came ``late_ms`` ago; perhaps once more."""

    which: int
    sent: bool
    late_ms: int
    throttled: bool


@dataclass(frozen=True, slots=True)
class Pass:
    ms: int


@dataclass(frozen=True, slots=True)
class Forget:
    pass


Step = Ask | End | Pass | Forget
asks = st.builds(Ask, want=st.integers(1, 12), lane=st.sampled_from(Lane))
ends = st.builds(
    End,
    st.integers(0, 1000),
    sent=st.integers(0, 5).map(bool),
    late_ms=st.integers(0, 300),
    throttled=st.just(value=False),
)
throttles = st.builds(
    End, st.integers(0, 1000), sent=st.just(value=True), late_ms=st.integers(0, 300), throttled=st.just(value=True)
)
passes = st.builds(
    Pass, st.one_of(st.integers(1, 40), st.integers(1, 1200), st.integers(LIFETIME_MS - 50, LIFETIME_MS))
)
steps = st.lists(
    st.one_of(asks, asks, asks, ends, ends, passes, passes, throttles, st.builds(Forget)), min_size=20, max_size=100
)
# limits whose numbers come often enough to meet each other's edges
policies = st.builds(
    lambda short, long, in_flight: Policy((short, long), in_flight, interactive_reserve=0.2),
    st.builds(RateLimit, st.integers(1, 12), st.sampled_from([100 * MS, 1000 * MS])),
    st.builds(RateLimit, st.integers(12, 40), st.sampled_from([1500 * MS, 4000 * MS])),
    st.sampled_from([5, 100]),
)


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

    def __post_init__(self) -> None:
        self.limiter = self.bench.limiter(self.policy, seed=self.honest_seed)
        self.bench.settle(self.limiter)
        self.bench.advance(4.5)

    @property
    def now(self) -> int:
        return round(self.bench.clock.now * 1000)

    async def honest_seed(self) -> History:
        return History({limit.window: self.seen_since(self.now - limit.window_ms) for limit in self.policy.limits})

    def seen_since(self, start: int) -> int:
        return sum(one.sent and (not one.over or one.ended >= start) for one in self.all)

    def take(self, step: Step) -> None:
        match step:
            case Ask(want, lane):
                self.grants.append(self.bench.ask(self.limiter, want, lane=lane))
                self.all += [Sent(one, self.now, self.now + LIFETIME_MS) for one in self.grants[-1].permits]
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

    def end(self, one: Sent, step: End) -> None:
        if not one.over:
            one.ended = min(one.ended, max(one.granted, self.now - step.late_ms))
            one.over, one.sent = True, step.sent
        wait = timedelta(milliseconds=step.late_ms * 10) if step.throttled else None
        self.bench.settle(
            self.limiter,
            Settled(one.permit, sent=one.sent, throttled=step.throttled, retry_after=wait, ended=one.ended / 1000),
        )

    def assert_no_window_was_over(self) -> None:
        """A window holds most when it begins just as some request can last have arrived."""
        requests = [one for one in self.all if one.sent]
        for limit in self.policy.limits:
            for start in {one.ended for one in requests}:
                end = start + limit.window_ms
                held = sum(one.granted < end and one.ended >= start for one in requests)
                assert held <= limit.limit, f"{held} requests can arrive within {limit} from {start}"


@settings(max_examples=100, deadline=None)
@given(policies, steps)
def test_no_sliding_window_is_ever_over_its_limit(policy: Policy, schedule: list[Step]) -> None:
    with closing(LocalBench()) as bench:
        world = World(bench, policy)
        for step in schedule:
            world.take(step)
    world.assert_no_window_was_over()


@settings(max_examples=25, deadline=None)
@given(policies, steps)
def test_the_script_decides_as_its_specification_does(
    valkey_server: ValkeyServer, policy: Policy, schedule: list[Step]
) -> None:
    valkey_server.flush()
    with closing(LocalBench()) as twin, closing(SharedBench(url=valkey_server.url)) as shared:
        specified, scripted = World(twin, policy), World(shared, policy)
        for step in schedule:
            specified.take(step)
            scripted.take(step)
            assert scripted.grants[-1:] == specified.grants[-1:]
    scripted.assert_no_window_was_over()
