"""The routes of producers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from schemas.jobs import JobKind
from worker.gateway.parameters import Wanted, wanted, wanted_of_quotas
from worker.gateway.updates import UpdateDoor

AsWanted = Annotated[Wanted, Depends(wanted)]
AsWantedOfQuotas = Annotated[Wanted, Depends(wanted_of_quotas)]


def update_routes(door: UpdateDoor) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["producers"])

    @router.post("/target-updates", status_code=202)
    async def post_target_updates(request: Request, said: AsWanted) -> Response:
        """Accept target updates: one, an array, or a file's worth (JSON lines, CSV, TSV)."""
        return await door.take(request, JobKind.TARGET_UPDATE, said)

    @router.post("/quota-recalculations", status_code=202)
    async def post_quota_recalculations(request: Request, said: AsWantedOfQuotas) -> Response:
        """Accept quota recalculations: one, an array, or a file's worth (JSON lines, CSV, TSV)."""
        return await door.take(request, JobKind.QUOTA_RECALCULATION, said)

    return router
