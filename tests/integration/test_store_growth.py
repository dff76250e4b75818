"""A table grows a thousandfold within minutes: the best way to its rows at first is not the best for long."""

import pytest
from sqlalchemy import BigInteger, func, insert, select, text, true
from sqlmodel import Session

from tests.integration.store_rig import LASTS, WORKER, applied, job_ids, settle, wish
from worker.store.claims import Lease, claim
from worker.store.engine import Database, database_now
from worker.store.records import record
from worker.store.tables import jobs

_TIMES = 12  # the driver prepares a statement that comes for the sixth time, the server keeps a plan five runs later
_MANY = 30_000


def grow(store: Database) -> None:
    """Many more jobs, as they are when they have ended."""
    numbers = select(func.generate_series(1, _MANY, type_=BigInteger).label("number")).subquery()
    said = {column: column for column in jobs.c} | {jobs.c.id: jobs.c.id + numbers.c.number}
    last = select(func.max(jobs.c.id)).scalar_subquery()
    rows = select(*said.values()).select_from(jobs.join(numbers, true())).where(jobs.c.id == last)
    with store.write() as session:
        session.execute(insert(jobs).from_select(list(said), rows))


def whole_reads(session: Session) -> int:
    """How often this connection has read all jobs from the first to the last."""
    query = text("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'jobs'")
    return int(session.execute(query).scalar_one())


@pytest.mark.postgres
def test_what_was_planned_for_an_empty_table_reads_no_large_one_from_end_to_end(postgres_store: Database) -> None:
    postgres_store.close()  # one connection from here on, with its plans still to be made
    for number in range(_TIMES):
        settle(postgres_store, wish(f"first-{number}"))
    grow(postgres_store)
    ids = job_ids(postgres_store, *(wish(number) for number in range(100)))
    with postgres_store.write() as session:
        before = whole_reads(session)
        claimed = claim(session, ids, Lease("m-1", LASTS), database_now(session))
        record(session, [applied(job) for job in claimed], WORKER)
        assert len(claimed) == len(ids)
        assert whole_reads(session) == before
