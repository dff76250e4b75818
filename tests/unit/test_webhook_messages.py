"""What is sent is what the published schemas say, and the published files are what the models say."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from standardwebhooks import Webhook

from schemas.base import Value
from schemas.webhooks import CATALOGUE, LONGEST_BODY, VERSION, EventType, TargetUpdated, Words, compose
from worker.cli.webhook_examples import EXAMPLES, NOW, example_message
from worker.cli.webhook_reference import TYPES, message_schema, pages
from worker.webhooks.signing import TIMESTAMP, headers

REFERENCE = Path(__file__).parents[2] / "docs/reference/webhooks"
SCHEMAS = {kind: jsonschema.Draft202012Validator(message_schema(kind)) for kind in TYPES}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
INSTANTS = st.integers(0, 10**15).map(lambda number: NOW + timedelta(microseconds=number))


def drawn(model: type[Value]) -> st.SearchStrategy[Value]:
    """Any value of the model; what may be absent is, now and then."""
    kinds = {datetime: INSTANTS, str: TEXTS, float: st.floats(allow_nan=False, allow_infinity=False)}
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        inner = [one for one in getattr(field.annotation, "__args__", (field.annotation,)) if one is not type(None)]
        drawing = kinds.get(_bare(inner[0]), st.from_type(_bare(inner[0])))
        fields[name] = drawing if field.default is not None else st.none() | drawing
    return st.fixed_dictionaries(fields).map(model.model_validate)


def _bare(annotation: Any) -> Any:
    return getattr(annotation, "__origin__", annotation)


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=20)
@given(st.data(), INSTANTS)
def test_whatever_is_composed_is_accepted_by_the_schema_and_has_no_other_field(
    kind: str, data: st.DataObject, at: datetime
) -> None:
    value = data.draw(drawn(TYPES[kind]))
    body = compose(kind, at, value)
    message = json.loads(body)
    SCHEMAS[kind].validate(message)
    assert set(message) == {"type", "version", "timestamp", "data"}
    assert set(message["data"]) <= set(message_schema(kind)["properties"]["data"]["properties"])
    assert None not in message["data"].values()
    assert type(value).model_validate(message["data"]) == value


def test_the_catalogue_has_each_type_once_and_an_example_of_each() -> None:
    assert list(CATALOGUE) == list(EventType)
    assert set(EXAMPLES) == {*EventType, "endpoint.test"} == set(TYPES)
    assert {type(value) for value in EXAMPLES.values()} == set(TYPES.values())


@pytest.mark.parametrize("kind", TYPES)
def test_the_example_is_valid_by_its_schema_small_and_taken_by_the_official_library(kind: str) -> None:
    body = example_message(kind)
    SCHEMAS[kind].validate(json.loads(body))
    assert len(body.encode()) < LONGEST_BODY
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    signed = headers([secret], "msg_1", int(datetime.now(NOW.tzinfo).timestamp()), body.encode())  # noqa: TID251 - the library looks at the clock
    assert signed[TIMESTAMP]
    assert Webhook(secret).verify(body, signed) == json.loads(body)


@pytest.mark.parametrize("kind", TYPES)
def test_each_field_has_its_meaning(kind: str) -> None:
    schema = message_schema(kind)
    described = [schema, *schema["properties"]["data"]["properties"].values()]
    assert all(field["description"].endswith((".", "…")) for field in described)
    assert not [field for field in described if "``" in field["description"]]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "target.lost"},
        {"version": 2},
        {"timestamp": 1},
        {"data": {}},
        {"data": None},
    ],
)
def test_a_schema_refuses_what_is_no_such_message(change: dict[str, Any]) -> None:
    message = json.loads(example_message("target.updated")) | change
    with pytest.raises(jsonschema.ValidationError):
        SCHEMAS["target.updated"].validate(message)


def test_a_schema_takes_fields_that_are_new() -> None:
    message = json.loads(example_message("target.updated"))
    message["data"]["newerThanThisSchema"] = 1
    SCHEMAS["target.updated"].validate(message | {"alsoNewer": True})


def test_the_published_files_are_what_the_models_say() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.iterdir()}
    assert committed == pages(), "`make docs` writes them anew"


def test_the_published_schemas_are_schemas_of_their_own_each() -> None:
    found = [json.loads(text) for name, text in pages().items() if name.endswith(".schema.json")]
    for schema in found:
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {schema["$id"] for schema in found} == {f"urn:coachsync:webhook:{kind}:v{VERSION}" for kind in TYPES}


def test_the_message_on_the_page_has_the_signature_that_it_says() -> None:
    page = pages()["README.md"]
    shown = page.partition("```text\n")[2].partition("\n```")[0]
    head, _, body = shown.partition("\n\n")
    given = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    at = datetime.fromtimestamp(int(given[TIMESTAMP]), NOW.tzinfo)
    assert f"`{(secret := 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')}`" in page
    assert given["webhook-signature"] == Webhook(secret).sign(given["webhook-id"], at, body)


def test_a_body_is_json_of_our_own_spelling() -> None:
    at = datetime(2026, 1, 31, 9, 0, tzinfo=timezone(timedelta(hours=1)))
    example = EXAMPLES["target.updated"]
    assert isinstance(example, TargetUpdated)
    body = compose("target.updated", at, example.model_copy(update={"qa_score": None, "coaching_plan_name": "Zoë"}))
    assert body.startswith('{"type":"target.updated","version":1,"timestamp":"2026-01-31T08:00:00Z","data":{"name":')
    assert '"coachingPlanName":"Zoë"' in body
    assert "qaScore" not in body


def test_words_have_their_longest() -> None:
    class Said(BaseModel):
        words: Words

    assert Said(words="x" * 1_000)
    with pytest.raises(ValidationError):
        Said(words="x" * 1_001)
