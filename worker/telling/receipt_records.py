"""What became of rows that were given, as commands and the gateway tell it."""

from collections import Counter

from worker.core.acceptance import Fate
from worker.intake.accept import Receipt
from worker.telling.records import Fields


def receipt_record(receipt: Receipt) -> Fields:
    return {
        "batch": receipt.batch_id,
        "rows": receipt.rows,
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "fates": fates_record(receipt.fates),
        "replayed": receipt.replayed,
    }


def fates_record(fates: Counter[Fate]) -> dict[str, int]:
    return {str(fate): fates[fate] for fate in Fate}
