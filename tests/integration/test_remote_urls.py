"""A home that was used with one API is refused with another, until what is known of the first is forgotten."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from schemas.jobs import JobState
from schemas.policy import Policy
from tests.integration.apply_rig import Program, file, program_like, row
from tests.integration.cli_rig import Command
from tests.integration.oversight_rig import PROFILE, Centre, event, target_rule
from tests.integration.store_rig import (
    REMOTE,
    TEMPLATE,
    USECASE,
    all_jobs,
    change,
    job_of,
    known,
    settle,
    wish,
)
from tests.services.stores import on_both, on_sqlite
from worker.configuration.settings import load_settings
from worker.core.acceptance import EPOCH
from worker.core.naming import UNLISTED
from worker.producer import RemoteMoved, enqueue_quota_recalculations, enqueue_target_updates
from worker.runtime import Runtime
from worker.store import reconciling
from worker.store.engine import Database, database_now
from worker.store.remote_urls import pin, urls_known
from worker.store.tables import drifts, quota_answers, reconciliations, wants

pytestmark = on_sqlite

SANDBOX, REAL = "http://127.0.0.1:8081", "http://127.0.0.1:9"
REFUSED = (
    f"error: the remote default: what is known of it is from {SANDBOX}, and the settings say {REAL}; set another"
    " COACHSYNC_HOME (or COACHSYNC_DATABASE_URL), or have all that forgotten: `coachsync remotes forget default`\n"
)
ASKED = f"quotas recalculate --template {TEMPLATE}@1 --usecase {USECASE}"
UPDATE = wish(1).model_dump(exclude={"kind"})
QUOTA = {"scorecardTemplateName": f"{TEMPLATE}@1", "usecaseName": USECASE}


@pytest.fixture
def sandbox(coachsync: Command) -> Command:
    return Command({**coachsync.environ, "COACHSYNC_API_URL": SANDBOX})


@pytest.fixture
def real(sandbox: Command) -> Command:
    return Command({**sandbox.environ, "COACHSYNC_API_URL": REAL})


@pytest.fixture
def program(real: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    with program_like(real, monkeypatch, capsys) as program:
        yield program


def runtime(command: Command, folder: Path) -> Runtime:
    return Runtime(load_settings(command.environ, cwd=folder))


def use(store: Database, url: str = SANDBOX) -> None:
    pin(store, [replace(REMOTE, api_url=url)])


def urls(store: Database) -> dict[str, str]:
    with store.read() as session:
        return urls_known(session)


def test_the_first_command_that_uses_a_remote_keeps_where_it_is(store: Database, sandbox: Command) -> None:
    file("t.csv", row(1))
    sandbox("targets", "list")
    sandbox("targets", "plan", "t.csv", code=2)
    sandbox("targets", "apply", "t.csv", "--dry-run")
    assert urls(store) == {}
    sandbox("targets", "apply", "t.csv")
    assert urls(store) == {"default": SANDBOX}


@pytest.mark.parametrize(
    "use_it",
    [
        lambda command, _: command(*ASKED.split()),
        lambda command, folder: enqueue_target_updates([UPDATE], runtime=runtime(command, folder)),
        lambda command, folder: enqueue_quota_recalculations([QUOTA], runtime=runtime(command, folder)),
    ],
    ids=["quotas recalculate", "updates from Python", "recalculations from Python"],
)
def test_so_does_each_other_way_in(
    use_it: Callable[[Command, Path], object], store: Database, sandbox: Command, tmp_path: Path
) -> None:
    use_it(sandbox, tmp_path)
    assert urls(store) == {"default": SANDBOX}


@on_both
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("targets apply t.csv", 2),
        ("targets apply t.csv --dry-run", 2),
        ("targets plan t.csv", 1),  # whose 2 says that there are changes
        (ASKED, 2),
        ("quotas recalculate q.csv", 2),
        ("reconcile", 1),  # as above
        ("reconcile --dry-run", 1),
    ],
)
def test_a_command_that_would_take_the_ones_targets_for_the_others_is_refused_in_one_line(
    store: Database, program: Program, command: str, code: int
) -> None:
    settle(store, wish(1))
    use(store)
    file("t.csv", row(1))
    Path("q.csv").write_text(f"scorecardTemplateName,usecaseName\n{TEMPLATE}@1,{USECASE}\n")
    before = all_jobs(store)
    said = program(*command.split())
    assert (said.code, said.out, said.err) == (code, "", REFUSED)
    assert all_jobs(store) == before


def test_a_plan_of_the_one_is_not_applied_to_the_other(store: Database, sandbox: Command, program: Program) -> None:
    file("t.csv", row(1))
    sandbox("targets", "plan", "t.csv", "-o", "plan.json", code=2)
    use(store)
    for options in ((), ("--dry-run",)):
        said = program("targets", "apply", "plan.json", *options)
        assert (said.code, said.out, said.err) == (2, "", REFUSED)


def test_no_process_that_would_use_it_starts(store: Database, real: Command) -> None:
    use(store)
    env = dict(real.environ)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "worker.cli", name],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("up", "worker", "loops")
    ]
    for process in started:
        with process:
            assert process.communicate(timeout=90) == ("", REFUSED)
            assert process.returncode == 2


def test_a_producer_is_told_too_and_nothing_is_written(store: Database, real: Command, tmp_path: Path) -> None:
    use(store)
    for call in (
        lambda: enqueue_target_updates([UPDATE], runtime=runtime(real, tmp_path)),
        lambda: enqueue_quota_recalculations([QUOTA], runtime=runtime(real, tmp_path)),
    ):
        with pytest.raises(RemoteMoved, match=r"^the remote default: what is known of it is from"):
            call()
    assert all_jobs(store) == {}


def test_a_slash_or_the_case_of_the_host_makes_no_difference(store: Database, real: Command) -> None:
    use(store, "http://LocalHost:8081/")
    file("t.csv", row(1))
    Command({**real.environ, "COACHSYNC_API_URL": "http://localhost:8081"})("targets", "apply", "t.csv")


def test_the_doctor_finds_it_and_says_the_remedy(store: Database, real: Command) -> None:
    use(store)
    (found,) = (one for one in real.json("doctor", code=1) if one["what"] == "remote default")
    assert found == {
        "what": "remote default",
        "health": "broken",
        "found": f"what is known of it is from {SANDBOX}, and the settings say {REAL}",
        "remedy": "set another COACHSYNC_HOME (or COACHSYNC_DATABASE_URL), or have all that forgotten:"
        " `coachsync remotes forget default`",
    }


@on_both
def test_what_was_forgotten_is_sent_to_the_new_api(store: Database, real: Command) -> None:
    settle(store, wish(1))
    use(store)
    said = real.json("remotes", "forget", "default", "--yes")
    assert said == {"remote": "default", "apiUrl": SANDBOX, "targets": 1, "quotas": 0}
    assert known(store, 1) is None
    assert real.json("targets", "apply", str(file("t.csv", row(1))))["fates"]["queued"] == 1
    assert urls(store) == {"default": REAL}


def test_nothing_is_forgotten_without_yes(store: Database, real: Command) -> None:
    settle(store, wish(1))
    use(store)
    assert real("remotes", "forget", "default", code=2).err == (
        "error: --yes: all that is known of default would be forgotten: 1 target and 0 quotas at"
        f" {SANDBOX}; give --yes if that is meant\n"
    )
    assert known(store, 1)
    assert urls(store) == {"default": SANDBOX}


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.RUNNING])
def test_nothing_is_forgotten_while_a_job_for_it_is_open(store: Database, real: Command, state: JobState) -> None:
    settle(store, wish(1))
    change(store, [job_of(store, wish(2))], state=state)
    use(store)
    assert real("remotes", "forget", "default", "--yes", code=2).err == (
        "error: open jobs of default: 1; wait for their end, or `coachsync jobs cancel --remote default`;"
        " nothing was changed\n"
    )
    assert known(store, 1)
    assert urls(store) == {"default": SANDBOX}


@pytest.mark.parametrize(("name", "stays"), [("default", {"acme"}), ("emea", {"globex"}), ("gone", {"acme", "globex"})])
def test_only_what_is_known_of_its_own_customers_is_forgotten(
    store: Database, real: Command, tmp_path: Path, name: str, stays: set[str]
) -> None:
    (tmp_path / "coachsync.toml").write_text('[remotes.emea]\ncustomers = ["acme"]\napi_url = "http://127.0.0.1:2"\n')
    with store.write() as session:
        for customer, remote in {"acme": "emea", "globex": "default"}.items():
            profile = f"customers/{customer}/profiles/main"
            asked = {"total_agent_quota": 1, "total_active_agents_count": 1, "answered_at": EPOCH, "job_id": 1}
            template = f"{profile}/scorecardTemplates/s@1"
            session.execute(
                insert(quota_answers).values(
                    asked | {"resource": f"{template}/quota", "scorecard_template_name": template}
                )
            )
            run = reconciling.resume(session, profile, remote)
            session.execute(
                insert(drifts).values(
                    reconciliation_id=run.id, resource=f"{profile}/targets/t", field="target", kind="changed",
                    wanted="1", found="2", action="observed", found_at=EPOCH,
                )
            )  # fmt: skip
    pin(store, [replace(REMOTE, name=one, api_url=SANDBOX) for one in ("default", "emea", "gone")])

    real("remotes", "forget", name, "--yes")

    assert urls(store).keys() == {"default", "emea", "gone"} - {name}
    with store.read() as session:
        for column in (quota_answers.c.resource, reconciliations.c.profile, drifts.c.resource):
            assert {one.split("/")[1] for one in session.execute(select(column)).scalars()} == stays


def test_what_the_policy_wants_is_looked_for_anew_at_the_new_api(store: Database, real: Command) -> None:
    centre = Centre(store, Policy(targets=(target_rule(),)))
    centre.tell(event("joined", "zoe"))
    centre.plan()
    use(store)
    with store.write() as session:
        run = reconciling.resume(session, PROFILE, "default")
        reconciling.go_on(session, run, {"finished_at": database_now(session)})
        session.execute(update(wants).values(asked=True, obstacle=None))

    real("remotes", "forget", "default", "--yes")
    assert not centre.wants()["zoe"].asked
    centre.plan()
    assert centre.wants()["zoe"].obstacle == UNLISTED.words, "no listing of the other API tells what this one has"
    assert centre.open_jobs() == []
