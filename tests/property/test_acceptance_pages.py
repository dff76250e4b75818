"""Where a page ends changes nothing: the door decides as if all wishes had come one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.jobs import TargetUpdate
from worker.core.acceptance import Earlier, Fate, KnownIdentity, Offer, Standing, plan_acceptance

HOME = "customers/acme/profiles/main"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
KNOWN = KnownIdentity(f"{HOME}/scorecardTemplates/s", "c", 10.0, f"{HOME}/usecases/u", "", None, uncertain=False)


@dataclass(frozen=True, slots=True)
class Said:
    target: int
    value: float
    age: int | None
    key: str | None


SAYINGS = st.lists(
    st.builds(
        Said,
        target=st.integers(0, 1),
        value=st.sampled_from([10.0, 20.0]),
        age=st.none() | st.integers(1, 3),
        key=st.none() | st.sampled_from(["k", "l"]),
    ),
    max_size=12,
)
Ends = dict[int, tuple[Fate, int | None]]


def offer(row: int, said: Said) -> Offer:
    wish = TargetUpdate(
        name=f"{HOME}/targets/t-{said.target}",
        scorecard_template_name=KNOWN.scorecard_template_name,
        usecase_name=KNOWN.usecase_name,
        target=said.value,
        as_of=None if said.age is None else NOW - timedelta(hours=said.age),
        request_key=said.key,
    )
    text = wish.model_dump_json(by_alias=True, exclude_none=True, exclude={"request_key"})
    return Offer(row, row + 1, wish, text)


def ends_of(pages: Sequence[Sequence[Offer]], known: KnownIdentity | None) -> tuple[Ends, dict[str, Standing]]:
    """Every row's end and every resource's standing after the pages, each decided on what the ones before left."""
    standings = {f"{HOME}/targets/t-{target}": Standing(known=known) for target in (0, 1)}
    keys: dict[str, Earlier] = {}
    ends: Ends = {}
    for page in pages:
        plan = plan_acceptance(page, standings, keys, NOW)
        ends |= {one.offer.id: (one.fate, one.by) for one in plan.accepted}
        ends |= {one.offer.id: (Fate.REFUSED, None) for one in plan.refused}
        ends |= {job: (Fate.SUPERSEDED, by) for job, by in plan.superseded.items()}
        keys |= {
            one.offer.wish.request_key: Earlier(one.offer.id, one.offer.wish_text)
            for one in plan.accepted
            if one.offer.wish.request_key and one.fate is not Fate.REPEATED
        }
        standings = plan.standings
    return ends, standings


@given(
    SAYINGS, st.lists(st.integers(1, 4), max_size=12), st.sampled_from([None, KNOWN, replace(KNOWN, uncertain=True)])
)
def test_pages_of_any_length_come_to_the_same(
    sayings: list[Said], lengths: list[int], known: KnownIdentity | None
) -> None:
    offers = [offer(row, said) for row, said in enumerate(sayings, start=1)]
    pages, rest = [], offers
    for length in lengths:
        pages.append(rest[:length])
        rest = rest[length:]
    assert ends_of([*pages, rest], known) == ends_of([offers], known)
    assert ends_of([[one] for one in offers], known) == ends_of([offers], known)


@given(SAYINGS, st.sampled_from([None, KNOWN]))
def test_each_row_has_one_end_and_of_each_target_the_newest_is_what_is_left(
    sayings: list[Said], known: KnownIdentity | None
) -> None:
    offers = [offer(row, said) for row, said in enumerate(sayings, start=1)]
    ends, standings = ends_of([offers], known)
    assert sorted(ends) == [one.id for one in offers]
    for name, standing in standings.items():
        left = [one.id for one in offers if one.wish.resource == name and ends[one.id][0] is Fate.QUEUED]
        assert left == ([standing.pending_job_id] if standing.pending_job_id else [])
        new = [
            one for one in offers if one.wish.resource == name and ends[one.id][0] not in (Fate.REPEATED, Fate.REFUSED)
        ]
        if new:
            newest = max(enumerate(new), key=lambda pair: (order(pair[1]), pair[0]))[1]
            assert standing.newest_job_id == newest.id


def order(one: Offer) -> int:
    """Without ``asOf`` a wish is newer than all before it, and than any ``asOf`` of the past."""
    return 1 if one.wish.as_of is None else -1_000 + int((one.wish.as_of - NOW) / timedelta(hours=1))
