"""Which events an endpoint asks for."""

from dataclasses import replace

import pytest

from schemas.webhooks import EventType
from worker.core.endpoint_filter import EndpointFilter, Facts

VOICE, CHAT = "customers/acme/profiles/support/usecases/voice", "customers/acme/profiles/support/usecases/chat"
UPDATED = Facts("target.updated", "acme", VOICE, 17, "January")
GUARD = Facts("roster.guard_tripped", None, None, None, None)


def test_without_filters_everything_is_let_through() -> None:
    assert all(EndpointFilter().lets_through(replace(UPDATED, type=kind)) for kind in EventType)
    assert EndpointFilter().lets_through(GUARD)


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        ({"types": ["target.updated"]}, True),
        ({"types": ["target.*"]}, True),
        ({"types": ["quota.changed", "target.updated"]}, True),
        ({"types": ["quota.*", "batch.completed"]}, False),
        ({"types": ["target.failed"]}, False),
        ({"customers": ["acme"]}, True),
        ({"customers": ["globex", "acme"]}, True),
        ({"customers": ["ACME"]}, False),
        ({"usecases": [VOICE]}, True),
        ({"usecases": [CHAT]}, False),
        ({"usecases": ["voice"]}, False),
        ({"batches": ["17"]}, True),
        ({"batches": ["January"]}, True),
        ({"batches": ["1"]}, False),
        ({"batches": ["january"]}, False),
        ({"types": ["target.*"], "customers": ["acme"], "usecases": [VOICE], "batches": ["17"]}, True),
        ({"types": ["target.*"], "customers": ["globex"]}, False),
        ({"types": ["quota.*"], "customers": ["acme"]}, False),
    ],
)
def test_all_that_is_asked_for_must_hold_and_of_one_kind_one_is_enough(
    asked: dict[str, list[str]], *, passes: bool
) -> None:
    assert EndpointFilter.of(**asked).lets_through(UPDATED) is passes


@pytest.mark.parametrize("asked", [{"customers": ["acme"]}, {"usecases": [VOICE]}, {"batches": ["17"]}])
def test_an_event_that_lacks_a_fact_passes_no_filter_on_it(asked: dict[str, list[str]]) -> None:
    assert not EndpointFilter.of(**asked).lets_through(GUARD)


def test_a_label_that_reads_like_a_number_is_a_label_too() -> None:
    assert EndpointFilter.of(batches=["17"]).lets_through(replace(UPDATED, batch_id=99, batch_label="17"))


def test_a_batch_without_a_label_does_not_pass_an_empty_one() -> None:
    assert not EndpointFilter.of(batches=["None"]).lets_through(replace(UPDATED, batch_label=None))
    assert not EndpointFilter(batches=frozenset({""})).lets_through(replace(UPDATED, batch_label=""))


def test_a_type_of_a_later_version_passes_by_its_family_alone() -> None:
    later = replace(UPDATED, type="target.archived")
    assert EndpointFilter.of(types=["target.*"]).lets_through(later)
    assert not EndpointFilter.of(types=["target.updated"]).lets_through(later)


@pytest.mark.parametrize("kind", EventType)
def test_each_type_and_each_family_of_the_catalogue_can_be_asked_for(kind: EventType) -> None:
    family = f"{kind.partition('.')[0]}.*"
    for text in (kind, family):
        assert EndpointFilter.of(types=[text]).lets_through(replace(UPDATED, type=kind))


@pytest.mark.parametrize("text", ["", "*", "target", "target.", "targets.*", "Target.updated", "target.*.*", "x" * 999])
def test_a_type_that_nothing_ever_has_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no event type; known are: target\.updated, ") as caught:
        EndpointFilter.of(types=["target.updated", text])
    assert repr(text[:60]) in str(caught.value)
    assert len(str(caught.value)) < 500
