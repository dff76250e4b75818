"""What is left of a storm at the remote, in the store and with the receivers; and how one promise is told to stand."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Select, func, select

from tests.acceptance.installation import Installation
from tests.acceptance.receivers import Got, Receivers
from tests.acceptance.story import Story
from tests.acceptance.year import PROFILE
from worker.store.tables import jobs


@dataclass(frozen=True, slots=True)
class Line:
    """``broken`` names what is not as promised."""

    promise: str
    figures: str
    broken: tuple[str, ...] = ()

    def __str__(self) -> str:
        mark = "BROKEN" if self.broken else "kept"
        return f"{self.promise:<22} {mark:<7} {self.figures}" + "".join(f"\n    {one}" for one in self.broken)


@dataclass(frozen=True)
class Books:
    """What there is to be held against what was promised: the remote's, the store's, and the receivers'."""

    story: Story
    site: Installation
    receivers: Receivers

    def rows(self, query: Select[Any]) -> list[Any]:
        with self.site.runtime.database.read() as session:
            return list(session.execute(query).all())

    def number(self, query: Select[Any]) -> int:
        return int(self.rows(query)[0][0])

    def count(self, table: Any, *where: Any) -> int:
        return self.number(select(func.count()).select_from(table).where(*where))

    @cached_property
    def states(self) -> Counter[str]:
        query = select(jobs.c.state, func.count().label("count")).group_by(jobs.c.state)
        return Counter({row.state: row.count for row in self.rows(query)})

    @cached_property
    def held(self) -> dict[tuple[str, str, str], list[float]]:
        """What the remote has for the coaching plans of the roster: template, criterion and plan → values."""
        found = defaultdict[tuple[str, str, str], list[float]](list)
        for target in self.site.remote.targets(PROFILE):
            template = target["scorecardTemplateName"].rpartition("/")[2]
            key = template, target.get("criterionOrChapterId", ""), target.get("coachingPlanName", "")
            found[key].append(target.get("target", 0.0))
        return dict(found)

    @cached_property
    def first_got(self) -> list[Got]:
        """What the receiver that works has got, without what came twice."""
        return list({one.id: one for one in reversed(self.receivers.got)}.values())[::-1]


def broken(*claims: tuple[Any, str]) -> tuple[str, ...]:
    return tuple(words for wrong, words in claims if wrong)
