"""The in-process twin of the fleet's limiter: the same contract, without a server. Read it as the specification.

    now ─ slide the windows ─ expire permits ─ settle what ended ─ grant within the tightest bound

``acquire.lua`` is the same walk. What the twin forgets, it forgets with its process.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from api_adapter.rate_limit import policy as rules
from api_adapter.rate_limit.pace import Pace
from api_adapter.rate_limit.permits import Grant, Permit, Settled, Usage, Why, WindowUsage
from api_adapter.rate_limit.policy import History, Policy, RateLimit, Seed, whole_ms
from api_adapter.rate_limit.window import SlidingWindow, empty_window
from schemas.lanes import Lane

_MS = timedelta(milliseconds=1)


@dataclass(slots=True)
class _Memory:
    """``flight`` says of each permit under way when it counts as settled, if nobody settles it."""

    epoch: int
    pace: Pace
    cold_until: int
    flight: dict[str, int] = field(default_factory=dict)
    windows: dict[timedelta, SlidingWindow] = field(default_factory=dict)
    cooldown_until: int = 0
    waiting_until: int = 0
    exchanges: int = 0


@dataclass(frozen=True, slots=True)
class _Bound:
    """One reason not to grant more than ``room``; ``freed_at`` says when so many more will fit."""

    why: Why
    room: int
    freed_at: Callable[[int], int]


class LocalLimiter:
    def __init__(
        self,
        remote: str,
        policy: Policy,
        clock: Callable[[], float],
        *,
        seed: Seed | None = None,
        permit_lifetime: timedelta = rules.PERMIT_LIFETIME,
    ) -> None:
        self.policy = policy
        self._remote = remote
        self._clock = clock
        self._seed = seed
        self._permit_lifetime_ms = whole_ms(permit_lifetime)
        self._memory: _Memory | None = None

    async def exchange(self, lane: Lane, want: int, settled: Sequence[Settled] = ()) -> Grant:
        if self._is_cold():
            history = await self._seed() if self._seed else History()
            if self._is_cold():  # nobody else was faster
                self._warm(history)
        memory, now = self._advanced()
        self._settle(memory, now, settled)
        granted, why, retry_at = self._decide(memory, now, lane, want)
        if lane is Lane.INTERACTIVE and want:
            back_at = retry_at if why is Why.COOLDOWN else min(retry_at, now + rules.INTERACTIVE_PATIENCE_MS)
            memory.waiting_until = back_at + rules.INTERACTIVE_GRACE_MS if granted < want else 0
        return Grant(self._grant(memory, now, lane, granted), (retry_at - now) * _MS, why)

    async def usage(self) -> Usage:
        if self._is_cold():
            full = tuple(WindowUsage(limit.limit, limit.window, limit.limit) for limit in self.policy.limits)
            return Usage(full, 0, self.policy.max_in_flight)
        memory, now = self._advanced()
        in_flight = len(memory.flight)
        return Usage(
            windows=tuple(
                WindowUsage(limit.limit, limit.window, memory.windows[limit.window].used + in_flight)
                for limit in self.policy.limits
            ),
            in_flight=in_flight,
            max_in_flight=self.policy.max_in_flight,
            cooldown=max(0, memory.cooldown_until - now) * _MS,
            rate_factor=memory.pace.factor,
            waiting_interactive=now < memory.waiting_until,
        )

    async def forget_cooldown(self) -> timedelta:
        if self._memory is None:
            return timedelta(0)
        memory, now = self._memory, self._now()
        left = max(0, memory.cooldown_until - now)
        if left:
            memory.cooldown_until = memory.waiting_until = 0
            memory.pace.resume(now)
        return left * _MS

    def _now(self) -> int:
        return math.floor(round(self._clock() * 1000, 3))

    # memory

    def _is_cold(self) -> bool:
        memory = self._memory
        return memory is None or any(limit.window not in memory.windows for limit in self.policy.limits)

    def _warm(self, history: History) -> None:
        now = self._now()
        if self._memory is None:
            pace = Pace(tokens_at=now, factor_at=now, strain_at=now)
            self._memory = _Memory(epoch=now, pace=pace, cold_until=now)
            self._cool_down(self._memory, now, now + whole_ms(rules.cooldown_for(history.cooldown)))
        for limit in self.policy.limits:
            if limit.window not in self._memory.windows:
                self._warm_window(self._memory, now, limit, history.sent)

    def _warm_window(self, memory: _Memory, now: int, limit: RateLimit, sent: Mapping[timedelta, int]) -> None:
        """What is not known is taken at its worst.

        A permit of before is void ``USE_WITHIN`` after its grant: what it sent counts from then, so that a whole window
        lies between the last old request and the first new one.
        """
        known = sent if limit.window_ms > rules.SHORT_WINDOW_MS else {}
        count = known.get(limit.window, limit.limit)
        window = empty_window(limit.window_ms, now)
        window.count(now + whole_ms(rules.USE_WITHIN), count)
        memory.windows[limit.window] = window
        if count >= limit.limit:
            memory.cold_until = max(memory.cold_until, window.settled_leave_at(count, now))

    def _advanced(self) -> tuple[_Memory, int]:
        """Time passes: settled permits leave the windows, lost ones count as settled, tokens come."""
        assert self._memory is not None  # noqa: S101 - warm since the start of the exchange
        memory, now = self._memory, self._now()
        for window in memory.windows.values():
            window.slide(now)
        memory.pace.advance(now, self.policy)
        for permit in [permit for permit, ends in memory.flight.items() if ends <= now]:
            self._count(memory, memory.flight.pop(permit))
        return memory, now

    # settling

    def _settle(self, memory: _Memory, now: int, settled: Sequence[Settled]) -> None:
        known_throttles = []
        for one in settled:
            ended = now if one.ended is None else min(now, math.ceil(round(one.ended * 1000, 3)))
            known = self._settle_one(memory, now, one, ended)
            if one.throttled:
                self._cool_down(memory, now, ended + whole_ms(rules.cooldown_for(one.retry_after)))
                known_throttles += [one] if known else []
        if known_throttles:
            memory.pace.throttled += len(known_throttles)
            unhinted = any(one.retry_after is None for one in known_throttles)
            memory.pace.cut(now, memory.cooldown_until, unhinted=unhinted)

    def _settle_one(self, memory: _Memory, now: int, one: Settled, ended: int) -> bool:
        """False for one that was settled before, or counted as settled because it came too late: nothing changes.

        A permit of another epoch was granted before the memory was lost: if it was sent, it counts.
        """
        foreign = one.permit.group.split("-")[0] != str(memory.epoch)
        if memory.flight.pop(one.permit.group, None) is None and not foreign:
            return False
        if one.sent:
            self._count(memory, ended)
            memory.pace.answers += 1
        elif not foreign and now >= memory.cooldown_until:
            memory.pace.add(1, self.policy)
        return True

    def _count(self, memory: _Memory, at: int) -> None:
        for window in memory.windows.values():
            window.count(at)

    def _cool_down(self, memory: _Memory, now: int, until: int) -> None:
        if until > now:
            memory.cooldown_until = max(memory.cooldown_until, until)
            memory.pace.stop_until(memory.cooldown_until)

    # granting

    def _decide(self, memory: _Memory, now: int, lane: Lane, want: int) -> tuple[int, Why, int]:
        """How many permits, why not more, and when to ask again."""
        if want == 0:
            return 0, Why.GRANTED, now
        if now < memory.cooldown_until:
            return 0, Why.COOLDOWN, memory.cooldown_until
        bounds = tuple(self._bounds(memory, now, lane))
        if lane is Lane.BULK and now < memory.waiting_until:
            return 0, Why.RESERVED, max(now + rules.POLL_MS, self._ask_again_at(memory, now, bounds, 0, want))
        tightest = min(bounds, key=lambda bound: bound.room)
        granted = max(0, min(want, tightest.room))
        if granted == want:
            return granted, Why.GRANTED, now
        cold = tightest.why is Why.WINDOW and now < memory.cold_until
        return granted, Why.COLD if cold else tightest.why, self._ask_again_at(memory, now, bounds, granted, want)

    def _bounds(self, memory: _Memory, now: int, lane: Lane) -> Iterator[_Bound]:
        policy, pace, in_flight = self.policy, memory.pace, len(memory.flight)
        for limit in policy.limits:
            window, allowed = memory.windows[limit.window], limit.at(pace.factor)
            room = allowed - window.used - in_flight
            kept = policy.reserve(limit.window_ms, allowed) if lane is Lane.BULK else 0
            why = Why.RESERVED if 0 < room <= kept else Why.WINDOW
            yield _Bound(why, room - kept, partial(self._freed_at, memory, now, window))
        yield _Bound(Why.IN_FLIGHT, policy.max_in_flight - in_flight, lambda _: now + rules.POLL_MS)
        tokens = math.floor(pace.tokens)
        yield _Bound(Why.PACE, tokens, lambda missing: now + pace.tokens_in(tokens + missing, policy))

    def _freed_at(self, memory: _Memory, now: int, window: SlidingWindow, missing: int) -> int:
        """A permit under way may have ended at once and be told late: it can leave a window after its grant."""
        freed = [window.settled_leave_at(missing, now)]
        if memory.pace.factor < 1:
            freed.append(now + rules.RECOVERY_LOOK_MS)
        if memory.flight:
            oldest_grant = min(memory.flight.values()) - self._permit_lifetime_ms
            freed.append(max(now + rules.POLL_MS, oldest_grant + window.window_ms))
        return min(freed)

    def _ask_again_at(self, memory: _Memory, now: int, bounds: Sequence[_Bound], granted: int, want: int) -> int:
        """The earliest time at which asking again brings a group worth having."""
        wanted = granted + self.policy.group(want - granted, memory.pace.factor)
        lacking = [bound for bound in bounds if bound.room < wanted]
        return max([now + rules.GROUP_MS, *(bound.freed_at(wanted - bound.room) for bound in lacking)])

    def _grant(self, memory: _Memory, now: int, lane: Lane, permits: int) -> tuple[Permit, ...]:
        memory.exchanges += 1
        memory.pace.tokens -= permits
        names = [f"{memory.epoch}-{memory.exchanges}-{number}" for number in range(1, permits + 1)]
        memory.flight |= dict.fromkeys(names, now + self._permit_lifetime_ms)
        use_before = now / 1000 + rules.USE_WITHIN.total_seconds()
        return tuple(Permit(self._remote, lane, name, use_before) for name in names)
