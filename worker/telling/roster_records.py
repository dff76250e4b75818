"""Rosters and their events as records and sentences."""

import json
from typing import Any

from schemas.instants import format_instant
from worker.core.roster import facts_from_json
from worker.intake.roster_events import EventReceipt, Foreseen
from worker.intake.roster_folding import Told
from worker.store.roster_models import AgentRow, SetAside
from worker.telling.records import Fields
from worker.telling.words_roster import agent_words

VERBS = ("joined", "left", "moved", "changed")


def receipt_record(receipt: EventReceipt) -> Fields:
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        **{verb: receipt.changes[verb] for verb in VERBS},
        "outdated": receipt.outcomes["outdated"],
    }


def foreseen_record(foreseen: Foreseen) -> Fields:
    changes = [_change_record(one) for one in foreseen.told if one.before != one.after]
    return receipt_record(foreseen.receipt) | {"stopped": foreseen.reason or None, "changes": changes}


def receipt_words(receipt: EventReceipt) -> str:
    """``3 joined, 1 left, 2 moved, 4 changed``, and what else there is to say."""
    words = [f"{receipt.changes[verb]:,} {verb}" for verb in VERBS]
    if outdated := receipt.outcomes["outdated"]:
        words.append(f"{outdated:,} outdated by newer facts")
    if receipt.duplicates:
        words.append(f"{receipt.duplicates:,} told before")
    return ", ".join(words)


def change_words(told: Told) -> str:
    before, after = (
        agent_words(one.model_dump_json(by_alias=True) if one else None) for one in (told.before, told.after)
    )
    return f"{told.verb} {told.event.data.agent}: {before} → {after}"  # type: ignore[union-attr]  # a snapshot is not among them


def agent_row(agent: AgentRow) -> Fields:
    """One line of a table."""
    record = json.loads(agent.record)
    return {
        "agent": agent.agent,
        "profile": agent.profile,
        "there": agent.active,
        "groups": ", ".join(record["groups"]) or None,
        "usecases": ", ".join(name.rpartition("/")[2] for name in record["usecases"]) or None,
        "coachingPlan": record["coachingPlanName"].rpartition("/")[2] or None,
        "joinedAt": record["joinedAt"],
        "changedAt": agent.changed_at,
    }


def agent_record(agent: AgentRow) -> Fields:
    """The agent with all names in full."""
    record: dict[str, Any] = json.loads(agent.record)
    return record | {"there": agent.active, "changedAt": agent.changed_at, "reviewAt": agent.review_at}


def fact_rows(agent: AgentRow) -> list[Fields]:
    """Each field with its newest fact: since when, and which event said so."""
    return [
        {"field": name, "value": fact.value, "since": format_instant(fact.at), "by": fact.by}
        for name, fact in sorted(facts_from_json(agent.facts).fields.items())
    ]


def aside_record(entry: SetAside) -> Fields:
    return {
        "number": entry.id,
        "door": entry.door,
        "entry": entry.entry,
        "at": entry.at,
        "reason": entry.reason,
        "content": entry.content,
    }


def _change_record(told: Told) -> Fields:
    before, after = (one.model_dump(mode="json", by_alias=True) if one else None for one in (told.before, told.after))
    return {"change": told.verb, "agent": told.event.data.agent, "before": before, "after": after}  # type: ignore[union-attr]  # a snapshot is not among them
