"""What the formats have in common: one row of a file before it is checked against the wish's model."""

from typing import NamedTuple

from worker.intake.row_errors import FieldError

Fields = dict[str, object]


class Record(NamedTuple):
    """``line`` is the physical line where the row starts; ``content`` its fields by the API's names, or its errors."""

    line: int
    text: str
    content: Fields | tuple[FieldError, ...]
