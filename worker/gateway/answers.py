"""Answers as JSON, one shape for the gateway and for ``--json`` of the commands."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from worker.gateway.problems import CONTENT_TYPE as PROBLEM
from worker.store.kept_answers import Answered
from worker.telling.cells import plain

REPLAYED = "Idempotency-Replayed"


def as_json(record: Any) -> str:
    return json.dumps(record, default=plain, ensure_ascii=False, separators=(",", ":"))


def answer(record: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(as_json(record).encode(), status, dict(headers or {}), "application/json")


def of_kept(kept: Answered, *, replayed: bool) -> Response:
    """What is kept of an answer, as it was given the first time."""
    headers = {"Location": kept.location} if kept.location else {}
    if replayed:
        headers[REPLAYED] = "true"
    kind = "application/json" if kept.status < HTTPStatus.BAD_REQUEST else PROBLEM
    return Response(kept.body.encode(), kept.status, headers, kind)
