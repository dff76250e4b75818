"""From what happens in the roster to what the remote has: the door, the planner, the walk, the reconciler."""

import asyncio

import pytest
from sqlalchemy import select

from api_adapter.outcomes import Operation
from tests.integration.executor_rig import rigged
from tests.integration.oversight_rig import Centre, Overseen, event, snapshot
from worker.store.engine import Database
from worker.store.roster_models import RosterEventRow


def test_who_joins_gets_their_target_and_is_counted(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            overseen = Overseen(Centre(store), rig)
            overseen.centre.tell(event("joined", "ann"), event("joined", "bob", groups=["tier-2"]))
            await overseen.settle()
            assert (overseen.value_of("ann"), overseen.value_of("bob")) == ([75.0], [85.0])
            assert rig.asked().count(Operation.RETRIEVE_QUOTA) == 1
            overseen.centre.tell(event("moved", "ann", 5, groups=["tier-2"]))
            await overseen.settle()
            assert overseen.value_of("ann") == [85.0]
            assert rig.asked().count(Operation.CREATE_TARGET) == 2

    asyncio.run(scene())


def test_five_thousand_who_join_are_one_question(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            centre = Centre(store)
            told = [event("joined", f"a{number}", number / 1000, coachingPlanName="") for number in range(5_000)]
            assert centre.tell(*told).accepted == 5_000
            overseen = Overseen(centre, rig)
            await overseen.settle()
            assert rig.asked().count(Operation.RETRIEVE_QUOTA) == 1
            with store.read() as session:
                states = set(session.execute(select(RosterEventRow.state).distinct()).scalars())
            assert states == {"planned"}

    asyncio.run(scene())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_the_order_in_which_events_come_in_does_not_matter(store: Database, order: tuple[int, ...]) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            overseen = Overseen(Centre(store), rig)
            told = [
                event("joined", "ann", 0),
                event("moved", "ann", 1, groups=["tier-2"]),
                event("moved", "ann", 2, groups=["tier-1"]),
            ]
            for number in order:
                overseen.centre.tell(told[number])
                await overseen.settle()
            overseen.centre.tell(*told)
            await overseen.settle()
            assert overseen.value_of("ann") == [75.0]

    asyncio.run(scene())


def test_a_snapshot_says_who_has_left(store: Database) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            overseen = Overseen(Centre(store), rig)
            overseen.centre.tell(snapshot(["ann", "bob", "cid"], 0))
            await overseen.settle()
            receipt = overseen.centre.tell(snapshot(["ann", "cid"], 5))
            assert receipt.changes == {"left": 1}
            await overseen.settle()
            assert set(overseen.centre.wants()) == {"ann", "cid"}
            assert rig.asked().count(Operation.RETRIEVE_QUOTA) == 2

    asyncio.run(scene())
