"""Told: what the receivers have got, held against the messages that there were to tell."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Select, func, select

from schemas.webhooks import EventType
from tests.acceptance.books import Books, Line, broken
from tests.acceptance.receivers import FAILING, GONE, HANGING, HEALTHY, SLOW, Got
from tests.acceptance.story import CONCURRENCY
from worker.store.outbox import DEAD, DELIVERED, DISABLED, PENDING
from worker.store.tables import (
    deliveries,
    endpoints,
    messages,
)


def told(it: Books) -> Line:
    story, got = it.story, it.receivers.got
    addressed = {row.id for row in it.rows(_messages_for(story.endpoint[HEALTHY]))}
    arrived = {one.id for one in got}
    counts = Counter[tuple[str, str]]()
    silent = []
    for endpoint, state, error, number in it.rows(
        select(deliveries.c.endpoint_id, deliveries.c.state, deliveries.c.error, func.count()).group_by(
            deliveries.c.endpoint_id, deliveries.c.state, deliveries.c.error
        )
    ):
        counts[endpoint, state] += number
        silent += [endpoint] * (state == DEAD and not error)
    late = {kind: counts[story.endpoint[kind], PENDING] for kind in (HEALTHY, SLOW, FAILING)}
    aside = {kind: counts[story.endpoint[kind], DEAD] for kind in (HEALTHY, SLOW, FAILING)}
    gone = it.rows(select(endpoints.c.state).where(endpoints.c.id == story.endpoint[GONE]))[0].state
    disabled = it.count(messages, messages.c.type == EventType.ENDPOINT_DISABLED)
    asked = it.receivers.requests
    owners = 1 + sum(count for name, count in story.struck.items() if "deliverer" in name)
    spared = {HANGING: (owners + 1) * int(CONCURRENCY[HANGING]), GONE: owners * int(CONCURRENCY[GONE])}
    signed = sum(len(one.signatures) > 1 for one in got)
    forged = [one.id for one in got if not _verified(one, story.secrets)]
    return Line(
        "told",
        f"{len(addressed):,} messages, {len(got) - len(arrived)} of them twice at the one that works;"
        f" {counts[story.endpoint[SLOW], DELIVERED]} at the slow, {counts[story.endpoint[FAILING], DELIVERED]} at the"
        f" failing; {asked[HANGING]} requests to the one that hangs, {asked[GONE]} to the one that is gone",
        broken(
            (arrived != addressed, f"missing {len(addressed - arrived)}, unknown {len(arrived - addressed)}"),
            (sum(late.values()) or sum(aside.values()), f"not told: {late}, set aside: {aside}"),
            (silent, "set aside without a word"),
            (disorder := list(_disorder(it)), f"told in another order than it happened: {disorder[:3]}"),
            (forged, f"the official library does not verify {forged[:3]}"),
            (not signed, "no message was signed with the old secret and the new one"),
            ((gone, disabled) != (DISABLED, 1), f"the one that is gone is {gone}, told {disabled} times"),
            (counts[story.endpoint[HANGING], DELIVERED], "the one that hangs has said that it has got something"),
            (counts[story.endpoint[HANGING], PENDING] == 0, "nothing waits for the one that hangs"),
            ([kind for kind, most in spared.items() if asked[kind] > most], f"asked more often than {spared}"),
        ),
    )


def _messages_for(endpoint: str) -> Select[Any]:
    to = messages.join(deliveries, deliveries.c.message_seq == messages.c.seq)
    return select(messages.c.id).select_from(to).where(deliveries.c.endpoint_id == endpoint)


def _disorder(it: Books) -> Iterator[str]:
    """Of each resource the receiver got what happened to it in the order in which it did."""
    order = {
        row.id: (row.resource, row.seq) for row in it.rows(select(messages.c.id, messages.c.resource, messages.c.seq))
    }
    last = dict[str, int]()
    for one in it.first_got:
        resource, seq = order.get(one.id, (None, 0))
        if resource and last.setdefault(resource, seq) > seq:
            yield resource
        if resource:
            last[resource] = seq


def _verified(one: Got, secrets: Sequence[str]) -> bool:
    """By as many secrets as have signed: the first one does all the time, since those that were replaced overlap."""
    valid = [secret for secret in secrets if one.verifies(secret)]
    return secrets[0] in valid and len(valid) == len(one.signatures)
