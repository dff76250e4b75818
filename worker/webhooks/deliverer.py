"""The process that tells the world: it takes endpoints that have something due, and sends a courier for each.

An endpoint belongs to one deliverer at a time, under lease and fence: its rate, its circuit, its order and what is
under way are then one process's to know. Any number of deliverers may run; each takes one endpoint at a time, so that
they share. No broker is needed: what is due is a row.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from worker.log import get_logger
from worker.store import endpoints
from worker.store.endpoints import Owned
from worker.store.heartbeats import DELIVERER, beat
from worker.webhooks.courier import Courier, Means, wait_at_most
from worker.webhooks.sealing import CannotUnseal, Sealer

BEATS_EVERY = 10.0
AGAIN_AFTER = timedelta(minutes=1)  # an endpoint whose secrets cannot be read
A_SECOND = timedelta(seconds=1)  # what was sent in the last one counts for the rate
THREADS = 64  # a name server that hangs holds one for each look-up: the database's must not wait for them

_log = get_logger(__name__)


@dataclass(slots=True)
class Deliverer:
    """``passed`` is called after each look for what is due."""

    means: Means
    sealer: Sealer
    passed: Callable[[], None] = lambda: None
    _couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = field(default_factory=dict)

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self.means.timing.lease)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then what is under way is finished, recorded, and the endpoints are given back."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(THREADS))
        renew_at = beat_at = loop.time()
        while not stop.is_set():
            try:
                if loop.time() >= beat_at:
                    await asyncio.to_thread(self._beat)
                    beat_at = loop.time() + BEATS_EVERY
                if loop.time() >= renew_at:
                    await self._renew()
                    renew_at = loop.time() + self.means.timing.renewed_every
                await self._take_one()
            except SQLAlchemyError as error:  # a pool without connections is no DBAPIError
                _log.warning("deliverer_waits", error=repr(error)[:300])
            await self._part_with_those_who_left()
            self.passed()
            await wait_at_most(stop, self.means.timing.looks_every)
        for courier, _ in self._couriers.values():
            courier.leave()
        await asyncio.gather(*(task for _, task in self._couriers.values()), return_exceptions=True)
        await self._part_with_those_who_left()

    def _beat(self) -> None:
        with self.means.database.write() as session:
            beat(session, self.means.sender.name, DELIVERER)

    async def _take_one(self) -> None:
        lease_ends = asyncio.get_running_loop().time() + self.means.timing.lease
        owned = await asyncio.to_thread(self._take)
        if owned is None or owned.endpoint.id in self._couriers:
            return
        secrets = await self._secrets_of(owned)
        if secrets is None:
            return
        courier = Courier(self.means, owned, secrets, lease_ends)
        self._couriers[owned.endpoint.id] = courier, asyncio.create_task(courier.run())

    def _take(self) -> Owned | None:
        with self.means.database.read() as session:
            if not endpoints.something_due(session):
                return None
        with self.means.database.write() as session:
            return endpoints.take(session, self.means.sender.name, self._lease)

    async def _renew(self) -> None:
        fences = {name: courier.fence for name, (courier, _) in self._couriers.items()}
        if not fences:
            return
        lease_ends = asyncio.get_running_loop().time() + self.means.timing.lease
        ours = {owned.endpoint.id: owned for owned in await asyncio.to_thread(self._renew_leases, fences)}
        for name, (courier, _) in self._couriers.items():
            if (owned := ours.get(name)) is None:
                courier.leave()
            elif (secrets := await self._secrets_of(owned)) is not None:
                courier.renewed(owned, secrets, lease_ends)

    def _renew_leases(self, fences: dict[str, int]) -> list[Owned]:
        with self.means.database.write() as session:
            return endpoints.renew(session, self.means.sender.name, fences, self._lease)

    async def _part_with_those_who_left(self) -> None:
        gone = [name for name, (_, task) in self._couriers.items() if task.done()]
        for name in gone:
            _, task = self._couriers.pop(name)
            if error := task.exception():
                _log.error("courier_failed", endpoint=name, error=repr(error)[:300])
        if gone:
            await self._release(gone, A_SECOND)

    async def _secrets_of(self, owned: Owned) -> Sequence[str] | None:
        try:
            return [self.sealer.unseal(one.sealed) for one in owned.secrets]
        except CannotUnseal as error:
            _log.error("endpoint_cannot_be_signed_for", endpoint=owned.endpoint.id, error=str(error))
            await self._release([owned.endpoint.id], AGAIN_AFTER)
            return None

    async def _release(self, names: Sequence[str], after: timedelta) -> None:
        def write() -> None:
            with self.means.database.write() as session:
                endpoints.release(session, self.means.sender.name, names, after)

        try:
            await asyncio.to_thread(write)
        except SQLAlchemyError as error:  # their leases end by themselves
            _log.warning("deliverer_waits", error=repr(error)[:300])
