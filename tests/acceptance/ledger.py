"""What must be true after a storm: each promise, held against the remote, the store and the receivers, with figures."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from schemas.ids import format_job_id
from schemas.jobs import JobState
from schemas.webhooks import EventType
from tests.acceptance.books import Books, Line, broken
from tests.acceptance.ledger_told import told as _told
from tests.acceptance.storm import FAULTS
from tests.acceptance.story import GUARDED, Story
from tests.acceptance.year import PROFILE
from worker.clock import utc_now
from worker.loops.dispatcher import LONGEST_QUEUE
from worker.store.tables import (
    agents,
    attempts,
    batches,
    jobs,
    messages,
    quota_answers,
    roster_events,
)

MEMORY = 300 * 2**20  # bytes of a process: more than was ever seen, far less than a backlog in memory would take
WITHIN = 5  # seconds of bulk requests that may go before an urgent one: as many as the limit lets


def _durable(it: Books) -> Line:
    """Each receipt's batch is there with its rows, and each of its jobs has come to an end."""
    story = it.story
    there = {row.id: row for row in it.rows(select(batches))}
    lost = [one for one in story.receipts if (there[one["batch"]].rows, there[one["batch"]].accepted) != _rows(one)]
    still_open = it.states[JobState.PENDING] + it.states[JobState.RUNNING]
    waiting = it.count(roster_events, roster_events.c.state == "waiting")
    told = it.count(roster_events, roster_events.c.source == "/hr")
    words = [one for one in story.refused if len(one.strip().splitlines()) != 1 or not one.startswith("error: ")]
    return Line(
        "accepted is durable",
        f"{len(story.receipts)} receipts, {sum(it.states.values()):,} jobs, {told} events;"
        f" {len(story.refused)} refused and offered again; through {_mischief(story)}",
        broken(
            (lost, f"receipts that the store does not know so: {lost[:3]}"),
            (still_open or waiting, f"{still_open} jobs and {waiting} events have not come to an end"),
            (told != story.year.happenings, f"{story.year.happenings} events were told"),
            (words, f"a refusal in other words than one line: {words[:1]}"),
        ),
    )


def _mischief(story: Story) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(story.struck.items()))


def _rows(receipt: dict[str, Any]) -> tuple[int, int]:
    return receipt["rows"], receipt["accepted"]


def _newest(it: Books) -> Line:
    written, values = {one.name: one.value for one in it.story.effects}, defaultdict[str, list[float]](list)
    for effect in it.story.effects:
        values[effect.name].append(effect.value)
    order = it.story.order
    wanted = {name: asked[-1] for name, asked in order.items()}
    wrong = {name: (written.get(name), value) for name, value in wanted.items() if written.get(name) != value}
    older = [name for name in wanted if not _in_order(values[name], order[name])]
    policy = it.story.year.wanted(utc_now())
    differs = {key: (it.held.get(key), value) for key, value in policy.items() if it.held.get(key) != [value]}
    quotas = _quotas(it)
    return Line(
        "newest wish wins",
        f"{len(wanted):,} targets named, {len(policy)} of the policy, {len(quotas)} quotas: all as wished last",
        broken(
            (wrong, f"targets that are not (has, wanted): {dict(list(wrong.items())[:3])}"),
            (older, f"an older wish came after a newer one: {older[:3]}"),
            (differs, f"of the policy (has, wanted): {dict(list(differs.items())[:3])}"),
            ({name: one for name, one in quotas.items() if one[0] != one[1]}, f"quotas (has, wanted): {quotas}"),
        ),
    )


def _in_order(values: list[float], order: list[float]) -> bool:
    places = [order.index(value) for value in values]
    return places == sorted(places)


def _quotas(it: Books) -> dict[str, tuple[int | None, int]]:
    newest = select(func.max(quota_answers.c.id)).group_by(quota_answers.c.resource)
    counted = {
        (row.scorecard_template_name.rpartition("/")[2], row.usecase_name): row.total_active_agents_count
        for row in it.rows(select(quota_answers).where(quota_answers.c.id.in_(newest)))
    }
    staff = it.story.year.staff.values()
    wanted = {
        ("compliance@3", "voice"): sum("voice" in one.usecases for one in staff),
        ("empathy@2", "chat"): sum("chat" in one.usecases for one in staff),
    }
    return {
        name: (counted.get((name, f"{PROFILE}/usecases/{usecase}")), number)
        for (name, usecase), number in wanted.items()
    }


def _one_effect(it: Books) -> Line:
    by_key = Counter(one.key for one in it.story.effects)
    twice = {key: count for key, count in by_key.items() if count > 1 or not key}
    made_twice = {key: values for key, values in it.held.items() if key[2] in _plans(it) and len(values) > 1}
    ended = (JobState.SUCCEEDED, JobState.FAILED)
    told = Counter(it.rows(select(messages.c.job_id, messages.c.type).where(messages.c.job_id.is_not(None))))
    jobs_told = {job for job, _ in told}
    final = {row.id for row in it.rows(select(jobs.c.id).where(jobs.c.state.in_(ended), jobs.c.result != "unchanged"))}
    return Line(
        "one effect",
        f"{len(by_key):,} effects, each job's once; {len(final):,} outcomes, each told once; jobs: {dict(it.states)}",
        broken(
            (twice, f"effects under one key: {twice}"),
            (made_twice, f"targets that were made twice: {made_twice}"),
            (it.states[JobState.FAILED], f"jobs that gave up: {_failures(it)}"),
            (final - jobs_told, f"outcomes without a message: {sorted(final - jobs_told)[:3]}"),
            (max(told.values(), default=1) > 1, "a message that is there twice"),
        ),
    )


def _plans(it: Books) -> set[str]:
    return {person.plan for person in it.story.year.staff.values()}


def _failures(it: Books) -> list[str]:
    columns = jobs.c.id, jobs.c.resource, jobs.c.error_code, jobs.c.error
    failed = it.rows(select(*columns).where(jobs.c.state == JobState.FAILED))
    return [f"{format_job_id(id_)} {' '.join(map(str, more))}" for id_, *more in failed[:3]]


def _limit(it: Books) -> Line:
    story = it.story
    beyond = [one for one in story.arrivals if one.status == 429 and not one.fault]
    return Line(
        "the limit",
        f"{len(story.arrivals):,} requests in {story.seconds:.0f} s, at most {story.most_in_a_second} in a second"
        f" of {story.plan.rate}",
        broken(
            (story.most_in_a_second > story.plan.rate, "more than the limit in a second"),
            (beyond, f"the remote turned {len(beyond)} away"),
        ),
    )


def _cooldown(it: Books) -> Line:
    inside = [one for one in it.story.arrivals if one.in_cooldown]
    faults = Counter(one.fault for one in it.story.arrivals if one.fault)
    asked = sum(one.status in (429, 503) for one in it.story.arrivals)
    missing = {str(fault["kind"]) for fault in FAULTS} - faults.keys()
    return Line(
        "one cooldown",
        f"{asked} answers to wait or lies about it among {sum(faults.values())} faults: {dict(faults)}",
        broken(
            (inside, f"{len(inside)} requests within a wait"), (missing, f"these faults have never struck: {missing}")
        ),
    )


def _batches(it: Books) -> Line:
    found = it.rows(select(batches))
    wrong = [row.id for row in found if not _adds_up(row)]
    done = it.rows(select(messages.c.batch_id).where(messages.c.type == EventType.BATCH_COMPLETED))
    told = Counter(row.batch_id for row in done)
    not_once = {row.id: told[row.id] for row in found if told[row.id] != 1}
    rows, accepted, rejected = (sum(getattr(row, name) for row in found) for name in ("rows", "accepted", "rejected"))
    invalid = sum(file.invalid for file in it.story.files)
    return Line(
        "batches add up",
        f"{len(found)} batches, {rows:,} rows: {accepted:,} accepted, {rejected} rejected",
        broken(
            (wrong, f"batches that do not: {wrong}"),
            (rejected != invalid, f"{invalid} rows were wrong"),
            (not_once, f"completion told so often: {not_once}"),
        ),
    )


def _adds_up(row: Any) -> bool:
    ended = row.succeeded + row.failed + row.superseded + row.cancelled
    return bool(row.completed_at) and row.rows == row.accepted + row.rejected and row.accepted == ended


def _explained(it: Books) -> Line:
    """One of each kind is asked about, and the story goes all the way."""
    retried = jobs.c.attempts > 1, jobs.c.state == JobState.SUCCEEDED
    job = it.rows(select(jobs.c.id, jobs.c.batch_id, jobs.c.resource).where(*retried).limit(1))[0]
    event = it.rows(select(roster_events.c.seq).where(roster_events.c.source == "/hr").limit(1))[0]
    agent = it.rows(select(agents.c.agent).where(agents.c.active).limit(1))[0]
    told = it.rows(select(messages.c.id).where(messages.c.job_id == job.id).limit(1))[0]
    asked = {
        "job": format_job_id(job.id),
        "batch": str(job.batch_id),
        "target": job.resource,
        "event": f"e{event.seq}",
        "agent": agent.agent,
        "message": told.id,
    }
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda what: it.site.coachsync("explain", what, "--json"), asked.values()))
    silent = [kind for kind, (code, printed) in zip(asked, answers, strict=True) if code or not json.loads(printed)]
    story = answers[0][1]
    chain = [word for word in ("attempts", "requestId", told.id) if word not in story]
    unknown = it.story.arrivals and it.count(attempts) == 0
    return Line(
        "explainable",
        f"{', '.join(asked)}: each told; {it.count(attempts):,} attempts for {len(it.story.arrivals):,} requests",
        broken(
            (silent, f"no story of: {', '.join(silent)}"),
            (chain, f"the job's story does not name {chain}"),
            (unknown, "no attempt is recorded"),
        ),
    )


def _guarded(it: Books) -> Line:
    story = it.story
    stopped = [told.name for told in story.year.told if told.truncated or told.bulk]
    stopped += [name for name in story.answers if name.startswith("too-much")]
    let_in = [name for name in stopped if story.answers[name] != GUARDED]
    changed = [name for name in stopped if not story.untouched.get(name)]
    return Line(
        "guarded",
        f"{len(stopped)} inputs were stopped: {', '.join(stopped)}",
        broken((let_in, f"let in: {let_in}"), (changed, f"stopped, and something was written: {changed}")),
    )


def _urgent_first(it: Books) -> Line:
    """In requests, not in seconds, since a busy machine is slow and not wrong; as the promise has it, of most."""
    overtaken = sorted(_went_before(it))
    allowed = WITHIN * it.story.plan.rate
    middle = overtaken[len(overtaken) // 2]
    waited = max(one.waiting for one in it.story.urgent)
    return Line(
        "urgent first",
        f"{len(overtaken)} urgent wishes behind up to {waited} that were due: {overtaken} requests went before them",
        broken((middle > allowed, f"more than {allowed} before most of them")),
    )


def _went_before(it: Books) -> Iterator[int]:
    for urgent in it.story.urgent:
        sent = min(one.at for one in it.story.arrivals if one.name == urgent.name)
        yield sum(urgent.at < one.at < sent for one in it.story.arrivals)


def _bounded(it: Books) -> Line:
    story = it.story
    crashes, poison = it.number(select(func.max(jobs.c.crashes))), it.count(jobs, jobs.c.error_code == "poison")
    deaths = sum(story.struck.values())
    return Line(
        "bounded",
        f"{story.memory / 2**20:.0f} MB the largest worker process, at most {story.most_queued} messages with the"
        f" broker, {crashes} workers lost by one job",
        broken(
            (story.memory > MEMORY, "memory"),
            (story.most_queued > LONGEST_QUEUE, "messages pile up"),
            (poison or crashes > deaths, f"{poison} jobs are poison"),
        ),
    )


CHECKS: tuple[Callable[[Books], Line], ...] = (
    _durable,
    _newest,
    _one_effect,
    _limit,
    _cooldown,
    _batches,
    _told,
    _explained,
    _guarded,
    _urgent_first,
    _bounded,
)
