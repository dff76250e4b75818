"""API tokens as commands and pages show them: all but the token, which nobody has."""

import json
from datetime import datetime

from worker.store.gateway_models import ApiToken
from worker.store.tokens import is_live
from worker.telling.records import Fields


def token_record(token: ApiToken, now: datetime) -> Fields:
    return {
        "token": token.id,
        "name": token.name,
        "state": _state(token, now),
        "scopes": json.loads(token.scopes),
        "customers": [f"customers/{one}" for one in json.loads(token.customers)],
        "createdAt": token.created_at,
        "expiresAt": token.expires_at,
        "lastUsedAt": token.last_used_at,
        "revokedAt": token.revoked_at,
    }


def token_row(record: Fields) -> Fields:
    """For people."""
    return record | {
        "scopes": ", ".join(record["scopes"]),
        "customers": ", ".join(record["customers"]) or "all",
    }


def _state(token: ApiToken, now: datetime) -> str:
    if token.revoked_at:
        return "revoked"
    return "live" if is_live(token, now) else "expired"
