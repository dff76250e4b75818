"""The fleet's limiter: one Lua script on Redis or Valkey, one round trip for any number of permits.

Fails closed: while the server is away, or answers that it cannot serve, nobody gets a permit.
"""

import asyncio
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from api_adapter.rate_limit import policy as rules
from api_adapter.rate_limit.permits import Grant, Permit, Settled, Usage, Why, WindowUsage
from api_adapter.rate_limit.policy import History, Policy, Seed, whole_ms
from schemas.lanes import Lane

AWAY_RETRY = timedelta(milliseconds=750)
_USE_WITHIN = rules.USE_WITHIN.total_seconds()
_ACQUIRE, _FORGET_COOLDOWN = (
    files("api_adapter.rate_limit").joinpath(name).read_text() for name in ("acquire.lua", "forget_cooldown.lua")
)
_CANNOT_SERVE = ("LOADING", "READONLY", "NOAUTH", "NOPERM", "WRONGPASS", "OOM", "MISCONF", "NOREPLICAS", "BUSY")
_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.NoPermissionError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    OSError,  # asyncio's own TimeoutError is one
)
_RULES = {
    "slots": rules.SLOTS,
    "burst_share": rules.BURST_SHARE,
    "group": rules.GROUP_MS,
    "reserved_from": rules.RESERVED_FROM_MS,
    "poll": rules.POLL_MS,
    "patience": rules.INTERACTIVE_PATIENCE_MS,
    "grace": rules.INTERACTIVE_GRACE_MS,
    "cut": rules.CUT,
    "cut_pause": rules.CUT_PAUSE_MS,
    "rate_floor": rules.RATE_FLOOR,
    "recovery": rules.RECOVERY_PER_MS,
    "recovery_look": rules.RECOVERY_LOOK_MS,
    "strain_memory": rules.STRAIN_MEMORY_MS,
    "strain_share": rules.STRAIN_SHARE,
    "strain_count": rules.STRAIN_COUNT,
    "forget_after": rules.FORGET_WINDOW_AFTER_MS,
    "use_within": whole_ms(rules.USE_WITHIN),
    "short_window": rules.SHORT_WINDOW_MS,
    "clock_step": 1000,  # a server's clock that steps back by more than this makes what it remembers worthless
    "state_ttl": 7 * 24 * 3600 * 1000,  # small; must outlive idleness, or each quiet hour would end in a cold start
    "flight_ttl": 3600 * 1000,
}


class LimiterAwayError(Exception):
    """The limiter's server cannot be asked. What people do raises this; an exchange answers ``Why.AWAY``."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A settlement that waits to be told, with the time it ended on this process's clock."""

    settled: Settled
    at: float


class SharedLimiter:
    """``policy`` may be replaced at any time: the next exchange applies it, and nothing that was counted is forgotten.

    A permit that is never settled, its worker was killed, counts as settled ``permit_lifetime`` after its grant: that
    must cover connecting and the request's own timeout.
    """

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        client: Redis,
        remote: str,
        policy: Policy,
        *,
        seed: Seed | None = None,
        permit_lifetime: timedelta = rules.PERMIT_LIFETIME,
        prefix: str = "coachsync:",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self._remote = remote
        self._seed = seed
        self._permit_lifetime = permit_lifetime
        self._clock = clock
        self._acquire = client.register_script(_ACQUIRE)
        self._forget_cooldown = client.register_script(_FORGET_COOLDOWN)
        self._keys = [f"{prefix}limiter:1:{{{remote}}}:{part}" for part in ("state", "flight", "counted")]
        self._asker: str | None = None
        self._untold: deque[_Ended] = deque(maxlen=policy.max_in_flight)

    async def exchange(self, lane: Lane, want: int, settled: Sequence[Settled] = ()) -> Grant:
        now = self._clock()
        telling = [*self._untold, *(_Ended(one, now if one.ended is None else one.ended) for one in settled)]
        self._untold.clear()
        try:
            return await self._ask(lane, want, telling)
        except LimiterAwayError:
            self._untold.extend(telling)
            return Grant(retry_in=AWAY_RETRY, why=Why.AWAY)
        except BaseException:
            self._untold.extend(telling)
            raise

    async def usage(self) -> Usage:
        """Raises ``LimiterAwayError``; a limiter without memory shows full windows, as it would count them."""
        reply, _ = await self._run(Lane.BULK, 0, ())
        used = reply.get("used") or [limit.limit for limit in self.policy.limits]
        return Usage(
            windows=tuple(
                WindowUsage(limit.limit, limit.window, count)
                for limit, count in zip(self.policy.limits, used, strict=True)
            ),
            in_flight=reply.get("in_flight", 0),
            max_in_flight=self.policy.max_in_flight,
            cooldown=timedelta(milliseconds=reply.get("cooldown", 0)),
            rate_factor=float(reply.get("factor", 1)),
            waiting_interactive=reply.get("waiting", False),
        )

    async def forget_cooldown(self) -> timedelta:
        """Raises ``LimiterAwayError``."""
        return timedelta(milliseconds=await _answer(self._forget_cooldown(keys=self._keys[:1])))

    async def _ask(self, lane: Lane, want: int, telling: Sequence[_Ended]) -> Grant:
        reply, asked_at = await self._run(lane, want, telling)
        if "granted" not in reply:
            history = await self._history()
            reply, asked_at = await self._run(lane, want, telling, history)
        self._asker = reply["asker"]
        use_before = asked_at + _USE_WITHIN
        names = (f"{reply['group']}-{number}" for number in range(1, reply["granted"] + 1))
        permits = tuple(Permit(self._remote, lane, name, use_before) for name in names)
        return Grant(permits, timedelta(milliseconds=reply["retry_in"]), Why(reply["why"]))

    async def _history(self) -> History:
        try:
            return await self._seed() if self._seed else History()
        except Exception as error:  # whatever the seed's source may raise: without it nobody may send
            raise LimiterAwayError(str(error)) from error

    async def _run(
        self, lane: Lane, want: int, telling: Sequence[_Ended], history: History | None = None
    ) -> tuple[dict[str, Any], float]:
        """The script's reply, and when it was asked: a permit's time to be used counts from before the grant."""
        asked_at = self._clock()
        request = _request(self.policy, lane, want) | {
            "settled": [_told(one, asked_at) for one in telling],
            "lifetime": whole_ms(self._permit_lifetime),
        }
        if self._asker:
            request["asker"] = self._asker
        if history is not None:
            request["seed"] = {str(whole_ms(window)): count for window, count in history.sent.items()}
            request["cooldown"] = whole_ms(rules.cooldown_for(history.cooldown))
        reply = await _answer(self._acquire(keys=self._keys, args=[json.dumps(request)]))
        return json.loads(reply), asked_at


async def _answer(running: Awaitable[Any]) -> Any:
    """What a script returns, or ``LimiterAwayError``."""
    try:
        async with asyncio.timeout(_USE_WITHIN):
            return await running
    except _AWAY as error:
        raise LimiterAwayError(str(error)) from error
    except exceptions.ResponseError as error:
        if str(error).startswith(_CANNOT_SERVE):
            raise LimiterAwayError(str(error)) from error
        raise


def _request(policy: Policy, lane: Lane, want: int) -> dict[str, Any]:
    return {
        "lane": lane,
        "want": want,
        "limits": [{"limit": limit.limit, "window": limit.window_ms} for limit in policy.limits],
        "in_flight": policy.max_in_flight,
        "reserve": policy.interactive_reserve,
        "rules": _RULES,
    }


def _told(one: _Ended, now: float) -> dict[str, Any]:
    """A settlement as the script reads it. ``age`` is rounded down, so that nothing counts as older than it is.

    To the microsecond first: a whole number of milliseconds must not lose one to floating point.
    """
    told: dict[str, Any] = {
        "permit": one.settled.permit.group,
        "sent": one.settled.sent,
        "age": max(0, math.floor(round((now - one.at) * 1000, 3))),
    }
    if one.settled.throttled:
        told |= {
            "wait": whole_ms(rules.cooldown_for(one.settled.retry_after)),
            "unhinted": one.settled.retry_after is None,
        }
    return told
