"""The sample world: two customers with templates, plans, targets and rosters. The same names every time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from api_adapter.sandbox.options import DEFAULT_TARGETS
from api_adapter.sandbox.quota import Agent, Override, Period, TaskCompleteConfig
from api_adapter.sandbox.state import State, Template
from api_adapter.sandbox.targets import Target

CUSTOMERS = ("acme", "globex")
TEMPLATES = ("empathy", "compliance", "resolution")
REVISIONS = ("1", "2", "3")
USECASES = ("voice", "chat")
CRITERIA = ("greeting", "active-listening", "closing")
PLANS = 60
AGENTS = 80
_LONG_AGO = datetime(2025, 1, 6, 8, tzinfo=UTC)
_FIRST_WEEK = datetime(2025, 12, 29, tzinfo=UTC)
_WEEKS = 4


def profile_name(customer: str) -> str:
    return f"customers/{customer}/profiles/support"


def sample_world(targets: int = DEFAULT_TARGETS) -> State:
    state = State()
    for customer in CUSTOMERS:
        state.put_all(sample_targets(customer, targets))
        state.templates.update((template.name, template) for template in sample_templates(customer))
        state.rosters[profile_name(customer)] = sample_roster(customer)
    return state


@lru_cache(maxsize=8)
def sample_targets(customer: str, count: int = DEFAULT_TARGETS) -> Sequence[Target]:
    """Full identities: every third is attached to a coaching plan, every second has a criterion."""
    return tuple(_target(profile_name(customer), number) for number in range(1, count + 1))


def _target(profile: str, number: int) -> Target:
    return Target(
        name=f"{profile}/targets/t-{number:05d}",
        scorecard_template_name=f"{profile}/scorecardTemplates/{TEMPLATES[number % len(TEMPLATES)]}",
        usecase_name=f"{profile}/usecases/{USECASES[number % len(USECASES)]}",
        target=float(60 + number % 31),
        criterion_or_chapter_id=CRITERIA[number // 2 % len(CRITERIA)] if number % 2 == 0 else "",
        coaching_plan_name=f"{profile}/coachingPlans/plan-{number // 3 % PLANS + 1:03d}" if number % 3 == 0 else "",
        qa_score=float(50 + number % 41),
        create_time=_LONG_AGO,
        update_time=_LONG_AGO,
    )


def sample_templates(customer: str) -> Sequence[Template]:
    profile = profile_name(customer)
    weeks = tuple(_week(number) for number in range(_WEEKS))
    return tuple(
        Template(
            name=f"{profile}/scorecardTemplates/{template}",
            revisions=REVISIONS,
            config=TaskCompleteConfig(count, (Override(2, group=f"customers/{customer}/groups/tier-2"),)),
            periods=weeks,
            conversation_periods=tuple(Period(week.start - timedelta(weeks=1), week.start) for week in weeks),
        )
        for count, template in enumerate(TEMPLATES, start=4)
    )


def _week(number: int) -> Period:
    start = _FIRST_WEEK + timedelta(weeks=number)
    return Period(start, start + timedelta(weeks=1))


def sample_roster(customer: str) -> tuple[Agent, ...]:
    """Every tenth agent has left, every fourth is in tier 2, every other one takes chats as well as calls."""
    voice, chat = (f"{profile_name(customer)}/usecases/{usecase}" for usecase in USECASES)
    return tuple(
        Agent(
            user=f"customers/{customer}/users/agent-{number:03d}",
            group=f"customers/{customer}/groups/tier-{2 if number % 4 == 0 else 1}",
            active=number % 10 != 0,
            usecases=(voice, chat) if number % 2 == 0 else (voice,),
        )
        for number in range(1, AGENTS + 1)
    )
