"""The operator's door under ``/_sandbox/``: look at the ledger, script faults, seed. No part of the Coaching API."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from math import isfinite
from typing import Any
from urllib.parse import parse_qs

from api_adapter.sandbox.admin_bodies import LimitBody, RosterBody, SampleBody, SettingsBody, check_body, seeded_targets
from api_adapter.sandbox.answers import Answer, json_answer
from api_adapter.sandbox.api import Call, CoachingApi
from api_adapter.sandbox.errors import OptionsError, SandboxError
from api_adapter.sandbox.ledger import Arrival, Effect
from api_adapter.sandbox.limit import describe
from api_adapter.sandbox.seed import CUSTOMERS, sample_targets
from api_adapter.sandbox.targets import target_json
from schemas.instants import format_instant

ADMIN_PREFIX = "/_sandbox/"


def administer(api: CoachingApi, call: Call) -> Answer:
    act = _OPERATIONS.get((call.method, call.path.removeprefix(ADMIN_PREFIX)))
    if act is None:
        known = ", ".join(f"{method} {ADMIN_PREFIX}{noun}" for method, noun in _OPERATIONS)
        return json_answer({"error": f"{call.method} {call.path} is none of {known}"}, 404)
    try:
        return json_answer(act(api, call))
    except SandboxError as error:
        return json_answer({"error": str(error)}, 400)


def _ledger(api: CoachingApi, call: Call) -> dict[str, Any]:
    """``?window=SECONDS``, as often as wanted, asks for the most requests in any sliding window of that length."""
    ledger = api.ledger
    counts: dict[str, dict[str, int]] = {}
    for (operation, status), count in sorted(ledger.counts().items()):
        counts.setdefault(operation, {})[status] = count
    return {
        "requests": len(ledger.arrivals),
        "by_operation": counts,
        "effects": len(ledger.effects),
        "replays": ledger.replays,
        "cooldowns_announced": ledger.cooldown.announced,
        "cooldown_violations": ledger.cooldown_violations,
        "token_renewals": ledger.token_renewals,
        "faults_fired": list(api.faults.fired),
        "targets": len(api.state.targets),
        "most_in": {text: ledger.most_in(_window(text)) for text in parse_qs(call.query).get("window", [])},
    }


def _effects(api: CoachingApi, call: Call) -> dict[str, Any]:
    names = parse_qs(call.query).get("name")
    effects = api.ledger.effects_of(names[0]) if names else api.ledger.effects
    return {"effects": [_effect_json(effect) for effect in effects]}


def _requests(api: CoachingApi, _: Call) -> dict[str, Any]:
    return {"requests": [_arrival_json(arrival) for arrival in api.ledger.arrivals]}


def _set_faults(api: CoachingApi, call: Call) -> dict[str, Any]:
    api.script_faults(call.body)
    return {"faults": len(api.faults.entries)}


def _seed_targets(api: CoachingApi, call: Call) -> dict[str, Any]:
    body = _read(call)
    if isinstance(body, list):
        return {"added": api.state.put_all(seeded_targets(body, sample_targets(CUSTOMERS[0], 1)[0]))}
    sample = check_body(SampleBody, body)
    customers = (sample.customer,) if sample.customer else CUSTOMERS
    return {"added": sum(api.state.put_all(sample_targets(customer, sample.count)) for customer in customers)}


def _set_limit(api: CoachingApi, call: Call) -> dict[str, Any]:
    api.limit_rate(check_body(LimitBody, _read(call)).rate_limit)
    return {"windows": describe(api.limit.windows)}


def _set_roster(api: CoachingApi, call: Call) -> dict[str, Any]:
    body = check_body(RosterBody, _read(call))
    api.state.rosters[body.profile] = body.roster()
    return {"agents": len(body.agents)}


def _change_settings(api: CoachingApi, call: Call) -> dict[str, Any]:
    api.options = replace(api.options, **check_body(SettingsBody, _read(call)).changes())
    return {
        "idempotency": api.options.idempotency,
        "token_required": bool(api.options.token or api.options.client_id),
        "latency": api.options.latency.total_seconds(),
        "omit_defaults": api.options.omit_defaults,
    }


def _reset(api: CoachingApi, _: Call) -> dict[str, Any]:
    api.reset()
    return {}


_OPERATIONS: dict[tuple[str, str], Callable[[CoachingApi, Call], dict[str, Any]]] = {
    ("GET", "ledger"): _ledger,
    ("GET", "effects"): _effects,
    ("GET", "requests"): _requests,
    ("POST", "faults"): _set_faults,
    ("POST", "targets"): _seed_targets,
    ("POST", "limit"): _set_limit,
    ("POST", "roster"): _set_roster,
    ("POST", "reset"): _reset,
    ("PUT", "settings"): _change_settings,
}


def _read(call: Call) -> Any:
    try:
        return json.loads(call.body)
    except ValueError as error:
        raise OptionsError(f"the body is no JSON: {error}") from None


def _window(text: str) -> timedelta:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (isfinite(seconds) and 0 < seconds <= timedelta(days=1).total_seconds()):
        raise OptionsError(f"window: {text[:40]!r} is no length in seconds")
    return timedelta(seconds=seconds)


def _effect_json(effect: Effect) -> dict[str, Any]:
    return {
        "sequence": effect.sequence,
        "time": format_instant(effect.time),
        "name": effect.name,
        "old": effect.old and target_json(effect.old),
        "new": effect.new and target_json(effect.new),
        "idempotency_key": effect.key,
        "request_id": effect.request_id,
        "replays": effect.replays,
    }


def _arrival_json(arrival: Arrival) -> dict[str, Any]:
    return {
        "at": arrival.at,
        "time": format_instant(arrival.time),
        "operation": arrival.operation,
        "name": arrival.name,
        "status": arrival.status,
        "idempotency_key": arrival.key,
        "request_id": arrival.request_id,
        "fault": arrival.fault,
        "in_cooldown": arrival.in_cooldown,
    }
