"""What is wrong with the settings, in lines an operator can act on. No line shows a secret."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.configuration.redaction import mask_url
from worker.configuration.sources import Layer

M = TypeVar("M", bound=BaseModel)
_MOST_SHOWN = 80


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` names each one, its value unless it is a secret, and the remedy."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def validated(
    model: type[M], layer: Layer, more: Mapping[str, object], problems: list[str], prefix: str = ""
) -> M | None:
    """The model of what ``layer`` gives together with ``more``; None, with its problems noted, where it is wrong."""
    try:
        return model.model_validate({**{key: given.value for key, given in layer.items()}, **more})
    except ValidationError as error:
        problems.extend(_line(details, layer, prefix) for details in error.errors(include_url=False))
        return None


def shown(value: object) -> str:
    """A value as an operator wrote it, shortened, without the password of a URL."""
    text = mask_url(value) if isinstance(value, str) else str(value)
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


def _line(details: ErrorDetails, layer: Layer, prefix: str) -> str:
    key = str(details["loc"][0])
    given = layer.get(key)
    if given is None:
        return f"{prefix}{key} is missing"
    cause = details.get("ctx", {}).get("error")
    message = str(cause) if cause else details["msg"].removeprefix("Input ")
    return f"{given.label} = {shown(given.value)} {message}"
