"""The numbers of proto3 JSON as the Coaching API uses them: float (32 bits), int32, percentages.

Source: protobuf ProtoJSON; `target.target` is a float between 0 and 100 (the vendor's reference).
"""

import math
import re
import struct
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

INT32_MAX = 2**31 - 1
_DIGITS = re.compile(r"([+-]?[0-9]{1,19})(?:\.0+)?")
_FLOAT32_DIGITS = range(6, 10)  # 6 digits are always exact, 9 always round-trip


def to_float32(value: float) -> float:
    """The value after its trip through 32 bits; raises ``OverflowError`` where it does not fit."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def same_float32(left: float, right: float) -> bool:
    """What is no 32-bit float at all (a remote may answer 1e39, NaN) is the same as nothing."""
    try:
        return to_float32(left) == to_float32(right)
    except OverflowError:
        return False


def format_float32(value: float) -> str:
    """The shortest decimal that names the same 32-bit float: 0.1 → ``0.1``, 33.333333333 → ``33.333332``."""
    narrow = to_float32(value)
    for digits in _FLOAT32_DIGITS:
        text = f"{narrow:.{digits}g}"
        if to_float32(float(text)) == narrow:
            break
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number)


def check_percentage(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is no finite number; a percentage from 0 to 100 is expected")
    if not 0 <= value <= 100:  # noqa: PLR2004 - the API's own bounds
        raise ValueError(f"{repr(value).removesuffix('.0')} is outside 0 to 100 (percent)")
    return value + 0.0  # -0.0 is 0


def number_from_text(value: object) -> object:
    """A cell of a file is text: take plain decimal notation, refuse what only Python reads as a number."""
    if isinstance(value, bool):
        raise ValueError("a boolean is no number")  # noqa: TRY004 - pydantic turns ValueError into a row error
    if not isinstance(value, str):
        return value
    text = value.strip()
    if "_" in text or not text.isascii():
        raise ValueError(f"{value[:40]!r} is no number; write it like 82.5")
    try:
        return float(text)
    except ValueError:
        hint = " (decimal point, not comma)" if "," in text else ""
        raise ValueError(f"{value[:40]!r} is no number; write it like 82.5{hint}") from None


def int32_from_json(value: object) -> object:
    """Proto3 JSON writes int32 as a number, yet a string or an integral float is to be accepted."""
    if isinstance(value, str):
        if match := _DIGITS.fullmatch(value.strip()):
            return int(match[1])
        raise ValueError(f"{value[:40]!r} is no whole number; write it like 5")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool):
        raise ValueError("a boolean is no int32")  # noqa: TRY004 - pydantic turns ValueError into a row error
    return value


def _check_int32(value: int) -> int:
    if not -INT32_MAX - 1 <= value <= INT32_MAX:
        raise ValueError(f"{value} does not fit an int32")
    return value


def _check_count(value: int) -> int:
    if not 0 <= value <= INT32_MAX:
        raise ValueError(f"{value} is no count (0 to {INT32_MAX})")
    return value


Percentage = Annotated[float, BeforeValidator(number_from_text), AfterValidator(check_percentage)]
Int32 = Annotated[int, BeforeValidator(int32_from_json), AfterValidator(_check_int32)]
Count = Annotated[int, BeforeValidator(int32_from_json), AfterValidator(_check_count)]
