"""What each operation does to the world, and what it answers. No HTTP, no connection; the time is an argument."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api_adapter.outcomes import Operation
from api_adapter.sandbox.errors import Code, Refusal
from api_adapter.sandbox.paging import page_token, read_page
from api_adapter.sandbox.quota import Period, total_quota
from api_adapter.sandbox.quota_fields import read_config, read_period, read_usecase
from api_adapter.sandbox.state import State, Template
from api_adapter.sandbox.target_fields import TargetFields, fields_from_body, fields_from_query, read_object
from api_adapter.sandbox.targets import Target, target_json
from schemas.instants import format_instant
from schemas.names import PROFILE, TARGET, profile_of


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an operation: the resource named in the path, the raw query, the raw body."""

    operation: Operation
    name: str
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    old: Target | None
    new: Target | None


@dataclass(frozen=True, slots=True)
class Done:
    answer: dict[str, Any]
    change: Change | None = None


def perform(request: Request, state: State, now: datetime) -> Done:
    """Raises ``Refusal`` and changes nothing where the request cannot be carried out."""
    return _OPERATIONS[request.operation](request, state, now)


def _update_target(request: Request, state: State, now: datetime) -> Done:
    fields = fields_from_query(request.query)
    old = _existing(state, request.name)
    new = _written(request.name, fields, old, now)
    state.put(new)
    return Done({"target": target_json(new)}, Change(new.name, old, new))


def _get_target(request: Request, state: State, _now: datetime) -> Done:
    return Done({"target": target_json(_existing(state, request.name))})


def _delete_target(request: Request, state: State, _now: datetime) -> Done:
    old = _existing(state, request.name)
    state.delete(request.name)
    return Done({}, Change(request.name, old, None))


def _create_target(request: Request, state: State, now: datetime) -> Done:
    _check_parent(request.name)
    body = read_object(request.body)
    fields = fields_from_body(body)
    name = _name_of_new(body.get("name"), request.name, state)
    new = _written(name, fields, None, now)
    state.put(new)
    return Done({"target": target_json(new)}, Change(name, None, new))


def _list_targets(request: Request, state: State, _now: datetime) -> Done:
    # ours: ordered by name, without filters; a parent that nobody knows has no targets
    _check_parent(request.name)
    after, size = read_page(request.query)
    targets, more = state.page(request.name, after, size)
    token = page_token(targets[-1].name) if more else ""
    return Done({"targets": [target_json(target) for target in targets], "nextPageToken": token})


def _retrieve_quota(request: Request, state: State, _now: datetime) -> Done:
    body = read_object(request.body)
    usecase, override, period = read_usecase(body), read_config(body), read_period(body)
    name, _, revision = request.name.partition("@")
    template = _template(state, name)
    if revision not in template.revisions:
        raise Refusal(404, f"{request.name} not found" if revision else f"{name} needs its @revision")
    agents = state.rosters.get(profile_of(name), ())
    quota = total_quota(agents, override or template.config, usecase, period)
    return Done({"totalAgentQuota": quota.total, "totalActiveAgentsCount": quota.active_agents})


def _retrieve_evaluation_periods(request: Request, state: State, _now: datetime) -> Done:
    read_usecase(read_object(request.body))  # ours: checked, but without effect
    template = _template(state, request.name)
    return Done(
        {
            "evaluationPeriods": [_period_json(period) for period in template.periods],
            "conversationEvaluationPeriods": [_period_json(period) for period in template.conversation_periods],
        }
    )


_OPERATIONS: dict[Operation, Callable[[Request, State, datetime], Done]] = {
    Operation.UPDATE_TARGET: _update_target,
    Operation.GET_TARGET: _get_target,
    Operation.DELETE_TARGET: _delete_target,
    Operation.CREATE_TARGET: _create_target,
    Operation.LIST_TARGETS: _list_targets,
    Operation.RETRIEVE_QUOTA: _retrieve_quota,
    Operation.RETRIEVE_EVALUATION_PERIODS: _retrieve_evaluation_periods,
}


def _check_parent(name: str) -> None:
    try:
        PROFILE.check(name)
    except ValueError as error:
        raise Refusal(400, f"parent: {error}") from None


def _existing(state: State, name: str) -> Target:
    target = state.targets.get(name)
    if target is None:
        raise Refusal(404, f"{name} not found")
    return target


def _template(state: State, name: str) -> Template:
    template = state.templates.get(name)
    if template is None:
        raise Refusal(404, f"{name} not found")
    return template


def _written(name: str, fields: TargetFields, old: Target | None, now: datetime) -> Target:
    # ours: the times are the server's clock, whatever was sent; an omitted QA score stays, it is a measurement
    kept = old.qa_score if old else 0.0
    return Target(
        name=name,
        scorecard_template_name=fields.scorecard_template_name,
        usecase_name=fields.usecase_name,
        target=fields.target,
        criterion_or_chapter_id=fields.criterion_or_chapter_id,
        coaching_plan_name=fields.coaching_plan_name,
        qa_score=kept if fields.qa_score is None else fields.qa_score,
        create_time=old.create_time if old else now,
        update_time=now,
    )


def _name_of_new(given: object, parent: str, state: State) -> str:
    # ours: a name in the body is taken, if it lies under the parent; without one the sandbox gives one
    if not given:
        return state.new_name(parent)
    if not isinstance(given, str) or not given.startswith(f"{parent}/"):
        raise Refusal(400, f"name: does not lie under {parent}")
    try:
        TARGET.check(given)
    except ValueError as error:
        raise Refusal(400, f"name: {error}") from None
    if given in state.targets:
        raise Refusal(409, f"{given} already exists", Code.ALREADY_EXISTS)
    return given


def _period_json(period: Period) -> dict[str, str]:
    return {"startTime": format_instant(period.start), "endTime": format_instant(period.end)}
