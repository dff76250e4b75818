"""Lanes: how urgent a piece of work is."""

from enum import StrEnum


class Lane(StrEnum):
    INTERACTIVE = "interactive"
    BULK = "bulk"
