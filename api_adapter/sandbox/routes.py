"""From method and path to the operation, as a gRPC-JSON transcoding gateway does it."""

import re
from dataclasses import dataclass

from api_adapter.outcomes import Operation

_PROFILE = "customers/[^/]+/profiles/[^/]+"
_PATHS: tuple[tuple[re.Pattern[str], dict[str, Operation]], ...] = (
    (
        re.compile(f"/v1/(?P<name>{_PROFILE}/targets/[^/:]+)"),
        {"PATCH": Operation.UPDATE_TARGET, "GET": Operation.GET_TARGET, "DELETE": Operation.DELETE_TARGET},
    ),
    (
        re.compile(f"/v1/(?P<name>{_PROFILE})/targets"),
        {"GET": Operation.LIST_TARGETS, "POST": Operation.CREATE_TARGET},
    ),
    (
        re.compile(f"/v1/(?P<name>{_PROFILE}/scorecardTemplates/[^/:]+):retrieveTotalAgentQuota"),
        {"POST": Operation.RETRIEVE_QUOTA},
    ),
    (
        re.compile(f"/v1/(?P<name>{_PROFILE}/scorecardTemplates/[^/:]+):retrieveEvaluationPeriods"),
        {"POST": Operation.RETRIEVE_EVALUATION_PERIODS},
    ),
)
WRITES = frozenset({Operation.UPDATE_TARGET, Operation.CREATE_TARGET, Operation.DELETE_TARGET})


@dataclass(frozen=True, slots=True)
class Route:
    """``name`` is the resource in the path: a target, a template, or the parent of targets."""

    operation: Operation
    name: str


@dataclass(frozen=True, slots=True)
class WrongMethod:
    allowed: tuple[str, ...]


def find_route(method: str, path: str) -> Route | WrongMethod | None:
    """``path`` is percent-decoded; None where no operation lives there."""
    for pattern, operations in _PATHS:
        if match := pattern.fullmatch(path):
            operation = operations.get(method)
            return Route(operation, match["name"]) if operation else WrongMethod(tuple(operations))
    return None
