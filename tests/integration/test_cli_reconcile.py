"""`coachsync reconcile` and `coachsync drift`: a pass by hand, against a sandbox, under a limiter in a real broker."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api_adapter.outcomes import Operation
from tests.integration.cli_rig import NOBODY, Command, command_on
from tests.integration.executor_rig import TARGETS, Rig, rigged, wish
from tests.integration.oversight_rig import PROFILE
from tests.services.stores import on_both, on_sqlite
from worker.store.engine import Database
from worker.store.quarantine import put_aside

pytestmark = on_sqlite

ENFORCE = '[reconcile]\nshare = 1.0\ntarget = "enforce"\n'


class Site:
    """A store and its remote, with a command on both; ``toml`` are the settings of its file."""

    def __init__(self, store: Database, folder: Path, broker: str, toml: str) -> None:
        self.store, self.folder, self.broker = store, folder, broker
        (folder / "coachsync.toml").write_text(toml)

    def command(self, rig: Rig) -> Command:
        settings = {"broker_url": self.broker, "api_url": rig.sandbox.url, "rate_limit": "60000/minute"}
        return command_on(self.store, self.folder, config=str(self.folder / "coachsync.toml"), **settings)

    async def run(self, rig: Rig, *arguments: object, code: int = 0) -> Any:
        return await asyncio.to_thread(self.command(rig), *arguments, code=code)

    async def json(self, rig: Rig, *arguments: object, code: int = 0) -> Any:
        return await asyncio.to_thread(self.command(rig).json, *arguments, code=code)


@pytest.fixture
def site(store: Database, tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    return Site(store, tmp_path, valkey, ENFORCE)


async def applied(rig: Rig, number: int, value: float) -> None:
    (done,) = rig.accept(wish(number, value))
    await rig.run(done)


def set_by_hand(rig: Rig, number: int, value: float) -> None:
    rig.sandbox.state.put(replace(rig.there(number), target=value))


@on_both
def test_a_dry_run_tells_what_differs_and_writes_nothing(store: Database, site: Site) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            assert (await site.run(rig, "reconcile", "--dry-run")).err == "nothing differs\n"
            set_by_hand(rig, 1, 50.0)
            asked = len(rig.asked())
            (found,) = await site.json(rig, "reconcile", "--dry-run", code=2)
            assert found == {
                "resource": TARGETS[1].name,
                "field": "target",
                "kind": "changed",
                "wanted": "81.5",
                "found": "50",
                "action": "resent",
            }
            assert set(rig.asked()[asked:]) == {Operation.LIST_TARGETS}
            assert await site.json(rig, "drift", "list") == []

    asyncio.run(scene())


@on_both
def test_a_pass_by_hand_compares_everything_and_sees_to_the_differences(store: Database, site: Site) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            set_by_hand(rig, 1, 50.0)
            (done,) = await site.json(rig, "reconcile", "--scope", "customers/acme")
            assert (done["profile"], done["compared"], done["found"], done["resent"]) == (PROFILE, len(TARGETS), 1, 1)
            (drift,) = await site.json(rig, "drift", "list", "--open")
            assert (drift["resource"], drift["action"], drift["closedAt"]) == (TARGETS[1].name, "resent", None)
            assert drift["job"]
            told = (await site.run(rig, "explain", drift["job"])).out
            assert f"(reconcile, pass 1 over {PROFILE})" in told
            assert "81.5" in (await site.run(rig, "drift", "list")).out

    asyncio.run(scene())


def test_a_remote_that_lists_nothing_is_read_one_by_one_in_a_pass_and_refused_in_a_dry_run(
    store: Database, site: Site
) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            rig.always({"kind": "status", "status": 501}, path="/v1/*/targets")
            said = await site.run(rig, "reconcile", "--dry-run", code=1)
            assert f"{PROFILE} could not be read to its end" in said.err
            (done,) = await site.json(rig, "reconcile")
            assert (done["reads"], done["compared"]) == ("get", 1)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--scope", "customers/nobody"], 2, "--scope: nothing is known in customers/nobody"),
        (["--scope", ""], 2, "--scope: nothing is known"),
    ],
)
def test_a_scope_without_anything_says_what_is_expected(
    store: Database, site: Site, arguments: list[str], code: int, words: str
) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            said = await site.run(rig, "reconcile", *arguments, code=code)
            assert said.err.startswith(f"error: {words}")
            assert said.err.count("\n") == 1

    asyncio.run(scene())


def test_a_remote_that_is_put_aside_is_not_asked_and_that_is_said(store: Database, site: Site) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            with store.write() as session:
                put_aside(session, "default", "not let in")
            asked = len(rig.asked())
            said = await site.run(rig, "reconcile", code=1)
            assert "is in quarantine" in said.err
            assert len(rig.asked()) == asked

    asyncio.run(scene())


def test_a_pass_that_the_remote_refuses_says_why(store: Database, site: Site) -> None:
    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            rig.always({"kind": "status", "status": 400}, path="/v1/*/targets")
            (done,) = await site.json(rig, "reconcile", code=1)
            assert done["error"]

    asyncio.run(scene())


def test_without_a_broker_nothing_is_read(store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    site = Site(store, tmp_path, NOBODY, ENFORCE)

    async def scene() -> None:
        async with rigged(store) as rig:
            await applied(rig, 1, 81.5)
            asked = len(rig.asked())
            with pytest.raises(Exception, match="refused"):  # `main` makes one line of it
                await site.run(rig, "reconcile")
            assert len(rig.asked()) == asked

    asyncio.run(scene())
