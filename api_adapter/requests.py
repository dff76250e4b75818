"""What each operation sends: method, path, query and body. Pure.

A path needs no quoting: a checked resource name is made of unreserved characters, `/` and `@`, which may stand there as
they are. The check stands here again, because a name that slipped through would change another resource.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from api_adapter.outcomes import Operation
from schemas.coaching import QuotaRequest, TargetWrite
from schemas.names import PROFILE, SCORECARD_TEMPLATE, SCORECARD_TEMPLATE_REVISION, TARGET, USECASE, NameFormat

_PLAIN_IN_QUERY = "/@"  # RFC 3986 §3.4; resource names are made of little else


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """``path`` goes after the base URL and holds the encoded query."""

    operation: Operation
    method: str
    path: str
    body: bytes | None = None


def update_target(write: TargetWrite) -> ApiRequest:
    return ApiRequest(Operation.UPDATE_TARGET, "PATCH", _path(TARGET, write.name) + _query(write.query()))


def get_target(name: str) -> ApiRequest:
    return ApiRequest(Operation.GET_TARGET, "GET", _path(TARGET, name))


def delete_target(name: str) -> ApiRequest:
    return ApiRequest(Operation.DELETE_TARGET, "DELETE", _path(TARGET, name))


def list_targets(profile: str, page_token: str, page_size: int) -> ApiRequest:
    parameters = [("pageSize", str(page_size))]
    if page_token:
        parameters.append(("pageToken", page_token))
    return ApiRequest(Operation.LIST_TARGETS, "GET", _path(PROFILE, profile) + "/targets" + _query(parameters))


def create_target(profile: str, write: TargetWrite) -> ApiRequest:
    unnamed = set() if write.name else {"name"}
    body = write.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=unnamed)
    return ApiRequest(Operation.CREATE_TARGET, "POST", _path(PROFILE, profile) + "/targets", _json(body))


def retrieve_quota(request: QuotaRequest) -> ApiRequest:
    path = _path(SCORECARD_TEMPLATE_REVISION, request.scorecard_template_name) + ":retrieveTotalAgentQuota"
    return ApiRequest(Operation.RETRIEVE_QUOTA, "POST", path, _json(request.body()))


def retrieve_evaluation_periods(template: str, usecase: str) -> ApiRequest:
    path = _path(SCORECARD_TEMPLATE, template) + ":retrieveEvaluationPeriods"
    return ApiRequest(
        Operation.RETRIEVE_EVALUATION_PERIODS, "POST", path, _json({"usecaseName": USECASE.check(usecase)})
    )


def _path(form: NameFormat, name: str) -> str:
    return "/v1/" + form.check(name)


def _query(parameters: list[tuple[str, str]]) -> str:
    return "?" + "&".join(f"{name}={quote(value, safe=_PLAIN_IN_QUERY)}" for name, value in parameters)


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
