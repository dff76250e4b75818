"""What the gateway says when it does not do what was asked: problem details (RFC 9457).

Problem   raised anywhere behind a route; the answer is made of it in one place.

``type`` is ``urn:coachsync:problem:NAME``; docs/reference/gateway-problems.md has them all.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from worker.intake.row_errors import reason_of
from worker.log import get_logger
from worker.store.engine import is_passing

CONTENT_TYPE = "application/problem+json"
URN = "urn:coachsync:problem:"
_log = get_logger(__name__)


class Problem(Exception):  # noqa: N818 - the RFC's word
    """``name`` is the last part of its type; ``members`` are what it says beside the standard ones."""

    def __init__(
        self,
        status: HTTPStatus,
        name: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail = status, name, detail
        self.headers, self.members = dict(headers or {}), members

    @property
    def body(self) -> dict[str, Any]:
        return {
            "type": URN + self.name,
            "title": self.name.replace("-", " ").capitalize(),
            "status": int(self.status),
            "detail": self.detail,
            **self.members,
        }

    def answer(self) -> Response:
        content = json.dumps(self.body, ensure_ascii=False).encode()
        return Response(content, self.status, self.headers, CONTENT_TYPE)


def bad_parameter(*errors: tuple[str, str]) -> Problem:
    """Each parameter with what is wrong with it."""
    name, reason = errors[0]
    told = [{"parameter": name, "reason": reason} for name, reason in errors]
    return Problem(HTTPStatus.BAD_REQUEST, "bad-parameter", f"{name}: {reason}", errors=told)


def install(app: FastAPI) -> None:
    """From here on whatever goes wrong answers as a problem."""
    app.add_exception_handler(Problem, _as_it_is)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_parameters)
    app.add_exception_handler(SQLAlchemyError, _of_database)
    app.add_exception_handler(ClientDisconnect, _of_nobody)
    app.add_exception_handler(Exception, _of_bug)


async def _as_it_is(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)  # noqa: S101 - registered for it
    return problem.answer()


async def _of_http(_: Request, error: Exception) -> Response:
    """The router's own: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    status = HTTPStatus(error.status_code)
    name = status.phrase.lower().replace(" ", "-")
    return Problem(status, name, _WORDS.get(status, str(error.detail)), headers=error.headers).answer()


async def _of_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return bad_parameter(*((".".join(map(str, one["loc"][1:])), reason_of(one)) for one in error.errors())).answer()


async def _of_database(_: Request, error: Exception) -> Response:
    """It is away, or busy for too long; what it does not take at all is a bug of ours."""
    if isinstance(error, DBAPIError) and not is_passing(error):
        raise error
    _log.error("gateway_database_away", error=str(getattr(error, "orig", None) or error))
    words = "the database cannot be used now; what was asked is not known to be done: ask again, with the same key"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "database-away", words, headers={"Retry-After": "2"}).answer()


async def _of_nobody(_: Request, __: Exception) -> Response:
    """Who asked has gone before the body was whole: nobody reads this."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _of_bug(_: Request, __: Exception) -> Response:
    """It is logged with its traceback, by the server."""
    words = "a bug of ours: what was asked is not known to be done; ask again with the same key, and report it"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", words).answer()


_WORDS = {
    HTTPStatus.NOT_FOUND: "there is nothing at this address; docs/reference/gateway.openapi.json has those there are",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address takes other methods, which Allow names",
}
