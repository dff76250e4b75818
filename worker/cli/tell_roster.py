"""Stories of the roster for people: an event, an agent."""

from worker.cli.output import Output
from worker.cli.tell import head, part, steps
from worker.store.explaining_roster import AgentStory, EventStory
from worker.telling.cells import cell
from worker.telling.words_roster import (
    agent_words,
    approval_words,
    ask_words,
    event_state_words,
    event_words,
    unasked_words,
    want_words,
)


def tell_event(story: EventStory, output: Output) -> None:
    event = story.event
    head(output, event_words(event), event_state_words(event))
    steps(output, [f"came by {event.door} at {cell(event.received_at)}, for {event.profile}"])
    if story.approval:
        steps(output, [approval_words(story.approval)])
    if event.outcome and event.agent:
        part(output, "Before", [agent_words(event.before)])
        part(output, "After", [agent_words(event.after)])
    part(output, "What it asked for", map(ask_words, story.asks), none=unasked_words(event))


def tell_agent(story: AgentStory, output: Output) -> None:
    agent = story.agent
    head(output, f"{agent.agent} of {agent.profile}", agent_words(agent.record if agent.active else None))
    part(output, "What the policy wants", map(want_words, story.wants), none="nothing")
    shown = f", the newest {len(story.events):,} of {story.told:,}" if len(story.events) < story.told else ""
    told = [f"{event_words(event)}: {event_state_words(event)}" for event in story.events]
    part(output, f"Events{shown}", told, none="none is kept")
    if agent.review_at:
        part(output, "Next", [f"a rule ends or begins for them at {cell(agent.review_at)}"])
