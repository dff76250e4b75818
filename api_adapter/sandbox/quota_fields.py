"""The bodies of the quota and period operations: read leniently, as proto3 JSON is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api_adapter.sandbox.errors import Refusal
from api_adapter.sandbox.quota import Override, Period, TaskCompleteConfig
from schemas.instants import parse_instant
from schemas.names import USECASE
from schemas.numbers import INT32_MAX, int32_from_json

_COUNT = "evaluatedConversationCountPerAgent"


def read_usecase(body: Mapping[str, Any]) -> str:
    usecase = _text(body, "usecaseName")
    try:
        return usecase and USECASE.check(usecase)
    except ValueError as error:
        raise Refusal(400, f"usecaseName: {error}") from None


def read_config(body: Mapping[str, Any]) -> TaskCompleteConfig | None:
    where = "overrideTaskCompleteConfig"
    config = body.get(where)
    if config is None:
        return None
    if not isinstance(config, dict):
        raise Refusal(400, f"{where}: an object is expected")
    entries = config.get("overriddenAgents")
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise Refusal(400, f"{where}.overriddenAgents: a list is expected")
    overrides = tuple(_override(entry, f"{where}.overriddenAgents[{at}]") for at, entry in enumerate(entries))
    return TaskCompleteConfig(_count(config, where), overrides)


def read_period(body: Mapping[str, Any]) -> Period | None:
    where = "evaluationPeriod"
    period = body.get(where)
    if period is None:
        return None
    if not isinstance(period, dict):
        raise Refusal(400, f"{where}: an object is expected")
    start, end = (_instant(period.get(field), f"{where}.{field}") for field in ("startTime", "endTime"))
    if end < start:  # ours: the reference prints an empty period, so that one is taken
        raise Refusal(400, f"{where}: endTime is before startTime")
    return Period(start, end)


def _override(entry: object, where: str) -> Override:
    if not isinstance(entry, dict):
        raise Refusal(400, f"{where}: an object is expected")
    group, user = _text(entry, "group", where), _text(entry, "user", where)
    if not group and not user:
        raise Refusal(400, f"{where}: names neither a group nor a user")  # ours: it would override nobody
    return Override(_count(entry, where), group=group, user=user)


def _count(message: Mapping[str, Any], where: str) -> int:
    given = message.get(_COUNT)
    try:
        value = int32_from_json(0 if given is None else given)
    except ValueError:
        value = None
    if not isinstance(value, int) or not 0 <= value <= INT32_MAX:
        raise Refusal(400, f"{where}.{_COUNT}: {str(given)[:40]} is no count")
    return value


def _text(message: Mapping[str, Any], field: str, where: str = "") -> str:
    value = message.get(field)
    if value is not None and not isinstance(value, str):
        raise Refusal(400, f"{where}.{field}: a string is expected".lstrip("."))
    return value or ""


def _instant(value: object, where: str) -> datetime:
    try:
        instant = parse_instant(value)
    except ValueError as error:
        raise Refusal(400, f"{where}: {error}") from None
    if not isinstance(instant, datetime):
        raise Refusal(400, f"{where}: a time is expected")
    return instant
