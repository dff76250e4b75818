"""Whether the gateway lives and can work: the only routes that answer without a token."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from worker.gateway.problems import Problem
from worker.gateway.services import Services
from worker.runtime import out_of_date
from worker.store.schema import NewerSchema


def health_routes(services: Services) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.head("/livez", include_in_schema=False)
    @router.get("/livez", summary="Whether this process answers")
    async def livez() -> dict[str, bool]:
        return {"live": True}

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", summary="Whether it can take work: the database answers and is current")
    async def readyz() -> dict[str, bool]:
        await _check(services)
        return {"ready": True}

    @router.head("/startupz", include_in_schema=False)
    @router.get("/startupz", summary="Whether it has come up")
    async def startupz() -> dict[str, bool]:
        await _check(services)
        return {"started": True}

    return router


async def _check(services: Services) -> None:
    try:
        problem = await asyncio.to_thread(out_of_date, services.database)
    except (SQLAlchemyError, NewerSchema):
        problem = "the database cannot be used; coachsync doctor says more"
    if problem:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", problem)
