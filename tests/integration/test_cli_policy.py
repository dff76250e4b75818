"""`coachsync policy`: the rules are shown, held against what is known and tried on events; and nothing is written."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from tests.integration.apply_rig import Program, program_like
from tests.integration.cli_rig import Command
from tests.integration.oversight_rig import COMPLIANCE, PROFILE, VOICE, Centre, event, plan_of
from tests.integration.planner_rig import identity_of, listed, name_of, remote_has
from tests.integration.roster_rig import told, told_all
from tests.services.stores import on_both, on_sqlite
from worker.configuration.oversight import GuardOptions
from worker.configuration.settings import load_settings
from worker.store import approvals
from worker.store.engine import Database, database_now
from worker.store.tables import agents, asks, jobs, policies, quota_answers, roster_events, wants

pytestmark = on_sqlite

QUOTA = f"""
[[policy.quotas]]
name = "voice quota"
template = "{COMPLIANCE}@3"
usecase = "{VOICE}"
"""
TARGET = f"""
[[policy.targets]]
name = "everybody"
template = "{COMPLIANCE}"
usecase = "{VOICE}"
target = 75
"""
NEW_HIRES = TARGET.replace("everybody", "new hires").replace("75", "60") + "first_days = 30\n"
RULES = QUOTA + NEW_HIRES + TARGET
GLOBEX_ALONE = '[remotes.eu]\napi_url = "http://127.0.0.1:1"\ncustomers = ["globex"]\n'
ON_CALLS = {"usecases": [VOICE]}
TEST = ("policy", "test", "--event")


@pytest.fixture
def coachsync(coachsync: Command) -> Command:
    write(RULES)
    return coachsync


@pytest.fixture
def program(
    coachsync: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    with program_like(coachsync, monkeypatch, capsys) as program:
        yield program


def write(toml: str) -> None:
    Path("coachsync.toml").write_text(toml, encoding="utf-8")


def without_default(coachsync: Command) -> Command:
    """Nobody serves the customers whom no remote of coachsync.toml names."""
    return Command({name: value for name, value in coachsync.environ.items() if name != "COACHSYNC_API_URL"})


def centre_of(coachsync: Command, store: Database, **how: Any) -> Centre:
    """Whose planner has the policy of coachsync.toml."""
    return Centre(store, load_settings(dict(coachsync.environ), cwd=Path.cwd()).policy, **how)


def file(*given: object, name: str = "event.json") -> str:
    """One event, or several as an array."""
    Path(name).write_text(json.dumps(given[0] if len(given) == 1 else given), encoding="utf-8")
    return name


def joins(agent: str = "ann", at: float = 0, **said: Any) -> dict[str, Any]:
    return told("joined", agent, at, **ON_CALLS, coachingPlanName=plan_of(agent), **said)


def written(store: Database) -> list[int]:
    tables = (agents, asks, jobs, policies, roster_events, wants)
    with store.read() as session:
        return [session.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def decide(store: Database, *, approved: bool) -> None:
    with store.write() as session:
        (asked,) = approvals.list_all(session, 2)
        assert approvals.decide(session, asked.id, approved=approved, by="kim")


# show


@on_both
def test_the_rules_are_shown_in_their_order_each_with_its_line(store: Database, coachsync: Command) -> None:
    write(QUOTA + 'on = ["left"]\nperiod = "next"\noverride = { evaluatedConversationCountPerAgent = 5 }\n' + TARGET)
    shown = coachsync.json("policy", "show")
    (quota,), (target,) = shown["quotas"], shown["targets"]
    assert (quota["rule"], quota["on"], quota["period"], quota["line"]) == (
        "voice quota", "left", "next", "coachsync.toml line 2",
    )  # fmt: skip
    assert quota["override"] == '{"evaluatedConversationCountPerAgent":5,"overriddenAgents":[]}'
    assert (target["rule"], target["target"], target["line"]) == ("everybody", 75, "coachsync.toml line 10")

    write(RULES)
    out = coachsync("policy", "show").out
    order = ["Not in force yet", "voice quota", "coachsync.toml line 2", "new hires", "everybody"]
    assert sorted(order, key=out.index) == order
    assert written(store) == [0] * 6


def test_a_policy_without_rules_says_so_and_how_to_begin(coachsync: Command) -> None:
    write("")
    said = coachsync("policy", "show")
    assert said.err.splitlines() == [
        "no rule asks for quotas ([[policy.quotas]])",
        "no rule wants targets ([[policy.targets]])",
    ]
    assert coachsync.json("policy", "show")["quotas"] == []


def test_whether_it_is_in_force_held_or_refused_is_said_with_what_is_in_force_meanwhile(
    store: Database, coachsync: Command
) -> None:
    remote_has(store, *"abcdefghijkl")
    centre = centre_of(coachsync, store)
    centre.tell(*(event("joined", one) for one in "abcdefghijkl"))
    centre.plan()
    assert coachsync.json("policy", "show")["state"].startswith("In force since 20")

    write(RULES.replace("75", "70"))
    waits = coachsync.json("policy", "show")["state"]
    assert waits.startswith("Not in force yet: `coachsync loops` brings it into force. Until then the one of 20")

    centre_of(coachsync, store).plan()
    held = coachsync.json("policy", "show")["state"]
    assert held.startswith("Held: 12 of 12 wanted targets would change")
    assert "`coachsync approvals approve 1` lets it in. Until then the one of 20" in held

    decide(store, approved=False)
    assert coachsync("policy", "show").out.startswith("Refused with approval 1 by kim: 12 of 12 wanted targets")


# check


@on_both
def test_a_policy_that_fits_what_is_known_is_fine(store: Database, coachsync: Command) -> None:
    centre = centre_of(coachsync, store)
    centre.tell(event("joined", "ann"), event("joined", "bob", groups=["tier-2"]))
    remote_has(store, "ann")
    write(QUOTA + TARGET)
    said = coachsync("policy", "check")
    assert said.out == "Nothing is wrong with the 2 rules.\n"
    assert coachsync.json("policy", "check") == {"wrong": 0, "findings": []}


@on_both
def test_what_is_wrong_is_told_with_its_rule_and_line_and_is_exit_code_1(store: Database, coachsync: Command) -> None:
    centre_of(coachsync, store).tell(event("joined", "ann"))
    remote_has(store, "ann")
    write(QUOTA + 'groups = ["teir-1"]\n' + TARGET + NEW_HIRES)

    found = coachsync.json("policy", "check", code=1)
    assert found == {
        "wrong": 2,
        "findings": [
            {
                "finding": "unknown",
                "rule": "voice quota",
                "wrong": True,
                "says": "nobody in the roster is in the group 'teir-1'; did you mean 'tier-1'?",
                "line": "coachsync.toml line 2",
            },
            {
                "finding": "never",
                "rule": "new hires",
                "wrong": True,
                "says": "it never counts: 'everybody' comes before it: whom it fits they fit too, for as long",
                "line": "coachsync.toml line 14",
            },
        ],
    }
    lines = coachsync("policy", "check", code=1).out.splitlines()
    assert lines[1].split()[:3] == ["unknown", "voice", "quota"]
    assert lines[-1] == "2 things are wrong."


def test_what_only_overlaps_or_cannot_be_told_yet_is_no_error(store: Database, coachsync: Command) -> None:
    unchecked = coachsync.json("policy", "check")
    assert [one["finding"] for one in unchecked["findings"]] == ["unchecked"] * 2
    assert [one["line"] for one in unchecked["findings"]] == [None] * 2

    centre_of(coachsync, store).tell(event("joined", "ann"))
    remote_has(store, "ann")
    (overlap,) = coachsync.json("policy", "check")["findings"]
    assert (overlap["finding"], overlap["rule"], overlap["wrong"]) == ("overlap", "new hires", False)
    assert overlap["says"] == "goes before 'everybody' for 1 agent whom both fit in their first 30 days"


def test_a_template_is_known_by_the_answer_to_its_quota(store: Database, coachsync: Command) -> None:
    centre_of(coachsync, store).tell(event("joined", "ann"))
    remote_has(store, "ann")
    empathy = COMPLIANCE.replace("compliance", "empathy")
    write(QUOTA.replace("compliance", "empathy"))
    assert coachsync.json("policy", "check", code=1)["findings"][0]["finding"] == "unknown"
    with store.write() as session:
        answer = {
            "resource": f"{empathy}@3/quota;usecase=voice",
            "scorecard_template_name": f"{empathy}@3",
            "usecase_name": VOICE,
            "total_agent_quota": 5,
            "total_active_agents_count": 1,
            "answered_at": database_now(session),
            "job_id": 1,
        }
        session.execute(insert(quota_answers), [answer])
    assert coachsync.json("policy", "check") == {"wrong": 0, "findings": []}


def test_a_customer_whom_no_remote_serves_is_wrong(coachsync: Command) -> None:
    write(GLOBEX_ALONE + QUOTA)
    found = without_default(coachsync).json("policy", "check", code=1)
    (unserved,) = [one for one in found["findings"] if one["wrong"]]
    assert (unserved["finding"], unserved["rule"]) == ("unknown", "voice quota")
    assert unserved["says"].startswith("no remote serves the customer 'acme'")


def test_an_empty_policy_is_not_wrong(coachsync: Command) -> None:
    write("[policy]\n")
    assert coachsync("policy", "check").out.startswith("The policy has no rules: nothing is asked for")
    assert coachsync.json("policy", "check") == {"wrong": 0, "findings": []}


# test


@on_both
def test_an_event_is_told_with_each_rule_and_what_it_asks_for_and_nothing_is_written(
    store: Database, coachsync: Command
) -> None:
    remote_has(store, "ann", value=50)
    sets = f"{name_of('ann')} would be set, last seen with 50"
    said = coachsync(*TEST, file(joins(id_="4711")))
    assert said.out.splitlines() == [
        "ann joined at 2026-01-01 00:00:00 (/hr, 4711)",
        "  not there → groups tier-1; usecases voice; coaching plan plan-ann",
        f"  quota: the rule 'voice quota' asks for {COMPLIANCE}@3/quota;usecase=voice",
        f"  target: the rule 'everybody' wants 75 for compliance in voice, plan plan-ann: {sets}",
        "1 event: 1 quota would be asked for, 1 target set or made. Nothing was written.",
    ]
    assert said.err == "this policy is not in force yet (coachsync policy show)\n"
    assert written(store) == [0] * 6


@on_both
def test_as_json_an_event_has_the_agent_on_both_sides_and_all_that_it_asks_for(
    store: Database, coachsync: Command
) -> None:
    centre = centre_of(coachsync, store)
    centre.tell(event("joined", "ann"))
    remote_has(store, "ann")
    centre.plan()
    before = written(store)
    trial = coachsync.json(*TEST, file(told("left", "ann", 5)))
    (left,) = trial.pop("events")
    assert trial == {"quotas": 1, "targets": 0, "duplicates": 0, "stopped": None, "inForce": True}
    assert (left["agent"], left["outcome"], left["after"]) == ("ann", "applied", None)
    assert left["before"]["groups"] == ["tier-1"]
    assert left["quotas"] == [{"rule": "voice quota", "resource": f"{COMPLIANCE}@3/quota;usecase=voice"}]
    assert (left["targets"], left["explained"], left["dropped"]) == ([], [], [identity_of("ann")])
    assert written(store) == before


@pytest.mark.parametrize(
    ("there", "does", "words"),
    [
        ("listed", "create", "it would be made"),
        ("listed for others", "wait", "it would wait: the remote has no such target, and the rule 'everybody' creates"),
        ("nothing", "wait", "it would wait: nobody knows yet whether the remote has such a target; the"),
        ("unlistable", "wait", "it would wait: the remote does not list its targets"),
        ("unserved", "wait", "it would wait: no remote serves"),
        ("target", "update", "would be set, last seen with 50"),
    ],
)
def test_what_would_become_of_a_target_depends_on_what_is_known_of_the_remote(
    store: Database, coachsync: Command, there: str, does: str, words: str
) -> None:
    write(GLOBEX_ALONE + TARGET + ("" if there == "listed for others" else "create = true\n"))
    match there:
        case "listed" | "listed for others":
            listed(store)
        case "unlistable":
            listed(store, reads="get")
        case "target":
            remote_has(store, "ann")
        case "unserved":
            coachsync = without_default(coachsync)
    (target,) = coachsync.json(*TEST, file(joins()))["events"][0]["targets"]
    assert (target["does"], target["rule"], target["for"]) == (does, "everybody", identity_of("ann"))
    assert words in coachsync(*TEST, "event.json").out


def test_the_first_days_and_their_end_are_told(store: Database, coachsync: Command) -> None:
    with store.read() as session:
        today = database_now(session).isoformat().replace("+00:00", "Z")
    one = joins() | {"time": today}
    (told_of,) = coachsync.json(*TEST, file(one))["events"]
    assert [target["rule"] for target in told_of["targets"]] == ["new hires"]
    assert told_of["reviewAt"] > today
    assert "  again at 20" in coachsync(*TEST, "event.json").out


def test_events_are_folded_one_after_another_onto_the_roster(store: Database, coachsync: Command) -> None:
    centre_of(coachsync, store).tell(event("joined", "ann"))
    moved = told("moved", "ann", 2, groups=["tier-2"])
    other_plan = told("changed", "ann", 3, coachingPlanName=plan_of("x"))
    out = coachsync(*TEST, file(moved), "--event", file(other_plan, joins("bob", 3), name="more.json")).out
    assert "  groups tier-1; usecases voice; coaching plan plan-ann → groups tier-2; usecases" in out
    assert "  groups tier-2; usecases voice; coaching plan plan-ann → groups tier-2; usecases voice" in out
    assert f"  target: nothing is wanted of {identity_of('ann')} any more; it stays as it is" in out
    assert out.splitlines()[-1].startswith("3 events: 1 quota would be asked for, ")


def test_the_same_value_by_another_rule_is_no_new_target(store: Database, coachsync: Command) -> None:
    write(TARGET.replace("everybody", "night") + 'groups = ["night"]\n' + TARGET)
    centre_of(coachsync, store).tell(event("joined", "ann"))
    moved = file(told("moved", "ann", 2, groups=["night"]))
    assert (
        "  target: compliance in voice, plan plan-ann stays at 75, now by the rule 'night'"
        in coachsync(*TEST, moved).out
    )
    (one,) = coachsync.json(*TEST, moved)["events"]
    assert (one["targets"], one["explained"]) == ([], [{"rule": "night", "for": identity_of("ann")}])


def test_a_snapshot_is_told_as_the_changes_that_it_stands_for(store: Database, coachsync: Command) -> None:
    centre_of(coachsync, store).tell(event("joined", "ann"), event("joined", "bob"))
    whole = told_all(["ann", "new"], 9, id_="night", **ON_CALLS)
    out = coachsync(*TEST, file(whole)).out.splitlines()
    assert [line for line in out if not line.startswith(" ")] == [
        "new joined at 2026-01-01 09:00:00 (/hr, night/new)",
        "bob left at 2026-01-01 09:00:00 (/hr, night/bob)",
        "2 events: 1 quota would be asked for, 0 targets set or made. Nothing was written.",
    ]


def test_an_event_that_newer_facts_or_the_roster_itself_outdo_changes_nothing(
    store: Database, coachsync: Command
) -> None:
    centre_of(coachsync, store).tell(event("joined", "ann", 5))
    late = told("moved", "ann", 2, groups=["night"])
    same = told("moved", "ann", 7, groups=["tier-1"])
    assert [one["outcome"] for one in coachsync.json(*TEST, file(late, same))["events"]] == ["outdated", "unchanged"]
    assert [line for line in coachsync(*TEST, "event.json").out.splitlines() if line.startswith(" ")] == [
        "  newer facts are known: it changes nothing",
        "  the roster says so already: it changes nothing",
    ]


@pytest.mark.parametrize("verb", ["left", "moved"])
def test_an_event_of_somebody_whom_nobody_knows_asks_for_nothing(coachsync: Command, verb: str) -> None:
    out = coachsync(*TEST, file(told(verb, "nobody"))).out.splitlines()
    assert out[1:3] == ["  not there → not there", "  no rule asks for anything"]


def test_an_event_that_was_told_before_is_not_told_again(store: Database, coachsync: Command) -> None:
    centre_of(coachsync, store).tell(event("joined", "ann", id_="4711"))
    said = coachsync(*TEST, file(joins("ann", id_="4711"), joins("bob")))
    assert said.out.splitlines()[-1] == (
        "1 event: 1 quota would be asked for, 0 targets set or made;"
        " 1 were told before and change nothing. Nothing was written."
    )
    assert "ann" not in said.out


def test_what_the_guard_would_stop_is_said_beside_it(store: Database, coachsync: Command) -> None:
    write('[guard]\nfloor = 1\nwindow = "1h"\n' + RULES)
    open_door = GuardOptions.model_validate({"share": 1, "floor": 1_000_000})
    centre_of(coachsync, store, guard=open_door).tell(*(event("joined", one) for one in "abcdef"))
    said = coachsync(*TEST, file(told("left", "a", 5), told("left", "b", 5)))
    assert said.err.splitlines()[0].startswith(f"the guard would stop them: {PROFILE}: 2 of 6 agents would leave")
    assert coachsync.json(*TEST, "event.json")["stopped"].startswith(f"{PROFILE}: 2 of 6 agents")
    assert coachsync.json("approvals", "list") == []


def test_of_many_events_the_first_are_shown_and_as_json_all(coachsync: Command) -> None:
    many = file(*(joins(f"a{number}") for number in range(60)))
    out = coachsync(*TEST, many).out
    assert (out.count(" joined at "), "and 10 more (--json has all)" in out) == (50, True)
    assert len(coachsync.json(*TEST, many)["events"]) == 60


def test_no_events_ask_for_nothing(coachsync: Command) -> None:
    Path("event.json").write_text("[]")
    assert coachsync(*TEST, "event.json").out.startswith("0 events: 0 quotas would be asked for, 0 targets")


def test_a_policy_without_rules_asks_for_nothing_whatever_happens(coachsync: Command) -> None:
    write("")
    assert "  no rule asks for anything" in coachsync(*TEST, file(joins())).out


def test_nothing_that_an_event_says_steers_a_terminal(coachsync: Command) -> None:
    given = told("joined", "a\x9b31m", id_="\u202e4711", groups=["\x9b2J"])
    out = coachsync(*TEST, file(given)).out
    assert "a\\x9b31m joined at 2026-01-01 00:00:00 (/hr, \\u202e4711)" in out
    assert "groups \\x9b2J;" in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("form", ["lines", "gzip", "marked", "stdin"])
def test_events_are_read_as_lines_compressed_and_from_the_standard_input(program: Program, form: str) -> None:
    lines = b"".join(json.dumps(joins(one)).encode() + b"\n" for one in ("ann", "bob"))
    content = {"gzip": gzip.compress(lines), "marked": b"\xef\xbb\xbf" + lines}.get(form, lines)
    name = {"gzip": "e.jsonl.gz", "stdin": "-"}.get(form, "e.jsonl")
    Path(name).write_bytes(content) if name != "-" else None
    said = program(*TEST, name, "--json", stdin=content)
    assert (said.code, [one["agent"] for one in said.json["events"]]) == (0, ["ann", "bob"])


# What cannot be used


def text(given: object) -> bytes:
    return json.dumps(given).encode()


BROKEN_FILES = [
    ("e.json", b"", "e.json: is empty"),
    ("e.json", b"null", "e.json: an event is one JSON object"),
    ("e.json", b'"joined"', "e.json: an event is one JSON object"),
    ("e.json", text([joins(), 3]), "e.json, events[1]: an event is one JSON object"),
    ("e.json", text({}), "e.json: type: required, but nothing is given"),
    ("e.json", text(joins() | {"type": "hired"}), "e.json: type: must be one of coaching.roster.agent.joined, "),
    ("e.json", text(joins() | {"time": "2026-13-01T00:00:00Z"}), "e.json: time: '2026-13-01T00:00:00Z' is no time"),
    ("e.json", text([joins("a b")]), "e.json, events[0]: data.agent: must be 1 to 500 characters, without spaces"),
    ("e.json", text(joins(groups="tier-1")), "e.json: data.groups: "),
    ("e.json", text(joins(team="x")), "e.json: data.team: "),
    ("e.json", b"[" + text(joins()), "e.json: not valid JSON at column "),
    ("e.json", b"\xef\xbb\xbf[" + text(joins()), "e.json: not valid JSON at column "),
    ("e.json", b'{\n"type": joined}', "e.json: not valid JSON at line 2, column 9: expecting value, counted from"),
    ("e.json", b"[" * 100_000, "e.json: the JSON is nested too deeply"),
    ("e.json", text(joins()) + b"\n" + text({}), "e.json, line 2: type: required, but nothing is given"),
    ("e.jsonl", text(joins()) + b"\n\n{}\n{}\n", "e.jsonl, line 3: type: required, but nothing is given (and 1 more"),
    ("e.json", text(joins()).decode().encode("utf-16"), "e.json: is UTF-16 text; save it as UTF-8"),
    ("e.csv", b"agent,groups\nann,tier-1\n", "e.csv: events are read as JSON lines; write one a line"),
    ("e.json.gz", text(joins()), "e.json.gz, line 1: not sound gzip data"),
    ("e.json.gz", gzip.compress(text(joins()))[:-9], "e.json.gz, line 1: the gzip data is cut off here; fetch"),
    (
        "e.json",
        text([joins(), joins("bob", 24 * 365 * 99)]),
        "e.json, events[1]: time: 2124-12-08T00:00:00+00:00 lies in",
    ),
    (
        "e.jsonl",
        text(joins()) + b"\n\n" + text(joins("bob", 24 * 365 * 99)),
        "e.jsonl, line 3: time: 2124-12-08T00:00:00",
    ),
]


@pytest.mark.parametrize(("name", "content", "says"), BROKEN_FILES, ids=[says for _, _, says in BROKEN_FILES])
def test_a_file_that_is_wrong_is_one_line_that_names_the_place_and_the_field(
    store: Database, program: Program, name: str, content: bytes, says: str
) -> None:
    Path(name).write_bytes(content)
    said = program(*TEST, name)
    assert (said.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith(f"error: {says}")
    assert written(store) == [0] * 6


def test_of_several_files_the_wrong_one_is_named(program: Program) -> None:
    good, ahead = file(joins()), file(joins("bob", 24 * 365 * 99), name="ahead.json")
    assert program(*TEST, good, "--event", ahead).err.startswith("error: ahead.json: time: 2124-12-08")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["policy", "test"], "error: Missing option '--event'"),
        ([*TEST, "nowhere.json"], "error: nowhere.json: not found; check the path"),
        ([*TEST, "."], "error: .: is a directory; name a file in it"),
        (["policy", "check", "--strict"], "error: No such option: --strict"),
        (["tokens", "create", "me"], "error: Missing option '--scope'. Choose from: targets:write, "),
    ],
)
def test_a_command_that_is_wrong_is_one_line(program: Program, arguments: list[str], says: str) -> None:
    said = program(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(says)
    assert said.err.count("\n") == 1


BROKEN_RULES = [
    ("policy = 3", "policy (coachsync.toml line 1) is no table; write [policy] above its settings"),
    ("[policy]\nquotas = [1]", "policy.quotas[0] (coachsync.toml line 2) is no table; write [[policy.quotas]] above"),
    (
        QUOTA + "override = 3",
        "policy.quotas[0].override (coachsync.toml line 6) is no table; write [policy.quotas.over",
    ),
    (QUOTA + "override = {}", "policy.quotas[0].override (coachsync.toml line 6): an override without evaluatedConv"),
    (
        QUOTA + "override = { overriddenAgents = [3] }",
        "is no table; write [[policy.quotas.override.overriddenAgents]] above its settings",
    ),
    (
        QUOTA + 'override = { evaluatedConversationCountPerAgent = "x" }',
        "policy.quotas[0].override.evaluatedConversationCountPerAgent (coachsync.toml line 6): 'x' is no whole number",
    ),
    (QUOTA + 'groups = ["tier 1"]', "policy.quotas[0].groups[0] (coachsync.toml line 6) = 'tier 1' must be 1 to 500"),
    (
        TARGET + "first_days = 0",
        "policy.targets[0].first_days (coachsync.toml line 7) = 0 must be greater than or equal",
    ),
    (TARGET.replace("75", "nan"), "policy.targets[0].target (coachsync.toml line 6) = nan must be a finite number"),
    (TARGET + "[policy.quotas]", "policy.quotas (coachsync.toml line 7) is no list of tables; write [[policy.quotas]]"),
    (TARGET + TARGET, "policy.targets[1].name (coachsync.toml line 9) = 'everybody' is the name of another rule too"),
    (TARGET + TARGET[:-3], "coachsync.toml is no valid TOML"),
]


@pytest.mark.parametrize(("toml", "says"), BROKEN_RULES, ids=[says for _, says in BROKEN_RULES])
def test_a_rule_that_is_wrong_is_one_line_that_names_the_field_and_the_line(
    program: Program, toml: str, says: str
) -> None:
    write(toml)
    said = program("policy", "check")
    assert (said.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert program("policy", "show").err == program(*TEST, file(joins())).err == said.err


def test_a_database_without_tables_is_one_line_with_the_remedy(
    program: Program, tmp_path: Path, monkeypatch: Any
) -> None:
    file(joins())
    monkeypatch.setenv("COACHSYNC_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    for command in (("show",), ("check",), ("test", "--event", "event.json")):
        said = program("policy", *command)
        assert (said.code, said.out) == (2, "")
        assert said.err == "error: the database has no tables yet: run `coachsync db upgrade` (or `coachsync up`)\n"
