"""What somebody means by an id or a name: ours first, then names of the Coaching API, then ids from outside."""

import re
from collections.abc import Callable, Iterator

from sqlmodel import Session

from schemas.ids import MAX_ROWS, ROW_BITS, parse_batch_id, parse_job_id
from schemas.names import SCORECARD_TEMPLATE, SCORECARD_TEMPLATE_REVISION
from worker.store.explaining import BatchStory, JobStory, ResourceStory, batch_story, job_story, resource_story
from worker.store.explaining_roster import (
    AgentStory,
    EventStory,
    agent_story,
    agents_named,
    event_story,
    events_named,
    find_event,
)
from worker.store.explaining_webhooks import MessageStory, message_story
from worker.store.known import quota_resources
from worker.store.listing import find_rejection
from worker.store.roster import find_agent

FORMS = (
    "a job (17-203), a batch (17), a target (customers/…/profiles/…/targets/…),"
    " a quota (customers/…/profiles/…/scorecardTemplates/…@…/quota…),"
    " an event of the roster (e17, or its own id), an agent (their id, or customers/…/profiles/…/agents/…)"
    " or a message (msg_…)"
)
MOST_NAMED = 10
_EVENT = re.compile(r"e[1-9][0-9]{0,17}")
_AGENT = re.compile(r"(customers/[^/]+/profiles/[^/]+)/agents/(.+)")
Story = BatchStory | JobStory | ResourceStory | EventStory | AgentStory | MessageStory
Meant = tuple[str, Story]  # the name that means it and nothing else


class SeveralQuotas(Exception):  # noqa: N818 - the house names what happened
    """A template has several quotas, and only its own name was given."""

    def __init__(self, template: str, quotas: list[str]) -> None:
        super().__init__(f"{template} has several quotas; name one of them: {' '.join(quotas)}")
        self.quotas = quotas


def meant_by(session: Session, what: str, limit: int) -> list[Meant]:
    """All that it may mean, the likeliest first. Raises ``SeveralQuotas``."""
    return [*_ours(session, what), *_known_by_name(session, what, limit), *_known_by_their_id(session, what, limit)]


def why_nothing(session: Session, what: str) -> str:
    """What to say where it means nothing that is known."""
    if _is(parse_batch_id, what):
        return f"BATCH: there is no batch {what}; it may have been pruned (coachsync batches list)"
    if _is(parse_job_id, what):
        return f"JOB: there is no job {what}: {_why_no_job(session, parse_job_id(what))}"
    if what.startswith("customers/"):
        return f"NAME: nothing is known of {what[:200]}, and nothing was ever wished for it; expected {FORMS}"
    if _EVENT.fullmatch(what):
        return f"EVENT: there is no event {what}; it may have been pruned"
    return f"NAME|JOB|BATCH|EVENT|AGENT|MESSAGE: {what[:80]!r} is none of these, or is not known: {FORMS}"


def names_template(text: str) -> bool:
    """Whether it is a scorecard template's name, with or without revision."""
    return _is(check_template, text)


def check_template(text: str) -> str:
    return (SCORECARD_TEMPLATE_REVISION if "@" in text else SCORECARD_TEMPLATE).check(text)


def _ours(session: Session, what: str) -> Iterator[Meant]:
    """They come first where somebody else's id reads the same."""
    if _is(parse_batch_id, what) and (batch := batch_story(session, parse_batch_id(what))):
        yield f"batch {what}", batch
    if _is(parse_job_id, what) and (job := job_story(session, parse_job_id(what))):
        yield f"job {what}", job
    if _EVENT.fullmatch(what) and (event := find_event(session, int(what[1:]))):
        yield f"event {what}", event_story(session, event)
    if message := message_story(session, what):
        yield f"message {what}", message


def _known_by_name(session: Session, what: str, limit: int) -> Iterator[Meant]:
    if agent := _AGENT.fullmatch(what):
        if row := find_agent(session, *agent.groups()):
            yield what, agent_story(session, row, limit)
    elif what.startswith("customers/") and (story := resource_story(session, _one_resource(session, what), limit)):
        yield what, story


def _known_by_their_id(session: Session, what: str, limit: int) -> Iterator[Meant]:
    """An event's own id, or an agent's: they come from outside, and may be the same in several places."""
    for event in events_named(session, what):
        yield f"e{event.seq} of {event.source}", event_story(session, event)
    for agent in agents_named(session, what):
        yield f"{agent.profile}/agents/{agent.agent}", agent_story(session, agent, limit)


def _why_no_job(session: Session, job: int) -> str:
    batch, row = job >> ROW_BITS, job & MAX_ROWS
    if refused := find_rejection(session, job):
        return f"row {row} of batch {batch} was rejected (line {refused.line}): {refused.field}: {refused.reason}"
    return f"batch {batch} has no row {row}, or it was pruned (coachsync batches show {batch})"


def _one_resource(session: Session, name: str) -> str:
    """A template with its revision stands for its quota, if it has one only."""
    if not names_template(name):
        return name
    found = quota_resources(session, name, MOST_NAMED)
    if len(found) > 1:
        raise SeveralQuotas(name, found)
    return found[0] if found else name


def _is(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
