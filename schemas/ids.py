"""Ids that people read: batch ``17``, and job ``17-203``: row 203 of batch 17.

In the store a job's id is one 64-bit integer, batch and row packed together, so it is known before the insert, grows
with acceptance inside a batch, and a repeated insert of the same row collides instead of doubling.
"""

ROW_BITS = 24
MAX_ROWS = 2**ROW_BITS - 1


def job_id(batch_id: int, row: int) -> int:
    """Raises ``ValueError`` for a row outside 1 to ``MAX_ROWS``."""
    if not 1 <= row <= MAX_ROWS:
        raise ValueError(f"row {row} is outside 1 to {MAX_ROWS:,}, the most one batch holds")
    return batch_id << ROW_BITS | row


def format_job_id(value: int) -> str:
    return f"{value >> ROW_BITS}-{value & MAX_ROWS}"


def parse_job_id(text: str) -> int:
    """``17-203`` → the packed id; raises ``ValueError`` for any other form."""
    batch, dash, row = text.partition("-")
    if not (dash and _is_number(batch) and _is_number(row)):
        raise ValueError(f"{text[:40]!r} is no job id; expected BATCH-ROW like 17-203")
    return job_id(int(batch), int(row))


def parse_batch_id(text: str) -> int:
    if not _is_number(text):
        raise ValueError(f"{text[:40]!r} is no batch id; expected a number like 17")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 11 and int(text) > 0  # noqa: PLR2004 - 11 digits hold 2**34, far past any batch
