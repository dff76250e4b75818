"""The work that goes through a storm: files, wishes, quotas, events of a roster; and endpoints that are told of it."""

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from schemas.jobs import JobState, QuotaRecalculation, Wish
from schemas.lanes import Lane
from tests.acceptance.installation import Installation
from tests.acceptance.receivers import FAILING, HEALTHY, SLOW, Receivers
from tests.acceptance.story import CONCURRENCY, GUARDED, Story, Urgent
from tests.acceptance.wishes import WishFile, target_of, wish, wrong_file
from tests.acceptance.year import PROFILE, Person, Told
from worker.intake.accept import Offered, Receipt, accept
from worker.store import batches
from worker.store.batches import NewBatch
from worker.store.outbox import PENDING
from worker.store.tables import agents, deliveries, jobs, roster_events, targets, wants

KNOWN = 30  # targets, before somebody changes them all
_QUOTAS = tuple(f"{PROFILE}/scorecardTemplates/{name}" for name in ("compliance@3", "empathy@2", "resolution@1"))


@dataclass(frozen=True, slots=True)
class Workload:
    """``wait`` until something is true, which must not keep the storm from going on."""

    site: Installation
    story: Story
    receivers: Receivers
    wait: Callable[[Callable[[], bool], str], None]

    def apply(self, name: str, file: WishFile) -> None:
        self.story.files.append(file)
        path = self.written(name, file)
        code, printed = self._patiently("targets", "apply", path, "--json", "--key", name, "--approve")
        assert code in (0, 1 if file.invalid else 0), printed
        self.story.receipts.append(json.JSONDecoder().raw_decode(printed)[0])

    def written(self, name: str, file: WishFile) -> str:
        path = self.site.folder / f"{name}.csv"
        path.write_text(file.text)
        return str(path)

    def wish_twice(self, base: int, value: float) -> None:
        """From Python, twice for each target: the second is the newest."""
        for more in (0.0, 20.0):
            numbers = range(base, base + self.story.plan.wishes)
            self._accept((wish(number, value + more) for number in numbers), f"wishes-{base}-{value + more}")
            for number in numbers:
                self.story.wished[target_of(number).name].append(value + more)

    def urgent(self, number: int) -> None:
        target = self.story.plan.rows + 2 * self.story.plan.wishes + number
        waiting, asked = self.site.due(), time.monotonic()
        self._accept([wish(target, 33.25)], f"urgent-{number}", Lane.INTERACTIVE)
        name = target_of(target).name
        self.story.wished[name].append(33.25)
        self.story.urgent.append(Urgent(name, asked, waiting))

    def recalculate(self) -> None:
        questions = [QuotaRecalculation(scorecard_template_name=name) for name in _QUOTAS]
        self._accept(questions, "quotas")

    def _accept(self, wishes: Iterable[Wish], key: str, lane: Lane = Lane.BULK) -> None:
        """As a producer in Python does, which offers the same again where it was not told that it is accepted."""
        rows = [Offered(row, row, one) for row, one in enumerate(wishes, start=1)]
        new = NewBatch("storm", lane, key=f"{key}-{len(self.story.receipts)}")
        runtime = self.site.runtime
        receipt = _offered(lambda: accept(runtime.database, rows, new, runtime.settings.remote_for))
        counts = {"rows": receipt.rows, "accepted": receipt.accepted, "rejected": receipt.rejected}
        self.story.receipts.append({"batch": receipt.batch_id, **counts})

    def too_much(self, number: int) -> None:
        """A whole file of wrong values, without a word of approval."""
        self.wait(lambda: self._known() >= KNOWN, "some targets are known")
        name = f"too-much-{number}"
        path = self.written(name, wrong_file(range(self.story.plan.rows)))
        code, _ = self._patiently("targets", "apply", path, "--json", "--key", name)
        self.story.answers[name] = code
        with self.site.runtime.database.read() as session:
            self.story.untouched[name] = batches.find(session, name) is None

    def rotate(self) -> None:
        code, printed = self._patiently("webhooks", "endpoints", "rotate", self.story.endpoint[HEALTHY], "--json")
        assert code == 0, printed
        self.story.secrets.append(json.loads(printed)["secret"])

    def tell(self, told: Told) -> None:
        site = self.site
        if told.roster:
            site.remote.roster(PROFILE, [_seen_by_remote(person) for person in told.roster])
        path = site.folder / told.name
        path.write_text(told.text)
        command = ["roster", "import" if told.as_of else "events", str(path), "--json"]
        if told.as_of:
            command += ["--as-of", told.as_of.isoformat()]
        before = self._projection()
        code, printed = self._patiently(*command)
        self.story.answers[told.name] = code
        if code == GUARDED:
            self.story.untouched[told.name] = before == self._projection()
        if told.bulk:
            code, printed = self._patiently(*command, "--approve")
        assert code == 0 or told.truncated, printed

    def _patiently(self, *command: str) -> tuple[int, str]:
        """As a person who reads `the database refused`, and runs the same command again."""
        for _ in range(5):
            code, printed = self.site.coachsync(*command)
            if "the database" not in printed:
                break
            self.story.refused.append(printed)
        return code, printed

    def make_endpoint(self, kind: str) -> None:
        more = ["--ordered"] if kind == HEALTHY else []
        url = f"{self.receivers.url}/{kind}"
        options = ["--concurrency", CONCURRENCY[kind], *more, "--json"]
        code, printed = self.site.coachsync("webhooks", "endpoints", "create", url, *options)
        assert code == 0, printed
        made = json.loads(printed)
        self.story.endpoint[kind] = made["endpoint"]
        if kind == HEALTHY:
            self.story.secrets.append(made["secret"])

    def left(self) -> int:
        """What is still to be planned, asked, sent, or told to those who take it."""
        working = [self.story.endpoint[kind] for kind in (HEALTHY, SLOW, FAILING)]
        still_open = jobs.c.state.in_((JobState.PENDING, JobState.RUNNING))
        waiting = deliveries.c.endpoint_id.in_(working), deliveries.c.state == PENDING
        counted = (
            select(func.count()).select_from(roster_events).where(roster_events.c.state == "waiting"),
            select(func.count()).select_from(wants).where(~wants.c.asked),
            select(func.count()).select_from(jobs).where(still_open),
            select(func.count()).select_from(deliveries).where(*waiting),
        )
        with self.site.runtime.database.read() as session:
            return sum(int(session.execute(query).scalar_one()) for query in counted)

    def _known(self) -> int:
        with self.site.runtime.database.read() as session:
            return int(session.execute(select(func.count()).select_from(targets)).scalar_one())

    def _projection(self) -> list[Any]:
        with self.site.runtime.database.read() as session:
            rows = session.execute(select(agents.c.agent, agents.c.facts, agents.c.active).order_by(agents.c.agent))
            return [tuple(row) for row in rows]


def _offered(accept_all: Callable[[], Receipt]) -> Receipt:
    """Again where the database stayed away for longer than the door waits."""
    for _ in range(4):
        with suppress(DBAPIError):
            return accept_all()
    return accept_all()


def _seen_by_remote(person: Person) -> dict[str, Any]:
    usecases = [f"{PROFILE}/usecases/{one}" for one in person.usecases]
    return {"user": person.name, "group": person.group, "usecases": usecases}
