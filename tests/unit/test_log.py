"""What a log line says, and to whom."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery, signals
from pydantic import SecretStr

from schemas.jobs import JobState
from tests.services.logs import logging_as_it_was
from worker.configuration.redaction import MASK
from worker.configuration.settings import load_settings
from worker.log import configure_logging, get_logger, log_context

log = get_logger("worker.tests")
Written = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    with logging_as_it_was():
        yield


def configured(folder: Path, form: str, **environ: str) -> Written:
    stream = io.StringIO()
    given = {f"COACHSYNC_{name.upper()}": value for name, value in environ.items()}
    configure_logging(load_settings({"HOME": str(folder), "COACHSYNC_LOG_FORMAT": form, **given}, cwd=folder), stream)
    return lambda: stream.getvalue().splitlines()


def test_a_json_line_has_time_level_logger_action_and_fields(tmp_path: Path) -> None:
    written = configured(tmp_path, "json")
    log.info(
        "chunk_done", message="All were sent.", jobs=200, state=JobState.SUCCEEDED, took=timedelta(milliseconds=1500)
    )
    (line,) = written()
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("ts")).tzinfo == UTC
    assert told == {
        "level": "info",
        "logger": "worker.tests",
        "action": "chunk_done",
        "message": "All were sent.",
        "jobs": 200,
        "state": "succeeded",
        "took": 1.5,
    }


def test_a_human_line_has_the_action_first_and_quotes_what_could_be_misread(tmp_path: Path) -> None:
    written = configured(tmp_path, "human")
    log.warning("job_refused", job="j-1", why='no "such" target', left=None, sizes=[1, 2])
    (line,) = written()
    assert line.split(" ", 1)[1] == (
        'WARNING worker.tests job_refused job=j-1 why="no \\"such\\" target" left=null sizes=[1, 2]'
    )


@pytest.mark.parametrize("form", ["human", "json"])
def test_a_record_is_one_line_whatever_a_remote_put_into_it(tmp_path: Path, form: str) -> None:
    written = configured(tmp_path, form)
    log.info("answer_read", message="first\nsecond\x1b[31m", said="a\r\n2026-01-01 ERROR forged")
    logging.getLogger("httpx2").warning("one\ntwo\x07")
    assert len(written()) == 2
    assert "\x1b" not in "".join(written())


def test_the_context_is_in_every_record_written_within_it_and_a_records_own_field_wins(tmp_path: Path) -> None:
    written = configured(tmp_path, "json")
    with log_context(chunk="c-1", job="none"), log_context(batch="b-1"):
        log.info("inside", job="j-1")
        logging.getLogger("celery.worker").info("theirs")
    log.info("outside")
    ours, theirs, outside = map(json.loads, written())
    assert (ours["chunk"], ours["batch"], ours["job"]) == ("c-1", "b-1", "j-1")
    assert (theirs["chunk"], theirs["batch"], theirs["message"]) == ("c-1", "b-1", "theirs")
    assert "chunk" not in outside


def test_a_field_does_not_take_the_place_of_a_part_of_ours(tmp_path: Path) -> None:
    written = configured(tmp_path, "json")
    log.info("begun", level="fields", ts=1)
    told = json.loads(written()[0])
    assert (told["level"], told["level_"], told["ts_"]) == ("info", "fields", 1)


def _crash(message: str) -> None:
    raise RuntimeError(message)


@pytest.mark.parametrize("form", ["human", "json"])
def test_an_exception_is_told_with_its_traceback_and_without_its_secrets(tmp_path: Path, form: str) -> None:
    written = configured(tmp_path, form, api_url="https://a.example", api_token="the-token-itself")
    try:
        _crash("sent Authorization: Bearer other-token and the-token-itself")
    except RuntimeError:
        log.exception("crashed")
    text = "\n".join(written())
    assert "RuntimeError" in text
    assert "test_log.py" in text
    assert "token-itself" not in text
    assert "other-token" not in text


def test_fields_named_like_a_secret_are_not_shown(tmp_path: Path) -> None:
    written = configured(tmp_path, "json")
    log.info("asked", api_token="short", headers={"Authorization": "Bearer x", "Accept": "*/*"}, key=SecretStr("k"))
    told = json.loads(written()[0])
    assert told["api_token"] == MASK
    assert told["headers"] == {"Authorization": MASK, "Accept": "*/*"}
    assert told["key"] == "**********"


def test_the_level_is_the_settings_and_requests_are_not_told_one_by_one(tmp_path: Path) -> None:
    written = configured(tmp_path, "human", log_level="info")
    logging.getLogger("ours").debug("hidden")
    logging.getLogger("httpx").info("HTTP Request: GET …")
    assert written() == []
    written = configured(tmp_path, "human", log_level="debug")
    logging.getLogger("ours").debug("shown")
    logging.getLogger("httpx").info("HTTP Request: GET …")
    assert len(written()) == 2


def test_configuring_again_replaces_the_handler(tmp_path: Path) -> None:
    first = configured(tmp_path, "human")
    second = configured(tmp_path, "human")
    log.info("once")
    assert (len(first()), len(second())) == (0, 1)


def test_a_record_that_cannot_be_written_is_lost_without_its_arguments(tmp_path: Path) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise ZeroDivisionError("the-token-itself")

    written = configured(tmp_path, "human")
    log.info("asked", what=Unprintable(), other="the-token-itself")
    assert written() == ["a log record of worker.tests is lost: ZeroDivisionError"]


def test_celerys_own_records_go_through_the_same_handler(tmp_path: Path) -> None:
    written = configured(tmp_path, "json", api_url="https://a.example", api_token="the-token-itself")
    keep_ours = signals.setup_logging.connect(lambda **_: None, weak=False)
    try:
        Celery("tests", set_as_current=False).log.setup(loglevel="INFO", redirect_stdouts=False)
        logging.getLogger("celery.worker.consumer").warning("lost %s", "redis://:pw-of-broker@h/0 the-token-itself")
    finally:
        signals.setup_logging.disconnect(keep_ours)
    (line,) = written()
    assert json.loads(line)["message"] == f"lost redis://{MASK}@h/0 {MASK}"
