"""The catalogue of webhooks, written from the models themselves: a page, and for each type its schema and an example.

`make docs`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.base import Value
from schemas.webhooks import CATALOGUE, ENDPOINT_TEST, LONGEST_BODY, VERSION, EndpointTest, Envelope
from worker.cli.webhook_examples import NOW, example_message
from worker.configuration.values import shown_duration
from worker.core.delivery import GONE, JITTER, OPENS_AFTER, PATIENCE, SCHEDULE, SLOWEST_PROBE
from worker.webhooks.post import TIMEOUT
from worker.webhooks.signing import ID, SIGNATURE, TIMESTAMP, TOLERANCE, headers

TYPES: Mapping[str, type[Value]] = {
    **{str(kind): model for kind, model in CATALOGUE.items()},
    ENDPOINT_TEST: EndpointTest,
}

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the specification's own examples
_ID = "msg_2b0f1a6d9c4e47f3a8d15c70e96b3f24"
_BODY = example_message(ENDPOINT_TEST)
_HEADERS = headers([_SECRET], _ID, int(NOW.timestamp()), _BODY.encode())
_HEAD = f"""\
# Webhooks: what is sent

Written from the models themselves by `make docs`. How to take it in:
[receive webhooks](../../how-to/receive-webhooks.md). Messages are those of
[Standard Webhooks](https://www.standardwebhooks.com): who verifies with one of its libraries needs nothing else.

## A message

A POST to the endpoint's URL; JSON in UTF-8, less than {LONGEST_BODY // 1000} kB.

```text
POST /hooks HTTP/1.1
content-type: application/json
{chr(10).join(f"{name}: {value}" for name, value in _HEADERS.items())}

{_BODY}
```

(signed with `{_SECRET}`)

| header | |
|---|---|
| `{ID}` | names the message, over all attempts and replays and for every endpoint: taken once, it is done with |
| `{TIMESTAMP}` | when this attempt was made, in seconds since 1970; refuse what is {TOLERANCE // 60} minutes off |
| `{SIGNATURE}` | one signature or several, separated by spaces, over `ID.TIMESTAMP.BODY`, the body byte for byte |

`v1,…` is HMAC-SHA256 with the shared secret `whsec_…` (with what follows the prefix, decoded from base64). `v1a,…` is
ed25519, for endpoints that were made with `--asymmetric`; it is verified with the public key `whpk_…`. While a secret
is replaced, the new one and the old one sign: one that fits is enough.

The body has `type`, `version`, `timestamp` (when it happened) and `data`. A field of `data` that is not there says that
nothing is known, or that there is nothing. Ignore fields and types that you do not know: they may come at any time.

## Deliveries

Any status from 200 to 299, within {TIMEOUT:.0f} seconds, says that the message is taken. Redirects are not followed.
After anything else it is sent again:

| attempt | 1 | {" | ".join(str(number) for number in range(2, len(SCHEDULE) + 2))} |
|---|---|{"---|" * len(SCHEDULE)}
| after | | {" | ".join(map(shown_duration, SCHEDULE))} |

(each ± {JITTER:.0%}, and later where an answer of 429 or 503 asks for it by `Retry-After`, up to a day). Then the
message is set aside: an operator sees it (`coachsync webhooks deliveries list --state dead`) and sends it again under
its id. {GONE} says that the endpoint is gone: it is disabled at once. After {OPENS_AFTER} failures in a run an endpoint
is sent single messages, at most {shown_duration(SLOWEST_PROBE)} apart, until it takes one. One that has taken nothing
for {PATIENCE.days} days is disabled.

A message comes **at least once**, and not always in order: an endpoint that was made with `--ordered` gets those about
one target, quota or batch one after the other, and a message that is not taken holds up the next.

## Versions

`version` is {VERSION}. It rises when a field changes its meaning or goes, never because a field or a type comes.

## The types

| type | when | |
|---|---|---|
"""


def message_schema(kind: str) -> dict[str, Any]:
    """Of the whole body. It takes fields that it does not know: they may come at any time."""
    envelope, data = _schema(Envelope), _schema(TYPES[kind])
    about = data.pop("description")
    envelope["properties"] |= {"type": {"const": kind}, "version": {"const": VERSION}, "data": data}
    envelope["required"] = list(envelope["properties"])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:coachsync:webhook:{kind}:v{VERSION}",
        "title": kind,
    }
    return head | envelope | {"description": about}


def pages() -> dict[str, str]:
    """The content of each file of the reference, by its name."""
    found = {"README.md": _HEAD + "\n".join([*map(_row, TYPES), "", *map(_section, TYPES)])}
    for kind in TYPES:
        found[f"{kind}.schema.json"] = _json(message_schema(kind))
        found[f"{kind}.example.json"] = _json(json.loads(example_message(kind)))
    return found


def _schema(model: type[Value]) -> dict[str, Any]:
    """As it is sent: what is unknown is absent, never null."""
    schema = model.model_json_schema(mode="serialization")
    fields = {name: _plain(field) for name, field in schema["properties"].items()}
    optional = {field.alias for field in model.model_fields.values() if field.default is None}
    return {
        "description": _prose(schema["description"]),
        "type": "object",
        "required": [name for name in fields if name not in optional],
        "properties": fields,
    }


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    kind: dict[str, Any] = next((one for one in field.get("anyOf", ()) if one != {"type": "null"}), {})
    return {key: value for key, value in {**field, **kind}.items() if key not in ("anyOf", "default", "title")}


def _prose(docstring: str) -> str:
    """A paragraph is a line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def _row(kind: str) -> str:
    first, _, _ = message_schema(kind)["description"].partition("\n")
    files = f"[schema]({kind}.schema.json) · [example]({kind}.example.json)"
    return f"| [`{kind}`](#{kind.replace('.', '')}) | {first} | {files} |"


def _section(kind: str) -> str:
    schema = message_schema(kind)
    data = schema["properties"]["data"]
    rows = [
        f"| `{name}` | {_type(field)}{'' if name in data['required'] else ', may be absent'} | {field['description']} |"
        for name, field in data["properties"].items()
    ]
    return "\n".join(
        [
            f"### {kind}\n",
            f"{schema['description']}\n",
            "| field of `data` | | |\n|---|---|---|",
            *rows,
            f"\n```json\n{_json(json.loads(example_message(kind)))}```\n",
        ]
    )


def _type(field: Mapping[str, Any]) -> str:
    return "time" if field.get("format") == "date-time" else str(field["type"])


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
