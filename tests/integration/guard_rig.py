"""What the tests of the guard on targets share: targets that are known, and what a door has written."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select

from schemas.jobs import TargetUpdate
from tests.integration.store_rig import HOME, PLAN, TEMPLATE, USECASE, name_of, wish
from worker.store.engine import Database
from worker.store.oversight_models import Approval
from worker.store.tables import batches, jobs, rejections, resources, targets

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def know(store: Database, count: int, value: float = 50, *, uncertain: bool = False, home: str = HOME) -> None:
    """The remote has shown us targets 0 to ``count``, all with this value."""
    same: dict[str, Any] = {
        "scorecard_template_name": TEMPLATE,
        "criterion_or_chapter_id": "c",
        "usecase_name": USECASE,
        "coaching_plan_name": PLAN,
        "target": value,
        "known_at": NOON,
        "uncertain": uncertain,
    }
    names = [name_of(number).replace(HOME, home) for number in range(count)]
    with store.write() as session:
        session.execute(insert(targets), [same | {"name": name} for name in names])


def csv_of(values: dict[int, float]) -> str:
    header = "name,scorecardTemplateName,usecaseName,target,criterionOrChapterId,coachingPlanName\n"
    rows = (f"{name_of(number)},{TEMPLATE},{USECASE},{value},c,{PLAN}\n" for number, value in values.items())
    return header + "".join(rows)


def wishes_of(values: dict[int, float]) -> list[TargetUpdate]:
    return [wish(number, value) for number, value in values.items()]


def written(store: Database) -> int:
    """Rows of all that a door writes, but for questions to a person."""
    with store.read() as session:
        return sum(
            int(session.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (batches, jobs, rejections, resources)
        )


def asked(store: Database) -> list[Approval]:
    with store.read() as session:
        return list(session.execute(select(Approval).order_by(Approval.id)).scalars())  # type: ignore[arg-type]
