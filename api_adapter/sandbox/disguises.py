"""What a fault makes of an honest answer. Pure."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, assert_never

from api_adapter.outcomes import Operation
from api_adapter.sandbox.answers import JSON, Answer, Cut, json_answer, refusal_answer
from api_adapter.sandbox.errors import Refusal, phrase_of
from api_adapter.sandbox.faults import Fault, Kind
from api_adapter.sandbox.operations import Request
from api_adapter.sandbox.paging import page_token, read_page
from api_adapter.sandbox.targets import without_defaults

_HTML = "<html><head><title>{0} {1}</title></head><body><center><h1>{0} {1}</h1></center></body></html>"
_HALF_AN_ANSWER = b'{"target": {"name": "customers/'
_OK = 200


def disguise(fault: Fault, honest: Answer | None, request: Request | None) -> Answer | Cut:
    """``honest`` is None where the operation was not carried out; the fault's headers go on top of any answer."""
    shown = _shown(fault, honest, request)
    if isinstance(shown, Cut):
        return shown
    retry_after = (("Retry-After", fault.retry_after),) if fault.retry_after is not None else ()
    return replace(shown, headers=(*shown.headers, *retry_after, *fault.headers.items()))


def _shown(fault: Fault, honest: Answer | None, request: Request | None) -> Answer | Cut:
    match fault.kind:
        case Kind.CUT_BEFORE | Kind.CUT_AFTER:
            return Cut()
        case Kind.STATUS:
            return _status_answer(fault)
        case Kind.HTML:
            return _html_answer(fault)
        case Kind.GARBAGE:
            return Answer(fault.status or _OK, _text(fault.body) or _HALF_AN_ANSWER)
        case _:
            assert honest is not None, f"a {fault.kind} alters an answer, so there is one"  # noqa: S101 - a bug here
            return _altered(fault.kind, fault, honest, request)


def _altered(
    kind: Literal[Kind.DELAY, Kind.SLOW_BODY, Kind.OMIT_DEFAULTS, Kind.EMPTY_PAGE, Kind.WRONG_ECHO],
    fault: Fault,
    honest: Answer,
    request: Request | None,
) -> Answer:
    match kind:
        case Kind.DELAY:
            return honest
        case Kind.SLOW_BODY:
            return replace(honest, pause=fault.delay)
        case Kind.OMIT_DEFAULTS:
            return omit_defaults(honest)
        case Kind.EMPTY_PAGE:
            return _empty_page(honest, request)
        case Kind.WRONG_ECHO:
            return _wrong_echo(honest, fault.body)
        case _:
            assert_never(kind)


def omit_defaults(honest: Answer) -> Answer:
    return _rewritten(honest, without_defaults)


def _status_answer(fault: Fault) -> Answer:
    status = fault.status or _OK
    if fault.body is not None:
        return Answer(status, _text(fault.body))
    return refusal_answer(Refusal(status, f"scripted fault: {phrase_of(status)}"))


def _html_answer(fault: Fault) -> Answer:
    status = fault.status or 502
    page = _text(fault.body) or _HTML.format(status, phrase_of(status)).encode()
    return Answer(status, page, content_type="text/html")


def _text(body: Any) -> bytes:
    if body is None:
        return b""
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _rewritten(honest: Answer, rewrite: Callable[[Any], Any]) -> Answer:
    if honest.status != _OK or honest.content_type != JSON:
        return honest
    return replace(honest, body=json_answer(rewrite(json.loads(honest.body))).body)


def _empty_page(honest: Answer, request: Request | None) -> Answer:
    """No targets, and a token for the very position that was asked for."""
    if request is None or request.operation is not Operation.LIST_TARGETS or honest.status != _OK:
        return honest
    after, _ = read_page(request.query)
    return replace(honest, body=json_answer({"targets": [], "nextPageToken": page_token(after)}).body)


def _wrong_echo(honest: Answer, fields: Any) -> Answer:
    """What is kept is right; what is shown is not: the given fields, or without any another value."""

    def lied(value: dict[str, Any]) -> dict[str, Any]:
        if "target" not in value:
            return value | (fields or {key: count + 1 for key, count in value.items() if isinstance(count, int)})
        target = value["target"]
        other = target["target"] - 1 if target["target"] >= 1 else target["target"] + 1
        return {"target": target | (fields or {"target": other})}

    return _rewritten(honest, lied)
