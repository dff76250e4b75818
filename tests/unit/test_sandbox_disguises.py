import asyncio
from typing import Any

import pytest

from api_adapter.sandbox.answers import Answer, Cut, json_answer
from api_adapter.sandbox.api import _faulted
from api_adapter.sandbox.disguises import disguise
from api_adapter.sandbox.faults import Fault, Kind

HONEST = json_answer({"target": {"name": "customers/a/profiles/b/targets/c", "target": 50, "qaScore": 0}})


def _fault(kind: Kind) -> Fault:
    return Fault(kind=kind, status=503, delay=0.001)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_makes_an_answer_or_a_cut_of_what_its_work_gave(kind: Kind) -> None:
    fault = _fault(kind)
    shown = disguise(fault, HONEST if fault.does_the_work else None, None)
    assert isinstance(shown, Cut if kind in (Kind.CUT_BEFORE, Kind.CUT_AFTER) else Answer)


def test_a_faults_headers_come_on_top_of_those_of_the_answer() -> None:
    fault = Fault(kind=Kind.DELAY, delay=1, retry_after="2", headers={"X-A": "a"})
    shown = disguise(fault, Answer(200, b"{}", (("Idempotency-Replayed", "true"),)), None)
    assert isinstance(shown, Answer)
    assert dict(shown.headers) == {"Idempotency-Replayed": "true", "Retry-After": "2", "X-A": "a"}


@pytest.mark.parametrize(
    ("kind", "delays"), [(Kind.DELAY, [0.001]), (Kind.SLOW_BODY, [0.0]), (Kind.CUT_AFTER, [0.001]), (Kind.STATUS, [])]
)
def test_a_delay_comes_before_the_work_but_for_a_slow_body(kind: Kind, delays: list[float]) -> None:
    seen: list[float] = []

    async def work(delay: float) -> Answer:
        seen.append(delay)
        return HONEST

    answer: Any = asyncio.run(_faulted(_fault(kind), None, work))
    assert seen == delays
    assert getattr(answer, "pause", 0.0) == (0.001 if kind is Kind.SLOW_BODY else 0.0)
