"""The routes of producers."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.jobs import JobKind
from worker.gateway.direct import DirectRoute
from worker.gateway.parameters import wanted_of_quotas, wanted_of_targets
from worker.gateway.updates import UpdateDoor


def update_routes(door: UpdateDoor) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["producers"], route_class=DirectRoute)

    @router.post("/target-updates", status_code=202)
    async def post_target_updates(request: Request) -> Response:
        """Accept target updates: one, an array, or a file's worth (JSON lines, CSV, TSV)."""
        return await door.take(request, JobKind.TARGET_UPDATE, wanted_of_targets)

    @router.post("/quota-recalculations", status_code=202)
    async def post_quota_recalculations(request: Request) -> Response:
        """Accept quota recalculations: one, an array, or a file's worth (JSON lines, CSV, TSV)."""
        return await door.take(request, JobKind.QUOTA_RECALCULATION, wanted_of_quotas)

    return router
