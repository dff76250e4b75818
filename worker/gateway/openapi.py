"""The gateway's OpenAPI document, written from its routes: ``make docs``."""

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter

from schemas.jobs import QuotaRecalculation, TargetUpdate
from schemas.roster import ROSTER_EVENT
from worker.clock import utc_now
from worker.configuration.settings import load_settings
from worker.core.access import Scope
from worker.gateway import shapes
from worker.gateway.app import create_app
from worker.gateway.parameters import Wanted, WantedOfTargets
from worker.gateway.problems import CONTENT_TYPE as PROBLEM
from worker.gateway.services import Services
from worker.gateway.updates import FILES, JSON
from worker.runtime import Runtime

_REF = "#/components/schemas/{model}"
_SHAPES = {name: shape for name, shape in vars(shapes).items() if getattr(shape, "__module__", "") == shapes.__name__}
_GIVEN: dict[str, Any] = {"TargetUpdate": TargetUpdate, "QuotaRecalculation": QuotaRecalculation}
READ = (400, 401, 403, 404, 503)
POSTED = (400, 401, 403, 409, 413, 415, 422, 429, 503, 507)
TOLD = (400, 401, 403, 409, 413, 415, 422, 503)
_NO_TOKEN: list[Any] = []
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key with the same request gets the same answer, for 24 hours, and is done once.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the routes do not say of an operation. ``shape`` is that of its answer."""

    shape: str
    problems: Iterable[int]
    scope: Scope | None = None
    body: Mapping[str, Any] | None = None
    keyed: bool = False
    query: type[BaseModel] | None = None
    kind: str = JSON


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _rows(name: str, member: str) -> dict[str, Any]:
    """One, an array of them, or a file's worth."""
    many = {"type": "array", "items": _ref(name), "minItems": 1}
    wrapped = {"type": "object", "properties": {member: many}, "required": [member], "additionalProperties": False}
    files = {kind: {"schema": {"type": "string"}} for kind in FILES}
    return {JSON: {"schema": {"anyOf": [_ref(name), many, wrapped]}}, **files}


_EVENTS: dict[str, Any] = {
    "application/cloudevents+json": {"schema": _ref("RosterEvent")},
    "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _ref("RosterEvent")}},
    JSON: {"schema": {"type": "object"}},
}
_OPERATIONS: Mapping[tuple[str, str], Told] = {
    ("post", "/v1/target-updates"): Told(
        "Receipt", POSTED, Scope.TARGETS_WRITE, _rows("TargetUpdate", "updates"), keyed=True, query=WantedOfTargets
    ),
    ("post", "/v1/quota-recalculations"): Told(
        "Receipt", POSTED, Scope.QUOTAS_WRITE, _rows("QuotaRecalculation", "recalculations"), keyed=True, query=Wanted
    ),
    ("post", "/v1/roster-events"): Told("EventReceipt", TOLD, Scope.ROSTER_WRITE, _EVENTS, keyed=True),
    ("post", "/v1/roster-events/{source}"): Told("EventReceipt", TOLD, body=_EVENTS),
    ("get", "/v1/jobs"): Told("Jobs", READ, Scope.READ),
    ("get", "/v1/jobs/{job}"): Told("JobWithAttempts", READ, Scope.READ),
    ("get", "/v1/batches"): Told("Batches", READ, Scope.READ),
    ("get", "/v1/batches/{batch}"): Told("Batch", READ, Scope.READ),
    ("get", "/v1/batches/{batch}/rejections"): Told("Rejections", READ, Scope.READ),
    ("get", "/v1/batches/{batch}/events"): Told("", READ, Scope.READ, kind="text/event-stream"),
    ("get", "/metrics"): Told("", (401, 403), Scope.METRICS_READ, kind="text/plain"),
    ("get", "/v1/targets/{name}"): Told("TargetView", READ, Scope.READ),
    ("get", "/v1/targets/{name}/history"): Told("Jobs", READ, Scope.READ),
    ("get", "/v1/quotas"): Told("Quotas", READ, Scope.READ),
    ("get", "/v1/quotas/{resource}/history"): Told("QuotaAnswers", READ, Scope.READ),
    ("get", "/v1/explain/{what}"): Told("Story", (*READ, 409), Scope.READ),
}


def document_of(app: FastAPI) -> dict[str, Any]:
    document = app.openapi()
    components = {"schemas": _schemas(), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    paths = {path.replace(":path}", "}"): methods for path, methods in document["paths"].items()}
    for path, methods in paths.items():
        for method, operation in methods.items():
            operation.pop("operationId", None)
            _complete(operation, _OPERATIONS.get((method, path)))
    return {**document, "paths": paths, "components": components}


def _complete(operation: dict[str, Any], told: Told | None) -> None:
    operation["responses"].pop("422", None)
    if told is None:
        operation["security"] = _NO_TOKEN
        if operation["responses"].keys() == {"200"} and "health" in operation["tags"]:
            operation["responses"]["503"] = _problem(503)
        return
    success = next(iter(operation["responses"]))
    schema = _ref(told.shape) if told.shape else {"type": "string"}
    operation["responses"] = {
        success: {"description": HTTPStatus(int(success)).phrase, "content": {told.kind: {"schema": schema}}},
        **{str(status): _problem(status) for status in told.problems},
    }
    if told.kind == "text/event-stream":
        operation["responses"]["204"] = {"description": "It has ended, and you have been told: come no more"}
    operation["security"] = [{"token": []}] if told.scope else _NO_TOKEN
    if told.scope is Scope.METRICS_READ:
        operation["security"].append({})  # this machine needs none
    if told.scope:
        operation["description"] = f"{operation.get('description', '')} Scope: `{told.scope}`.".strip()
    if told.body:
        operation["requestBody"] = {"required": True, "content": dict(told.body)}
    if told.query:
        operation.setdefault("parameters", []).extend(_query(told.query))
    if told.keyed:
        operation.setdefault("parameters", []).append(_KEY)


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(ref_template=_REF)
    return [
        {"name": name, "in": "query", "required": False, "schema": one} for name, one in schema["properties"].items()
    ]


def _problem(status: int) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {PROBLEM: {"schema": _ref("Problem")}}}


def _schemas() -> dict[str, Any]:
    named: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(shape) for name, shape in {**_SHAPES, **_GIVEN}.items()} | {
        "RosterEvent": ROSTER_EVENT
    }
    wanted = [(name, "validation", adapter) for name, adapter in named.items()]
    by_name, definitions = TypeAdapter.json_schemas(wanted, ref_template=_REF)  # type: ignore[arg-type]  # a mode is a Literal
    schemas = dict(definitions.get("$defs", {}))
    for (name, _), schema in by_name.items():
        if schema != _ref(str(name)):
            schemas[str(name)] = schema
    return dict(sorted(schemas.items()))


def document() -> str:
    with TemporaryDirectory() as home, closing(Runtime(load_settings({"HOME": home}, cwd=Path(home)))) as runtime:
        services = Services(runtime, utc_now, time.monotonic, os.urandom)
        return json.dumps(document_of(create_app(services)), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
