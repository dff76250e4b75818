"""The processes of a fleet are counted where each worker tells how many it has."""

from worker.fleet import Fleet, WorkerSeen


def test_the_processes_of_all_workers_are_added_up() -> None:
    assert Fleet(workers={"a": WorkerSeen(processes=2), "b": WorkerSeen(processes=4)}).processes == 6


def test_where_one_does_not_tell_nobody_knows() -> None:
    assert Fleet(workers={"a": WorkerSeen(processes=2), "b": WorkerSeen()}).processes is None
