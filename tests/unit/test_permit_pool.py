"""The pool hands permits from the limiter to whoever waits: none is lost, none is leaked, few questions are asked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from api_adapter.rate_limit.local import LocalLimiter
from api_adapter.rate_limit.permits import Grant, Permit, Settled
from api_adapter.rate_limit.policy import History, Policy, RateLimit
from schemas.lanes import Lane
from tests.services.still_time import let_pass, now, run
from worker.permit_pool import PermitPool

WINDOW = timedelta(seconds=3)  # longer than what a limiter without memory waits out
SOON = 0.5


class Watched(LocalLimiter):
    """The in-process limiter, warm from the start, that counts who asked and what it gave."""

    def __init__(self, limit: int = 3000, max_in_flight: int = 1000) -> None:
        async def nothing_sent() -> History:
            return History({WINDOW: 0})

        policy = Policy((RateLimit(limit, WINDOW),), max_in_flight=max_in_flight)
        super().__init__("acme", policy, now, seed=nothing_sent)
        self.questions = self.granted = self.given_back = 0
        self.before_answer: Callable[[], None] = lambda: None
        self.latency = 0.0

    async def exchange(self, lane: Lane, want: int, settled: Sequence[Settled] = ()) -> Grant:
        if self.latency:
            await asyncio.sleep(self.latency)
        grant = await super().exchange(lane, want, settled)
        self.questions += want > 0
        self.granted += len(grant.permits)
        self.given_back += sum(not one.sent for one in settled)
        self.before_answer()
        return grant

    async def in_flight(self) -> int:
        return (await self.usage()).in_flight


def pool_of(limiter: Watched) -> PermitPool:
    return PermitPool(limiter, Lane.BULK, lambda: 0.5)


def within(seconds: float) -> float:
    return now() + seconds


async def warmed(limiter: Watched) -> Watched:
    """With some tokens in its bucket, so that what it is asked for comes at once."""
    await limiter.exchange(Lane.BULK, 0)
    await asyncio.sleep(0.05)
    return limiter


async def iterations(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(true: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - what is waited for is in the limiter's memory: nobody sets an event
            await asyncio.sleep(0.005)


def test_each_that_waits_gets_a_permit_of_its_own() -> None:
    async def scene() -> None:
        async with pool_of(Watched()).running() as pool:
            permits = await asyncio.gather(*(pool.take(within(5)) for _ in range(60)))
            assert len({permit.group for permit in permits if permit}) == 60
            for permit in permits:
                assert permit
                pool.settle(Settled(permit))

    run(scene())


def test_all_who_wait_are_asked_for_in_one_exchange() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched(limit=30_000))
        limiter.latency = 0.02
        async with pool_of(limiter).running() as pool:
            await asyncio.gather(*(pool.take(within(5)) for _ in range(40)))
        assert limiter.questions == 1

    run(scene())


def test_who_has_begun_is_served_before_those_who_have_not() -> None:
    async def scene() -> None:
        limiter = Watched(limit=60)  # one permit in 50 ms
        async with pool_of(limiter).running() as pool:
            served: list[str] = []

            async def take(who: str, *, ahead: bool) -> None:
                await pool.take(within(5), ahead=ahead)
                served.append(who)

            async with asyncio.TaskGroup() as group:
                group.create_task(take("first", ahead=False))
                group.create_task(take("second", ahead=False))
                group.create_task(take("begun", ahead=True))
        assert served == ["begun", "first", "second"]

    run(scene())


def test_waiting_ends_at_the_deadline_and_the_pool_goes_on() -> None:
    async def scene() -> None:
        limiter = Watched(max_in_flight=1)
        limiter.latency = 1.0
        async with pool_of(limiter).running() as pool:
            started = now()
            assert await pool.take(within(0.1)) is None
            assert now() - started == pytest.approx(0.1)
            assert await pool.take(within(10)) is not None

    run(scene())


def test_a_deadline_that_has_passed_takes_no_permit() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched())
        async with pool_of(limiter).running() as pool:
            assert await pool.take(within(-1)) is None
            await iterations(20)
        assert await limiter.in_flight() == 0

    run(scene())


@pytest.mark.parametrize("steps", range(25))
def test_a_permit_whose_asker_is_cancelled_is_given_back(steps: int) -> None:
    """At whatever step between the question and the answer the asker is cancelled."""

    async def scene() -> None:
        limiter = await warmed(Watched())
        async with pool_of(limiter).running() as pool:
            asker = asyncio.create_task(pool.take(within(5)))
            await iterations(steps)
            asker.cancel()
            (result,) = await asyncio.gather(asker, return_exceptions=True)
            if isinstance(result, Permit):
                pool.settle(Settled(result))
            assert isinstance(result, Permit | asyncio.CancelledError)
        assert await limiter.in_flight() == 0
        assert limiter.given_back == limiter.granted - isinstance(result, Permit)

    run(scene())


def test_a_permit_that_comes_as_the_deadline_passes_is_used_or_given_back() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched())
        async with pool_of(limiter).running() as pool:
            deadline = within(0.03)

            def answer_as_the_deadline_passes() -> None:
                let_pass(deadline - now())

            limiter.before_answer = answer_as_the_deadline_passes
            permit = await pool.take(deadline)
            if permit:
                pool.settle(Settled(permit))
        assert limiter.granted == 1
        assert limiter.given_back == (permit is None)
        assert await limiter.in_flight() == 0

    run(scene())


def test_what_is_granted_while_the_pool_ends_is_given_back() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched())
        limiter.latency = 0.03
        async with pool_of(limiter).running() as pool:
            asker = asyncio.create_task(pool.take(within(5)))
            await asyncio.sleep(0.005)
            asker.cancel()
        assert limiter.granted == limiter.given_back == 1
        assert await limiter.in_flight() == 0

    run(scene())


def test_the_end_of_the_pool_settles_what_was_sent() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched())
        async with pool_of(limiter).running() as pool:
            permit = await pool.take(within(5))
            assert permit
            pool.settle(Settled(permit))
        assert await limiter.in_flight() == 0
        assert (await limiter.usage()).windows[0].used == 1

    run(scene())


def test_a_settlement_makes_room_in_flight_at_once() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched(max_in_flight=1))
        async with pool_of(limiter).running() as pool:
            first = await pool.take(within(5))
            assert first
            second = asyncio.create_task(pool.take(within(5)))
            await asyncio.sleep(0.05)
            assert not second.done()
            pool.settle(Settled(first))
            async with asyncio.timeout(SOON):
                assert await second

    run(scene())


def test_a_throttled_answer_is_told_while_the_pool_waits_for_its_next_turn() -> None:
    """Others of the fleet have permits left: each moment of silence is a request into the cooldown."""

    async def scene() -> None:
        limiter = Watched(limit=3)  # one permit a second
        async with pool_of(limiter).running() as pool:
            permit = await pool.take(within(10))
            waiting = asyncio.create_task(pool.take(within(10)))
            await asyncio.sleep(0.05)
            assert permit
            pool.settle(Settled(permit, throttled=True, retry_after=timedelta(minutes=1), ended=now()))

            async def cooled() -> bool:
                return (await limiter.usage()).cooldown > timedelta(seconds=50)

            await until(cooled, SOON)
            waiting.cancel()

    run(scene())


def test_who_cannot_wait_until_the_next_permit_is_turned_away_at_once_and_who_can_waits() -> None:
    async def scene() -> None:
        limiter = Watched(limit=3)  # a permit a second
        started = now()
        async with pool_of(limiter).running() as pool:
            patient = asyncio.create_task(pool.take(within(5)))
            assert await pool.take(within(SOON)) is None
            assert pool.is_shut(within(SOON))
            assert await pool.take(within(SOON)) is None
            assert now() == started, "at once"
            assert await patient

    run(scene())


def test_an_answer_that_comes_while_the_limit_is_used_up_does_not_open_the_pool() -> None:
    """To settle is to ask for nothing, and says nothing of when there is more."""

    async def scene() -> None:
        limiter = Watched(limit=1)  # a permit in three seconds
        async with pool_of(limiter).running() as pool:
            permit = await pool.take(within(5))
            assert permit
            assert await pool.take(within(SOON)) is None
            pool.settle(Settled(permit))
            await asyncio.sleep(0.05)
            assert pool.is_shut(within(SOON))

    run(scene())


def test_an_answer_that_stops_the_fleet_is_told_at_once_though_exchanges_are_gathered() -> None:
    async def scene() -> None:
        limiter = await warmed(Watched())
        async with pool_of(limiter).running() as pool:
            permit = await pool.take(within(5))
            assert permit
            await iterations(5)  # the pump gathers now
            pool.settle(Settled(permit, throttled=True, retry_after=timedelta(seconds=60), ended=now()))
            await iterations(20)
            assert (await limiter.usage()).cooldown > timedelta(seconds=50)

    run(scene())
