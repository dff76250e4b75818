"""The tables of the roster, the guard, the reconciliation and the policy: what they say, and what is wrong in them."""

from datetime import timedelta
from pathlib import Path

import pytest

from schemas.policy import DriftMode, Fact, Policy
from worker.configuration.oversight import GuardOptions, ReconcileOptions, RosterOptions, WebhookOptions
from worker.configuration.problems import SettingsError
from worker.configuration.report import describe
from worker.configuration.settings import Settings, load_settings

P = "customers/acme/profiles/support"
VOICE = f"{P}/usecases/voice"
QUOTA = f"""[[policy.quotas]]
name = "q"
template = "{P}/scorecardTemplates/c@3"
usecase = "{VOICE}"
"""
TARGET = f"""[[policy.targets]]
name = "t"
template = "{P}/scorecardTemplates/c"
usecase = "{VOICE}"
target = 80
"""
COUNT = "evaluated_conversation_count_per_agent = 3"
WHOLE = f"""
[roster]
profile = "{P}"
source = "/hr"
quiet = 0.5
longest = 4
stream = "roster"
[roster.columns]
agent = "Login"
coachingPlanName = "Plan"
[guard]
share = 0.1
floor = 3
window = "3d"
approval_lasts = "90m"
[reconcile]
every = "30m"
atMost = "7d"
share = 1
target = "enforce"
qa_score = "adopt"
[reconcile.usecases]
"{VOICE}" = "10m"
[webhooks]
allowHttp = true
allow = ["10.20.0.0/16", "127.0.0.1", "fd00:1::/32"]
overlap = "3d"
{QUOTA}
on = ["left", "moved"]
groups = ["tier-1", "tier-2"]
period = "next"
[policy.quotas.override]
evaluated_conversation_count_per_agent = 4
[[policy.quotas.override.overridden_agents]]
group = "tier-2"
evaluated_conversation_count_per_agent = 2
{QUOTA.replace('"q"', '"year"')}
[policy.quotas.period]
start_time = 2026-01-01T00:00:00Z
end_time = "2027-01-01T00:00:00+01:00"
{TARGET}
first_days = 30
criterion = "greeting"
groups = ["tier-1"]
create = true
drift = "observe"
"""


def load(folder: Path, toml: str) -> Settings:
    (folder / "coachsync.toml").write_text(toml, encoding="utf-8")
    return load_settings({"HOME": str(folder)}, cwd=folder)


def test_without_tables_the_defaults_hold_and_the_policy_has_no_rule(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.roster == RosterOptions()
    assert (settings.roster.quiet, settings.roster.longest) == (timedelta(seconds=2), timedelta(seconds=15))
    assert settings.guard == GuardOptions()
    assert (settings.guard.share, settings.guard.floor, settings.guard.window) == (0.2, 10, timedelta(hours=24))
    assert settings.reconcile == ReconcileOptions()
    assert (settings.reconcile.share, settings.reconcile.target) == (0.05, DriftMode.OBSERVE)
    assert settings.webhooks == WebhookOptions()
    webhooks = settings.webhooks
    assert (webhooks.allow_http, webhooks.allow, webhooks.overlap) == (False, (), timedelta(hours=24))
    assert settings.policy == Policy()


def test_all_that_the_tables_can_say_is_taken(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE)
    roster, guard, reconcile = settings.roster, settings.guard, settings.reconcile
    assert (roster.quiet, roster.longest) == (timedelta(seconds=0.5), timedelta(seconds=4))
    assert (roster.columns.agent, roster.columns.coaching_plan_name, roster.columns.groups) == ("Login", "Plan", None)
    assert (guard.window, guard.approval_lasts) == (timedelta(days=3), timedelta(minutes=90))
    assert (reconcile.at_most, reconcile.usecases) == (timedelta(days=7), {VOICE: timedelta(minutes=10)})
    assert (settings.webhooks.allow_http, settings.webhooks.overlap) == (True, timedelta(days=3))
    assert settings.webhooks.allow == ("10.20.0.0/16", "127.0.0.1/32", "fd00:1::/32")
    quota, year = settings.policy.quotas
    assert (quota.on, quota.period) == ((Fact.LEFT, Fact.MOVED), "next")
    assert quota.override
    assert quota.override.overridden_agents[0].group == "tier-2"
    assert year.period
    (target,) = settings.policy.targets
    assert (target.first_days, target.criterion, target.create, target.drift) == (30, "greeting", True, "observe")


def test_what_is_in_force_is_shown_with_the_line_that_says_so(tmp_path: Path) -> None:
    shown = {row.name: (row.value, str(row.origin)) for row in describe(load(tmp_path, WHOLE))}
    assert shown["roster.columns"] == ("agent in 'Login', coaching_plan_name in 'Plan'", "coachsync.toml line 8")
    assert shown["guard.window"] == ("72h", "coachsync.toml line 14")
    assert shown["reconcile.at_most"] == ("168h", "coachsync.toml line 18")
    assert shown["reconcile.usecases"] == (f"{VOICE} 10m", "coachsync.toml line 22")
    assert shown["webhooks.allow"] == ("10.20.0.0/16, 127.0.0.1/32, fd00:1::/32", "coachsync.toml line 26")
    assert shown["webhooks.overlap"] == ("72h", "coachsync.toml line 27")
    assert shown["policy"] == ("2 quota rules, 1 target rule", "coachsync.toml line 28")
    assert "password" not in str(describe(load(tmp_path, '[roster]\nsource = "https://u:password@hr.example"')))


WRONG = [
    ("roster = 1", "roster (line 1) is no table; write [roster] above its settings"),
    ("[[roster]]\nquiet = 2", "roster (line 1) is no table; write [roster] above its settings"),
    ("guard = true", "guard (line 1) is no table; write [guard] above its settings"),
    ("policy = []", "policy (line 1) is no table; write [policy] above its settings"),
    ('[roster]\nquiett = "2s"', "roster.quiett (line 2): no setting has this name; did you mean quiet?"),
    ('[roster]\nquiet = "2 hours"', "roster.quiet (line 2) = '2 hours' is no time from 0s to 1h; give it like"),
    ('roster.quiet = "2h"', "roster.quiet (line 1) = '2h' is no time from 0s to 1h; give it like"),
    (
        '[roster]\nquiet="30s"',
        "roster.quiet (line 2) = '30s' is longer than longest, 15s; give longest = \"30s\" or more",
    ),
    ('[roster]\nprofile = "support"', "roster.profile (line 2): 'support' is no profile name; expected customers/"),
    ('[roster]\nsource = "h r"', "roster.source (line 2) = 'h r' must be 1 to 500 characters, without spaces"),
    ("[roster]\nstream = 3", "roster.stream (line 2) = 3 must be text; write it in quotes"),
    ('[roster]\ncolumns = "x"', "roster.columns (line 2) is no table; write [roster.columns] above its settings"),
    ('[roster.columns]\nagnt = "ID"', "roster.columns.agnt (line 2): no setting has this name; did you mean agent?"),
    ('[roster.columns]\nagent = ""', "roster.columns.agent (line 2) = '' must be 1 to 200 characters"),
    (
        '[roster.columns]\nagent = "ID"\ngroups = "ID"',
        "roster.columns.groups (line 3) = 'ID' is the column of agent too; give each field its own",
    ),
    (
        '[roster.columns]\njoinedAt = "A"\njoined_at = "B"',
        "roster.columns.joined_at (line 3): it is given twice, in two spellings; keep one",
    ),
    ("[guard]\nshare = 20", "guard.share (line 2) = 20 is no share; give a number above 0 and up to 1, like 0.2"),
    ('[guard]\nshare = "20%"', "guard.share (line 2) = '20%' is no share; give a number above 0 and up to 1"),
    ("[guard]\nshare = nan", "guard.share (line 2) = nan is no share; give a number above 0 and up to 1"),
    ("guard = { share = 0 }", "guard.share (line 1) = 0 is no share; give a number above 0 and up to 1, like 0.2"),
    ("[guard]\nfloor = 1.5", "guard.floor (line 2) = 1.5 is no whole number; give one from 0 to 1000000"),
    ('[guard]\nwindow = "0s"', "guard.window (line 2) = '0s' is no time from 1m to 8760h; give it like"),
    (
        "[guard]\nzzz = 3",
        "guard.zzz (line 2): no setting has this name; there are approval_lasts, floor, share, window",
    ),
    ('[reconcile]\nevery = "1s"', "reconcile.every (line 2) = '1s' is no time from 1m to 8760h; give it like"),
    ('[reconcile]\ntarget = "fix"', "reconcile.target (line 2) = 'fix' must be 'enforce', 'observe' or 'adopt'"),
    ('[reconcile]\nusecases = ["x"]', "reconcile.usecases (line 2) is no table; write [reconcile.usecases] above"),
    ('[reconcile.usecases]\nvoice = "9m"', "reconcile.usecases.voice (line 2) = '9m': 'voice' is no usecase name"),
    (f'[reconcile.usecases]\n"{VOICE}" = true', f"reconcile.usecases.{VOICE} (line 2) = true is no time from 1m"),
    ("webhooks = true", "webhooks (line 1) is no table; write [webhooks] above its settings"),
    ("[webhooks]\nallowed = []", "webhooks.allowed (line 2): no setting has this name; did you mean allow?"),
    ('[webhooks]\nallow_http = "yes"', "webhooks.allow_http (line 2) = 'yes' must be true or false"),
    ('[webhooks]\nallow = "10.0.0.0/8"', "webhooks.allow (line 2) is no list; write it in brackets: ['10.0.0.0/8']"),
    (
        '[webhooks]\nallow = ["intranet"]',
        "webhooks.allow[0] (line 2) = 'intranet' is no network; give it like 10.20.0.0/16, or an address alone",
    ),
    (
        '[webhooks]\nallow = ["10.0.0.0/8", "10.0.0.1/8"]',
        "webhooks.allow[1] (line 2) = '10.0.0.1/8' is no network; give it like 10.20.0.0/16, or an address alone",
    ),
    (
        '[webhooks]\nallow = ["10.0.0.0/33"]',
        "webhooks.allow[0] (line 2) = '10.0.0.0/33' is no network; give it like 10.20.0.0/16, or an address alone",
    ),
    (
        '[webhooks]\nallow = ["fe80::1%eth0"]',
        "webhooks.allow[0] (line 2) = 'fe80::1%eth0' is no network; give it like 10.20.0.0/16, or an address alone",
    ),
    (
        "[webhooks]\nallow = [true]",
        "webhooks.allow[0] (line 2) = true is no network; give it like 10.20.0.0/16, or an address alone",
    ),
    ('[webhooks]\noverlap = "a day"', "webhooks.overlap (line 2) = 'a day' is no time from 0s to 8760h; give it like"),
    ('[webhooks]\noverlap = "366d"', "webhooks.overlap (line 2) = '366d' is no time from 0s to 8760h; give it like"),
    ("[webhooks]\noverlap = -1", "webhooks.overlap (line 2) = -1 is no time from 0s to 8760h; give it like"),
    ("[policy]\nquota = []", "policy.quota (line 2): no setting has this name; did you mean quotas?"),
    (
        '[policy.quotas]\nname = "q"',
        "policy.quotas (line 1) is no list of tables; write [[policy.quotas]] above the settings of each",
    ),
    ("policy.quotas = [3]", "policy.quotas[0] (line 1) is no table; write [[policy.quotas]] above its settings"),
    (
        f"{QUOTA}override.overridden_agents = [3]",
        "policy.quotas[0].override.overridden_agents[0] (line 5) is no table; write [[policy.quotas.override.over",
    ),
    ("[[policy.target]]", "policy.target (line 1): no setting has this name; did you mean targets?"),
    (f'{QUOTA}on = ["hired"]', "policy.quotas[0].on[0] (line 5) = 'hired' must be 'joined', 'left' or 'moved'"),
    (f"{QUOTA}on = []", "policy.quotas[0].on (line 5): is empty; name one at least, or leave it out"),
    (f'{QUOTA}on = "left"', "policy.quotas[0].on (line 5) is no list; write it in brackets: ['left']"),
    (
        f'{QUOTA}period = "last"',
        "policy.quotas[0].period (line 5) = 'last' must be 'current', 'next' or a table with start_time and end_time",
    ),
    (
        f"{QUOTA}[policy.quotas.period]\nstart_time = 2026-01-01T00:00:00Z",
        "policy.quotas[0].period.end_time (line 5) is missing; give it",
    ),
    (
        f"{QUOTA}[policy.quotas.period]\nstart_time = 2026-01-01\nend_time = 2027-01-01T00:00:00Z",
        "policy.quotas[0].period.start_time (line 6): 2026-01-01 is no RFC 3339 time like",
    ),
    (
        f"{QUOTA}[policy.quotas.period]\nstart_time = 2027-01-01T00:00:00Z\nend_time = 2026-01-01T00:00:00Z",
        "policy.quotas[0].period (line 5): the evaluation period's endTime must be later than its startTime",
    ),
    (f"{QUOTA}[policy.quotas.override]", "policy.quotas[0].override (line 5): an override without evaluated"),
    (
        QUOTA + QUOTA.replace('"q"', '"r"') + "[policy.quotas.override]\nconversations = 3",
        "policy.quotas[1].override.conversations (line 10): no setting has this name; there are evaluated_conversation",
    ),
    (
        f"{QUOTA}[[policy.quotas.override.overridden_agents]]\ngroup = 'a'\nuser = 'b'\n{COUNT}",
        "policy.quotas[0].override.overridden_agents[0] (line 5): an overridden agent names exactly one of group and",
    ),
    (
        f"{QUOTA}[[policy.quotas.override.overridden_agents]]\ngrup = 'a'\n{COUNT}",
        "policy.quotas[0].override.overridden_agents[0].grup (line 6): no setting has this name; did you mean group?",
    ),
    (
        QUOTA.replace("@3", ""),
        f"policy.quotas[0].template (line 3): '{P}/scorecardTemplates/c': a scorecard template name needs its",
    ),
    (
        QUOTA.replace(f'usecase = "{P}', 'usecase = "customers/acme/profiles/other'),
        "policy.quotas[0].usecase (line 4): 'customers/acme/profiles/other/usecases/voice' lies outside",
    ),
    (QUOTA + QUOTA, "policy.quotas[1].name (line 6) = 'q' is the name of another rule too; give each its own"),
    (f'{QUOTA}groups = ["tier 1"]', "policy.quotas[0].groups[0] (line 5) = 'tier 1' must be 1 to 500 characters"),
    (QUOTA.replace('"q"', "7"), "policy.quotas[0].name (line 2) = 7 must be text; write it in quotes"),
    (
        TARGET + TARGET.replace('"t"', '"u"').replace("80", "180"),
        "policy.targets[1].target (line 10): 180 is outside 0 to 100 (percent)",
    ),
    (TARGET.replace("80", '"80%"'), "policy.targets[0].target (line 5): '80%' is no number; write it like 82.5"),
    (TARGET.replace("target = 80", ""), "policy.targets[0].target (line 1) is missing; give it"),
    (
        TARGET.replace("/c", "/c@3"),
        f"policy.targets[0].template (line 3): '{P}/scorecardTemplates/c@3': a scorecard template name takes no",
    ),
    (f"{TARGET}first_days = 0", "policy.targets[0].first_days (line 6) = 0 must be greater than or equal to 1"),
    (f'{TARGET}firstDays = "3d"', "policy.targets[0].firstDays (line 6) = '3d' must be a whole number"),
    (f"{TARGET}first_days = true", "policy.targets[0].first_days (line 6) = true must be a whole number"),
    (f'{TARGET}create = "yes"', "policy.targets[0].create (line 6) = 'yes' must be true or false"),
    (f'{TARGET}criterion = "a b"', "policy.targets[0].criterion (line 6) = 'a b' must be at most 128 characters"),
    (
        f'{TARGET}criteria = "a"',
        "policy.targets[0].criteria (line 6): no setting has this name; did you mean criterion",
    ),
    ('[policy]\ntargets = [\n  { name = "a", target = 1 },\n]', "policy.targets[0].template (line 2) is missing;"),
]


@pytest.mark.parametrize(("toml", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_wrong_is_one_line_that_names_the_key_the_line_and_the_remedy(
    tmp_path: Path, toml: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml)
    lines = [line.replace("coachsync.toml ", "") for line in caught.value.problems]
    assert lines[0].startswith(said)
    assert not [line for line in lines if "\n" in line]


def test_all_that_is_wrong_is_told_at_once_and_each_thing_once(tmp_path: Path) -> None:
    toml = '[roster]\nquiet = "x"\n[guard]\nfloor = -1\n[[policy.quotas]]\nname = "q"\nperiod = 3\n'
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml)
    assert [line.partition(" ")[0] for line in caught.value.problems] == [
        "roster.quiet", "guard.floor", "policy.quotas[0].template", "policy.quotas[0].usecase",
        "policy.quotas[0].period",
    ]  # fmt: skip


def test_a_password_in_a_wrong_value_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, '[roster]\nprofile = "https://me:hunter2@hr.example"\nstream = "redis://me:hunter2@h x"\n')
    assert len(caught.value.problems) == 2
    assert "hunter2" not in str(caught.value)
