"""The client against the sandbox: what bites at the Coaching API, and each of its faults."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from api_adapter.client import CoachingClient
from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Mismatched,
    Missing,
    Outcome,
    Refused,
    Throttled,
    Unavailable,
    Unsupported,
)
from api_adapter.sandbox.idempotency import IdempotencyMode
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.server import RunningSandbox, running_sandbox
from api_adapter.transport import Timeouts
from schemas.coaching import QuotaRequest, Target, TargetPage
from tests.contract.client_rig import (
    IMPATIENT,
    KEY,
    PERMIT,
    PROFILE,
    TARGET,
    TEMPLATE,
    USECASE,
    Clock,
    client_of,
    write,
)
from worker.clock import utc_now

Walk = Callable[[CoachingClient, RunningSandbox], Awaitable[None]]

ABSENT = f"{PROFILE}/targets/nobody"
QUOTA = QuotaRequest(scorecard_template_name=f"{TEMPLATE}@2", usecase_name=USECASE)


def _walk(walk: Walk, timeouts: Timeouts | None = None, **options: Any) -> None:
    async def run() -> None:
        async with (
            running_sandbox(SandboxOptions(targets=10, **options), clock=Clock()) as sandbox,
            client_of(sandbox.url, timeouts=timeouts) as client,
        ):
            await walk(client, sandbox)

    asyncio.run(run())


def _fault(**fault: Any) -> list[dict[str, Any]]:
    return [{"fault": fault}]


def _patience(faults: Sequence[dict[str, Any]]) -> Timeouts | None:
    return IMPATIENT if any("delay" in one["fault"] for one in faults) else None


def _update(faults: Sequence[dict[str, Any]] = (), **fields: Any) -> tuple[Outcome[Target], int]:
    """What an update came to, and how many effects it had."""
    seen: list[tuple[Outcome[Target], int]] = []

    async def walk(client: CoachingClient, sandbox: RunningSandbox) -> None:
        outcome = await client.update_target(PERMIT, write(**fields), KEY)
        seen.append((outcome, len(sandbox.ledger.effects)))

    _walk(walk, timeouts=_patience(faults), faults=faults)
    return seen[0]


def test_an_update_is_written_with_its_full_identity_and_answered() -> None:
    async def walk(client: CoachingClient, sandbox: RunningSandbox) -> None:
        asked = write(criterion_or_chapter_id="greeting", coaching_plan_name=f"{PROFILE}/coachingPlans/plan-001")
        outcome = await client.update_target(PERMIT, asked, KEY)
        assert isinstance(outcome, Answered)
        effect = sandbox.ledger.effects_of(TARGET)[0]
        assert effect.new
        assert effect.new.coaching_plan_name == outcome.value.coaching_plan_name == asked.coaching_plan_name
        assert effect.new.criterion_or_chapter_id == outcome.value.criterion_or_chapter_id == "greeting"
        assert (effect.key, effect.request_id) == (KEY, outcome.exchange.request_id)
        assert outcome.exchange.latency > timedelta(0)

    _walk(walk)


@pytest.mark.parametrize("field", ["coachingPlanName", "criterionOrChapterId"])
def test_an_answer_that_shows_a_widened_target_is_a_finding(field: str) -> None:
    plan = f"{PROFILE}/coachingPlans/plan-001"
    faults = _fault(kind="wrong_echo", body={field: ""})
    outcome, _ = _update(faults, coaching_plan_name=plan, criterion_or_chapter_id="greeting")
    assert isinstance(outcome, Mismatched)
    assert [(name, shown) for name, _, shown in outcome.differences] == [(field, "")]


def test_zero_is_written_and_an_answer_that_leaves_it_out_is_zero() -> None:
    for faults in ([], _fault(kind="omit_defaults")):
        outcome, effects = _update(faults, target=0.0)
        assert isinstance(outcome, Answered)
        assert (outcome.value.target, effects) == (0.0, 1)


def test_a_zero_that_the_remote_took_for_unset_is_a_finding() -> None:
    outcome, _ = _update(_fault(kind="wrong_echo", body={"target": 61}), target=0.0)
    assert isinstance(outcome, Mismatched)
    assert outcome.differences == (("target", "0", "61"),)


@pytest.mark.parametrize("value", [0.1, 100 / 3, 33.333333333, 99.999999, 1e-7, 100.0])
def test_a_value_survives_its_trip_through_32_bits(value: float) -> None:
    outcome, _ = _update(target=value, qa_score=value)
    assert isinstance(outcome, Answered)


def test_a_quota_may_come_as_text_or_not_at_all() -> None:
    def ask(faults: Sequence[dict[str, Any]]) -> None:
        async def walk(client: CoachingClient, _: RunningSandbox) -> None:
            outcome = await client.retrieve_quota(PERMIT, QUOTA, KEY)
            assert isinstance(outcome, Answered)
            seen.append((outcome.value.total_agent_quota, outcome.value.total_active_agents_count))

        _walk(walk, faults=faults)

    seen: list[tuple[int, int]] = []
    ask([])
    ask(_fault(kind="wrong_echo", body={"totalAgentQuota": "12", "totalActiveAgentsCount": "3"}))
    ask(_fault(kind="status", status=200, body={}))
    (quota, agents), as_text, absent = seen
    assert quota > agents > 0
    assert (as_text, absent) == ((12, 3), (0, 0))


def test_a_list_is_read_to_its_end_through_an_empty_page() -> None:
    async def walk(client: CoachingClient, _: RunningSandbox) -> None:
        names, pages, token = [], 0, ""
        while token or not pages:
            outcome = await client.list_targets(PERMIT, PROFILE, token, page_size=4)
            assert isinstance(outcome, Answered)
            page: TargetPage = outcome.value
            names += [target.name for target in page.targets]
            pages, token = pages + 1, page.next_page_token
        assert (len(names), len(set(names)), pages) == (10, 10, 4)

    _walk(walk, faults=[{"match": {"nth": 2}, "fault": {"kind": "empty_page"}}])


def test_a_target_is_created_read_and_deleted() -> None:
    async def walk(client: CoachingClient, sandbox: RunningSandbox) -> None:
        created = await client.create_target(PERMIT, PROFILE, write(ABSENT, target=12.5), KEY)
        assert isinstance(created, Answered)
        name = created.value.name
        read = await client.get_target(PERMIT, name)
        assert isinstance(read, Answered)
        assert read.value.target == 12.5
        assert isinstance(await client.delete_target(PERMIT, name), Answered)
        assert isinstance(await client.delete_target(PERMIT, name), Missing)
        assert isinstance(await client.get_target(PERMIT, name), Missing)
        assert len(sandbox.ledger.effects_of(name)) == 2

    _walk(walk)


def test_evaluation_periods_are_read() -> None:
    async def walk(client: CoachingClient, _: RunningSandbox) -> None:
        outcome = await client.retrieve_evaluation_periods(PERMIT, TEMPLATE, USECASE)
        assert isinstance(outcome, Answered)
        periods = outcome.value
        assert len(periods.evaluation_periods) == len(periods.conversation_evaluation_periods) > 0

    _walk(walk)


def test_a_completed_key_that_the_remote_honours_is_answered_again_without_a_second_effect() -> None:
    async def walk(client: CoachingClient, sandbox: RunningSandbox) -> None:
        first, again = [await client.update_target(PERMIT, write(), KEY) for _ in range(2)]
        assert isinstance(first, Answered)
        assert isinstance(again, Answered)
        assert first.value == again.value
        assert (len(sandbox.ledger.effects), sandbox.ledger.replays) == (1, 1)
        other = await client.update_target(PERMIT, write(target=11.0), KEY)
        assert isinstance(other, Refused)
        assert other.exchange.status == 422

    _walk(walk, idempotency=IdempotencyMode.HONOUR)


def test_a_target_that_is_not_there_is_missing_and_a_wrong_name_is_refused_with_the_remotes_words() -> None:
    async def walk(client: CoachingClient, _: RunningSandbox) -> None:
        assert isinstance(await client.update_target(PERMIT, write(ABSENT), KEY), Missing)
        refused = await client.update_target(PERMIT, write(scorecard_template_name="nonsense"), KEY)
        assert isinstance(refused, Refused)
        assert refused.code == "INVALID_ARGUMENT"
        assert "target.scorecardTemplateName" in refused.message

    _walk(walk)


@pytest.mark.parametrize(
    ("fault", "expected", "effects"),
    [
        ({"kind": "cut_before"}, Ambiguous, 0),
        ({"kind": "cut_after"}, Ambiguous, 1),
        ({"kind": "garbage"}, Ambiguous, 1),
        ({"kind": "garbage", "written": False}, Ambiguous, 0),
        ({"kind": "html", "status": 502}, Ambiguous, 0),
        ({"kind": "html", "status": 200, "written": True}, Ambiguous, 1),
        ({"kind": "html", "status": 404}, Missing, 0),
        ({"kind": "delay", "delay": 0.9}, Ambiguous, 0),
        ({"kind": "slow_body", "delay": 0.9}, Ambiguous, 1),
        ({"kind": "status", "status": 503}, Unavailable, 0),
        ({"kind": "status", "status": 500, "written": True}, Ambiguous, 1),
        ({"kind": "status", "status": 501}, Unsupported, 0),
        ({"kind": "status", "status": 302, "headers": {"Location": "https://sso.example.com/?s=1"}}, Unavailable, 0),
    ],
    ids=str,
)
def test_each_fault_of_the_sandbox_comes_to_what_is_certain_about_an_update(
    fault: dict[str, Any], expected: type, effects: int
) -> None:
    outcome, seen = _update(_fault(**fault))
    assert type(outcome) is expected
    assert seen == effects


@pytest.mark.parametrize(
    "fault", [{"kind": "cut_before"}, {"kind": "garbage"}, {"kind": "html"}, {"kind": "delay", "delay": 0.9}], ids=str
)
def test_each_fault_of_the_sandbox_leaves_a_read_unavailable(fault: dict[str, Any]) -> None:
    async def walk(client: CoachingClient, _: RunningSandbox) -> None:
        assert isinstance(await client.get_target(PERMIT, TARGET), Unavailable)
        assert isinstance(await client.retrieve_quota(PERMIT, QUOTA, KEY), Unavailable)

    _walk(walk, timeouts=_patience(_fault(**fault)), faults=_fault(**fault))


def test_throttled_waits_as_long_as_the_date_in_retry_after_says() -> None:
    until = format_datetime(utc_now() + timedelta(minutes=42), usegmt=True)
    outcome, effects = _update(_fault(kind="status", status=429, retry_after=until))
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after
    assert timedelta(minutes=41) < outcome.retry_after <= timedelta(minutes=42), "since the answer's own Date"
    assert effects == 0


def test_the_sandboxs_own_limit_is_throttled_with_its_wait() -> None:
    async def walk(client: CoachingClient, _: RunningSandbox) -> None:
        assert isinstance(await client.get_target(PERMIT, TARGET), Answered)
        throttled = await client.get_target(PERMIT, TARGET)
        assert isinstance(throttled, Throttled)
        assert throttled.retry_after
        assert timedelta(0) < throttled.retry_after <= timedelta(seconds=60)

    _walk(walk, rate_limit="1/minute")
