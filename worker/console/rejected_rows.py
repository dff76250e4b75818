"""The refused rows of a batch to download."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from schemas.ids import MAX_ROWS
from worker.console.answers import Answers
from worker.console.desk import NotThere
from worker.console.pages_work import batch_seen
from worker.intake.rejected_file import harmless
from worker.store import listing

AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class RejectedRows:
    answers: Answers

    def rejected_rows(self, request: Request) -> Response:
        """The refused rows of a batch as CSV, however many: a portion at a time."""
        viewer = self.answers.door.viewer_of(request)
        if viewer is None:
            return self.answers.to_sign_in(request)
        desk = self.answers.desk(request, viewer)
        try:
            desk.sees_all_or_nothing("Rejected rows")
            with self.answers.services.runtime.database.read() as session:
                batch = batch_seen(desk, session, request.path_params["batch"])
        except NotThere as error:
            return self.answers.trouble(request, viewer, 404, "Not there", str(error))
        named = {"Content-Disposition": f'attachment; filename="batch-{batch.id}-rejected.csv"'}
        return StreamingResponse(self._rejected(batch.id), media_type="text/csv; charset=utf-8", headers=named)

    def _rejected(self, batch: int) -> Iterator[str]:
        yield _csv(("line", "row", "field", "reason", "value"))
        after = None
        while True:
            with self.answers.services.runtime.database.read() as session:
                some = listing.first_rejections(session, batch, AT_ONCE, after)
            yield "".join(
                _csv((one.line, one.job_id & MAX_ROWS, *map(harmless, (one.field, one.reason, one.value))))
                for one in some
            )
            if len(some) < AT_ONCE:
                return
            after = some[-1].job_id


def _csv(cells: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
