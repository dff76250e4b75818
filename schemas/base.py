"""What all values that cross a process border have in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Value(BaseModel):
    """Frozen, and strict about names: an unknown field is an error. Fields are taken in camelCase or snake_case."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )


class Message(BaseModel):
    """What the remote answers: unknown fields are ignored, ``null`` and absent both mean the default (proto3 JSON)."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
