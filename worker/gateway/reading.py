"""``GET``: jobs, batches, targets, quotas and stories, in the shapes that the commands print with ``--json``."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from sqlmodel import Session
from starlette.responses import Response

from schemas.ids import parse_batch_id, parse_job_id
from schemas.jobs import JobState
from schemas.lanes import Lane
from worker.core.access import Holder, Scope
from worker.gateway.answers import answer
from worker.gateway.pages import PageSize, PageToken, asked, page
from worker.gateway.parameters import known_to, refuse_nul, refuse_unknown
from worker.gateway.problems import Problem, bad_parameter
from worker.gateway.services import Services
from worker.store import endpoints, known, listing
from worker.store.engine import database_now
from worker.store.explaining import BatchStory, JobStory, ResourceStory
from worker.store.explaining_roster import AgentStory, EventStory
from worker.store.known import QuotaFilter
from worker.store.models import Batch
from worker.store.selection import Selection
from worker.telling.meaning import SeveralQuotas, Story, meant_by
from worker.telling.records import (
    Fields,
    attempt_record,
    batch_record,
    current_quota_record,
    job_record,
    quota_record,
    rejection_record,
)
from worker.telling.story_records import story_record
from worker.telling.target_view import target_view
from worker.telling.words import reason_words

T = TypeVar("T")
WISHES = 20

State = Annotated[JobState | None, Query(description="In this state.")]
InBatch = Annotated[str, Query(description="Of this batch.", examples=["17"], max_length=20)]
Named = Annotated[str, Query(description="For this target or quota, by its name.", max_length=1_000)]
OfTemplate = Annotated[str, Query(description="Of this template; without @revision of all.", max_length=500)]
OfUsecase = Annotated[str, Query(description="Of this usecase.", max_length=500)]
ErrorCode = Annotated[str, Query(alias="errorCode", description="Failed with this code.", max_length=100)]
RemoteName = Annotated[str, Query(description="For this remote.", max_length=200)]
InLane = Annotated[Lane | None, Query(description="In this lane.")]
Open = Annotated[bool, Query(description="Only those that have not ended.")]


def reading_routes(services: Services) -> APIRouter:  # noqa: C901, PLR0915 - the routes, one after the other
    router = APIRouter(prefix="/v1", tags=["readers"])
    database = services.database

    async def admitted(request: Request) -> Holder:
        holder = await services.doorkeeper.admit(request.headers.get("authorization"), Scope.READ)
        refuse_nul(request)
        refuse_unknown(request.query_params, known_to(request.scope["route"]))
        return holder

    Reader = Annotated[Holder, Depends(admitted)]  # noqa: N806 - a type

    @router.get("/jobs")
    def list_jobs(  # noqa: PLR0913, PLR0917 - the filters
        reader: Reader,
        state: State = None,
        batch: InBatch = "",
        resource: Named = "",
        error_code: ErrorCode = "",
        remote: RemoteName = "",
        lane: InLane = None,
        size: PageSize = 0,
        token: PageToken = "",
    ) -> Response:
        """Jobs, newest first; all filters that are given must hold."""
        wanted = asked("jobs", size, token, state, batch, resource, error_code, remote, lane)
        chosen = Selection(
            state=_failed(error_code, state),
            error_code=error_code or None,
            batch_id=_parsed("batch", parse_batch_id, batch) if batch else None,
            resource=resource or None,
            remote=remote or None,
            lane=lane,
            customers=reader.customers or None,
        )
        with database.read() as session:
            found = listing.list_jobs(session, chosen, wanted.size + 1, _number(wanted.last))
        return answer(page("jobs", found, wanted, lambda job: job.id, _job))

    @router.get("/jobs/{job}")
    def get_job(job: str, reader: Reader) -> Response:
        """One job with its attempts."""
        with database.read() as session:
            found = listing.find_job(session, _parsed("job", parse_job_id, job))
            if found is None or not reader.owns(found.resource):
                raise nothing(f"there is no job {job}; it may have been pruned, or its row was rejected")
            attempts = listing.attempts_of(session, found.id)
        return answer(_job(found) | {"attemptsMade": [attempt_record(one) for one in attempts]})

    @router.get("/batches")
    def list_batches(
        reader: Reader,
        *,
        open_only: Annotated[Open, Query(alias="open")] = False,
        size: PageSize = 0,
        token: PageToken = "",
    ) -> Response:
        """Batches, newest first."""
        wanted = asked("batches", size, token, open_only)
        with database.read() as session:
            now = database_now(session)
            found = listing.list_batches(session, wanted.size + 1, open_only=open_only, before=_number(wanted.last))
        return answer(
            page(
                "batches",
                found,
                wanted,
                lambda batch: batch.id,
                lambda batch: batch_record(batch, now),
                sees=lambda batch: reader.sees_batch(batch.source),
            )
        )

    @router.get("/batches/{batch}")
    def get_batch(batch: str, reader: Reader) -> Response:
        """One batch: how its rows add up, and how far it is."""
        with database.read() as session:
            return answer(batch_record(seen_batch(session, batch, reader), database_now(session)))

    @router.get("/batches/{batch}/rejections")
    def list_rejections(batch: str, reader: Reader, size: PageSize = 0, token: PageToken = "") -> Response:
        """The rows of a batch that were refused, in their order, each with its reason."""
        wanted = asked("rejections", size, token, batch)
        with database.read() as session:
            found = seen_batch(session, batch, reader)
            rows = listing.first_rejections(session, found.id, wanted.size + 1, _number(wanted.last))
        return answer(page("rejections", rows, wanted, lambda row: row.job_id, rejection_record))

    @router.get("/targets/{name:path}/history")
    def target_history(name: str, reader: Reader, size: PageSize = 0, token: PageToken = "") -> Response:
        """The wishes for one target, newest first, and what became of each."""
        wanted = asked("history", size, token, name)
        with database.read() as session:
            found = listing.list_jobs(session, Selection(resource=name), wanted.size + 1, _number(wanted.last))
            if not reader.owns(name) or not (found or wanted.last or target_view(session, name)):
                raise nothing(f"nothing is known of {name[:500]}, and nothing was ever wished for it")
        return answer(page("jobs", found, wanted, lambda job: job.id, _job))

    @router.get("/targets/{name:path}")
    def get_target(name: str, reader: Reader) -> Response:
        """One target: its last known value, the newest accepted wish for it, and in what they differ."""
        with database.read() as session:
            view = target_view(session, name) if reader.owns(name) else None
        if view is None:
            raise nothing(f"nothing is known of {name[:500]}, and nothing was ever wished for it")
        return answer(view)

    @router.get("/quotas")
    def list_quotas(
        reader: Reader,
        template: OfTemplate = "",
        usecase: OfUsecase = "",
        size: PageSize = 0,
        token: PageToken = "",
    ) -> Response:
        """The newest answer for each quota, the value before it, and since when the present one holds."""
        wanted = asked("quotas", size, token, template, usecase)
        with database.read() as session:
            chosen = QuotaFilter(template or None, usecase or None, _text(wanted.last), reader.customers or None)
            found = known.list_quotas(session, chosen, wanted.size + 1)
        return answer(page("quotas", found, wanted, lambda quota: quota.answer.resource, current_quota_record))

    @router.get("/quotas/{resource:path}/history")
    def quota_history(resource: str, reader: Reader, size: PageSize = 0, token: PageToken = "") -> Response:
        """The answers that one quota has had, newest first."""
        wanted = asked("answers", size, token, resource)
        with database.read() as session:
            found = known.quota_history(session, limit=wanted.size + 1, resource=resource, before=_number(wanted.last))
        if not reader.owns(resource) or not (found or wanted.last):
            raise nothing(f"no answer is known for {resource[:500]}")
        return answer(page("answers", found, wanted, lambda quota: quota.id, quota_record))

    @router.get("/explain/{what:path}")
    def explain(what: str, reader: Reader) -> Response:
        """The whole story of a job, a batch, a target, a quota, an event, an agent or a message."""
        if what.startswith("customers/") and not reader.owns(what):
            raise nothing(f"{what[:200]} is not known")
        with database.read() as session:
            try:
                meant = [story for _, story in meant_by(session, what, WISHES) if _sees(reader, story)]
            except SeveralQuotas as several:
                raise Problem(HTTPStatus.CONFLICT, "several-quotas", str(several), quotas=several.quotas) from several
            if not meant:
                raise nothing(f"{what[:200]} is not known")
            record = story_record(meant[0], database_now(session))
            return answer(_without_others(reader, session, record) if reader.customers else record)

    return router


def seen_batch(session: Session, batch: str, reader: Holder) -> Batch:
    """Raises ``Problem`` where there is none that they see."""
    found = listing.find_batch(session, _parsed("batch", parse_batch_id, batch))
    if found is None or not reader.sees_batch(found.source):
        raise nothing(f"there is no batch {batch}; it may have been pruned")
    return found


def nothing(words: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "not-found", words)


def _job(job: Any) -> dict[str, Any]:
    return job_record(job) | {"why": reason_words(job)}


def _sees(reader: Holder, story: Story) -> bool:
    match story:
        case BatchStory():
            return reader.sees_batch(story.batch.source)
        case JobStory():
            return reader.owns(story.job.resource)
        case ResourceStory():
            return reader.owns(story.name)
        case EventStory():
            return reader.owns(story.event.profile)
        case AgentStory():
            return reader.owns(story.agent.profile)
        case _:
            return reader.owns(f"customers/{story.message.customer or ''}")


def _without_others(reader: Holder, session: Session, record: Fields) -> Fields:
    """Whom else it was told, and what others called what it came with, is none of this reader's business."""
    told = {"job": record.get("told"), "batch": record.get("told"), "message": [record]}.get(record["what"]) or []
    theirs = {one.id for one in endpoints.list_all(session) if reader.owns_all(json.loads(one.customers))}
    for one in told:
        one["deliveries"] = [delivery for delivery in one["deliveries"] if delivery["endpoint"] in theirs]
    if (batch := record.get("acceptedWith")) and not reader.sees_batch(batch["source"]):
        record["acceptedWith"] = None
    if record["what"] == "event":
        record["approval"] = None  # one question may be about events of several
    return record


def _failed(error_code: str, state: JobState | None) -> JobState | None:
    """Only failed jobs have an error code. Raises ``Problem``."""
    if error_code and state not in (None, JobState.FAILED):
        raise bad_parameter(("errorCode", f"only failed jobs have one; leave state={state} out"))
    return JobState.FAILED if error_code else state


def _parsed(parameter: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise bad_parameter((parameter, str(error))) from error


def _number(last: Any) -> int | None:
    return last if isinstance(last, int) else None


def _text(last: Any) -> str | None:
    return last if isinstance(last, str) else None
