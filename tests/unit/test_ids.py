"""Job ids: batch and row in one number, and as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import MAX_ROWS, ROW_BITS, format_job_id, job_id, parse_batch_id, parse_job_id

LARGEST_BATCH = 10**11 - 1


@given(st.integers(1, LARGEST_BATCH), st.integers(1, MAX_ROWS))
def test_an_id_is_read_back_as_it_was_written(batch: int, row: int) -> None:
    packed = job_id(batch, row)
    assert (packed >> ROW_BITS, packed & MAX_ROWS) == (batch, row)
    assert parse_job_id(format_job_id(packed)) == packed
    assert packed < 2**63


@given(
    st.tuples(st.integers(1, 10**6), st.integers(1, MAX_ROWS)),
    st.tuples(st.integers(1, 10**6), st.integers(1, MAX_ROWS)),
)
def test_ids_sort_as_batches_and_rows_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (job_id(*one) < job_id(*other)) == (one < other)


def test_an_id_reads_as_batch_and_row() -> None:
    assert format_job_id(job_id(17, 203)) == "17-203"


@pytest.mark.parametrize("row", [0, -1, MAX_ROWS + 1])
def test_a_row_that_no_batch_holds_has_no_id(row: int) -> None:
    with pytest.raises(ValueError, match="outside 1 to 16,777,215"):
        job_id(1, row)


@pytest.mark.parametrize(
    "text",
    ["", "17", "17-", "-203", "17-0", "0-1", "17-203-1", "17\u2013203", " 17-203", "17-203\n", "٣-1", "1e3-1",
     "-17-203", "999999999999-1", "a-b", "x" * 1000],
)  # fmt: skip
def test_any_other_form_is_no_job_id(text: str) -> None:
    with pytest.raises(ValueError, match="no job id; expected BATCH-ROW like 17-203") as error:
        parse_job_id(text)
    assert len(str(error.value)) < 120


@pytest.mark.parametrize("text", ["", "0", "-1", "1-2", "²", "1_0", "999999999999", "seventeen"])
def test_any_other_form_is_no_batch_id(text: str) -> None:
    with pytest.raises(ValueError, match="no batch id; expected a number like 17"):
        parse_batch_id(text)


def test_a_batch_id_is_a_number() -> None:
    assert parse_batch_id("17") == 17
