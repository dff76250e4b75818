"""The numbers that travel: 32-bit floats, int32, percentages, and text that is none."""

import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.numbers import INT32_MAX, Count, Int32, Percentage, format_float32, same_float32, to_float32

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
PERCENTAGE, INT32, COUNT = TypeAdapter(Percentage), TypeAdapter(Int32), TypeAdapter(Count)


@given(FLOAT32)
def test_a_32_bit_float_is_written_so_that_the_same_32_bits_are_read(value: float) -> None:
    assert struct.pack("<f", float(format_float32(value))) == struct.pack("<f", value + 0.0)


@given(st.floats(0, 100))
def test_any_percentage_is_written_as_the_32_bits_it_becomes_in_nine_digits_or_less(value: float) -> None:
    text = format_float32(value)
    assert same_float32(float(text), value)
    assert len(text.partition("e")[0].replace(".", "").lstrip("0")) <= 9


@given(st.integers(0, 100), st.integers(0, 4))
def test_a_decimal_that_people_write_comes_out_as_they_wrote_it(whole: int, places: int) -> None:
    written = Decimal(whole) / 10**places
    assert Decimal(format_float32(float(written))) == written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (100.0, "100"), (82.5, "82.5"), (0.1, "0.1"), (33.333333333, "33.333332"),
        (1 / 3, "0.33333334"), (16777216.0, "16777216"), (5e-324, "0"), (1e-7, "1e-07"), (99.9999999, "100"),
    ],
)  # fmt: skip
def test_a_float_is_the_shortest_decimal_of_its_32_bits(value: float, text: str) -> None:
    assert format_float32(value) == text


@given(FLOAT32)
def test_32_bits_are_kept(value: float) -> None:
    assert to_float32(value) == value
    assert same_float32(value, value)


@pytest.mark.parametrize("value", [1e39, -1e39, 1e308])
def test_what_does_not_fit_32_bits_overflows_and_is_the_same_as_nothing(value: float) -> None:
    with pytest.raises(OverflowError):
        to_float32(value)
    assert not same_float32(value, value)
    assert not same_float32(1.0, value)


def test_nan_is_the_same_as_nothing() -> None:
    assert not same_float32(math.nan, math.nan)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (0, 0.0), (100, 100.0), (82.5, 82.5), ("82.5", 82.5), (" 82.5\n", 82.5), ("1e2", 100.0), ("+5", 5.0),
        (Decimal("82.5"), 82.5), ("-0", 0.0),
    ],
)  # fmt: skip
def test_a_percentage_is_taken_as_number_or_plain_text(given: object, value: float) -> None:
    taken = PERCENTAGE.validate_python(given)
    assert (taken, math.copysign(1, taken)) == (value, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (-0.1, "-0.1 is outside 0 to 100 (percent)"),
        (100.00000001, "100.00000001 is outside 0 to 100 (percent)"),
        (-1, "-1 is outside 0 to 100 (percent)"),
        (math.nan, "nan is no finite number"),
        ("Infinity", "inf is no finite number"),
        (True, "a boolean is no number"),
        ("", "'' is no number; write it like 82.5"),
        ("82,5", "'82,5' is no number; write it like 82.5 (decimal point, not comma)"),
        ("8_2", "is no number"),
        ("\uff18\uff12", "is no number"),
        ("0x10", "is no number"),
        ("82 %", "is no number"),
        ("x" * 1000, "is no number"),
        (None, "valid number"),
        ([82], "valid number"),
        (10**400, "valid number"),
    ],
)
def test_anything_else_is_no_percentage_and_told_so(given: object, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        PERCENTAGE.validate_python(given)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("given", "value"),
    [(5, 5), ("5", 5), (" 5 ", 5), ("+5", 5), ("5.0", 5), (5.0, 5), ("0", 0), (INT32_MAX, INT32_MAX)],
)
def test_an_int32_is_taken_as_the_forms_that_json_has_for_it(given: object, value: int) -> None:
    assert (INT32.validate_python(given), COUNT.validate_python(given)) == (value, value)


@pytest.mark.parametrize(("given", "value"), [(-5, -5), ("-5", -5), (-INT32_MAX - 1, -INT32_MAX - 1)])
def test_an_int32_may_be_negative_a_count_may_not(given: object, value: int) -> None:
    assert INT32.validate_python(given) == value
    with pytest.raises(ValidationError, match=rf"{value} is no count \(0 to 2147483647\)"):
        COUNT.validate_python(given)


@pytest.mark.parametrize("kind", [INT32, COUNT])
@pytest.mark.parametrize(
    "given",
    [5.5, "5.5", math.inf, math.nan, True, "", "--5", "²", "٣", "1e3", "5_0", "0x5", "9" * 5000, INT32_MAX + 1, None],
)
def test_anything_else_is_no_int32(kind: TypeAdapter[Any], given: object) -> None:
    with pytest.raises(ValidationError) as error:
        kind.validate_python(given)
    assert "invalid literal" not in str(error.value)
