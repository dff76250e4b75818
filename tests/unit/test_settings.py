"""Where settings come from, which source wins, and what an operator is told."""

from datetime import timedelta
from pathlib import Path

import pytest

from worker.configuration.file import find_lines
from worker.configuration.problems import SettingsError
from worker.configuration.remotes import NoRemote, Remote
from worker.configuration.settings import Settings, load_settings
from worker.configuration.sources import Source

HTTPS = {"COACHSYNC_API_URL": "https://api.example.com", "COACHSYNC_API_TOKEN": "a-token-of-some-length"}


def load(folder: Path, environ: dict[str, str] | None = None, toml: str = "") -> Settings:
    if toml:
        (folder / "coachsync.toml").write_text(toml, encoding="utf-8")
    return load_settings({"HOME": str(folder / "user"), **(environ or {})}, cwd=folder)


def problems(folder: Path, environ: dict[str, str] | None = None, toml: str = "") -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, environ, toml)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return str(caught.value)


def test_with_nothing_given_all_is_embedded_under_the_data_directory(tmp_path: Path) -> None:
    settings = load(tmp_path)
    home = tmp_path / "user/.local/share/coachsync"
    assert settings.home == home
    assert settings.database_url.get_secret_value() == f"sqlite:///{home}/coachsync.db"
    assert settings.embedded_broker
    assert (settings.max_in_flight, settings.request_timeout.total_seconds(), settings.retention_days) == (32, 10, 30)
    assert settings.rate_limit == "10/second"


def test_xdg_data_home_holds_the_home_and_a_relative_one_is_ignored(tmp_path: Path) -> None:
    assert load(tmp_path, {"XDG_DATA_HOME": "/data"}).home == Path("/data/coachsync")
    assert load(tmp_path, {"XDG_DATA_HOME": "data"}).home == tmp_path / "user/.local/share/coachsync"


def test_without_any_home_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="COACHSYNC_HOME is not set and there is no HOME"):
        load_settings({}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("toml", "environ", "value", "source"),
    [
        ("", {}, 32, Source.DEFAULT),
        ("max_in_flight = 1", {}, 1, Source.FILE),
        ("max_in_flight = 1", {"COACHSYNC_MAX_IN_FLIGHT": "2"}, 2, Source.ENVIRONMENT),
    ],
)
def test_the_higher_source_wins_and_the_value_knows_it(
    tmp_path: Path, toml: str, environ: dict[str, str], value: int, source: Source
) -> None:
    settings = load(tmp_path, environ, toml)
    assert settings.max_in_flight == value
    assert settings.provenance["max_in_flight"].source == source


def test_an_origin_names_the_variable_or_the_line(tmp_path: Path) -> None:
    settings = load(tmp_path, HTTPS, '# a comment\nlog_level = "debug"\n\n  retention_days = 7\n')
    origins = {name: str(origin) for name, origin in settings.provenance.items()}
    assert origins["api_url"] == "environment COACHSYNC_API_URL"
    assert origins["api_token"] == "environment COACHSYNC_API_TOKEN"
    assert origins["log_level"] == "coachsync.toml line 2"
    assert origins["retention_days"] == "coachsync.toml line 4"
    assert origins["home"] == "default"


def test_a_line_that_is_in_doubt_is_not_claimed() -> None:
    text = 'note = """\nmax_in_flight = 9\n"""\nmax_in_flight = 3\n[a]\nb = 1\n'
    assert find_lines(text) == {"note": 1, "a": 5, "a.b": 6}


def test_a_line_in_a_list_of_tables_is_known_by_its_place() -> None:
    text = "[[a.b]]\nc = 1\n[[a.b]]  # the second\nc = 2\n[a.b.d]\ne = 3\n[f]\ng = 4\n"
    assert find_lines(text) == {
        "a.b[0]": 1, "a.b[0].c": 2, "a.b[1]": 3, "a.b[1].c": 4, "a.b[1].d": 5, "a.b[1].d.e": 6, "f": 7, "f.g": 8,
    }  # fmt: skip


def test_lists_of_tables_in_lists_of_tables_and_quoted_names_have_their_lines() -> None:
    text = "[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\nc.d = 1\n[[a.b]]\n[e.'f/g']\n\"h i\" = 1\n"
    assert find_lines(text) == {
        "a[0]": 1, "a[0].b[0]": 2, "a[1]": 3, "a[1].b[0]": 4, "a[1].b[0].c.d": 5, "a[1].b[1]": 6, "e.f/g": 7,
        "e.f/g.h i": 8,
    }  # fmt: skip


def test_the_file_is_sought_by_config_then_working_directory_then_home(tmp_path: Path) -> None:
    for name in ("named", "cwd", "home"):
        (tmp_path / name).mkdir()
    environ = {"HOME": str(tmp_path), "COACHSYNC_HOME": str(tmp_path / "home")}

    def days() -> int:
        return load_settings(environ, cwd=tmp_path / "cwd").retention_days

    (tmp_path / "home/coachsync.toml").write_text("retention_days = 1")
    assert days() == 1
    (tmp_path / "cwd/coachsync.toml").write_text("retention_days = 2")
    assert days() == 2
    (tmp_path / "named/other.toml").write_text("retention_days = 3")
    environ["COACHSYNC_CONFIG"] = "../named/other.toml"
    assert days() == 3


def test_a_config_file_that_was_named_and_is_missing_is_an_error(tmp_path: Path) -> None:
    told = problems(tmp_path, {"COACHSYNC_CONFIG": "gone.toml"}, "retention_days = 2")
    assert told.startswith("COACHSYNC_CONFIG = ")
    assert "gone.toml" in told


@pytest.mark.parametrize(
    ("environ", "toml", "told"),
    [
        ({"COACHSYNC_API_URI": "x"}, "", "COACHSYNC_API_URI: no setting has this name; did you mean COACHSYNC_API_URL"),
        ({"COACHSYNC_QQQQ": "x"}, "", "COACHSYNC_QQQQ: no setting has this name"),
        (
            {},
            "rate_limits = 1",
            "rate_limits (coachsync.toml line 1): no setting has this name; did you mean rate_limit",
        ),
        ({}, "[remote.x]\n", "remote (TOML): no setting has this name; did you mean remotes?"),
        ({"COACHSYNC_MAX_IN_FLIGHT": ""}, "", "COACHSYNC_MAX_IN_FLIGHT is empty; give it a value or unset it"),
        ({"COACHSYNC_CONFIG": ""}, "", "COACHSYNC_CONFIG is empty; give it a value or unset it"),
        (
            {"COACHSYNC_MAX_IN_FLIGHT": "many"},
            "",
            "COACHSYNC_MAX_IN_FLIGHT = 'many' is no whole number; give one from 1 to 10000",
        ),
        (
            {},
            "max_in_flight = true",
            "max_in_flight (coachsync.toml line 1) = 'True' is no whole number; give one from 1 to 10000",
        ),
        (
            {},
            "retention_days = 0",
            "retention_days (coachsync.toml line 1) = '0' is out of bounds; give a whole number from 1 to 3650",
        ),
        (
            {"COACHSYNC_REQUEST_TIMEOUT": "nan"},
            "",
            "COACHSYNC_REQUEST_TIMEOUT = 'nan' is no time from 0.1s to 30s; give it like 10, 45s, 90m or 24h",
        ),
        (
            {"COACHSYNC_KEY_MEMORY": "1w"},
            "",
            "COACHSYNC_KEY_MEMORY = '1w' is no time from 1s to 8760h; give it like 10, 45s, 90m or 24h",
        ),
        ({"COACHSYNC_LOG_FORMAT": "xml"}, "", "COACHSYNC_LOG_FORMAT = 'xml' should be 'human' or 'json'"),
        ({"COACHSYNC_IDEMPOTENCY": "both"}, "", "COACHSYNC_IDEMPOTENCY = 'both' should be 'read' or 'header'"),
        ({}, "rate_limit = ", "TOML"),
    ],
)
def test_a_wrong_setting_is_told_with_its_name_its_value_and_the_remedy(
    tmp_path: Path, environ: dict[str, str], toml: str, told: str
) -> None:
    lines = problems(tmp_path, environ, toml).replace(str(tmp_path / "coachsync.toml"), "TOML")
    assert told in lines


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    environ = {"COACHSYNC_MAX_IN_FLIGHT": "x", "COACHSYNC_RETENTION_DAYS": "x", "COACHSYNC_NONSENSE": "x"}
    assert len(problems(tmp_path, environ).splitlines()) == 3


def test_what_kubernetes_and_the_tests_put_into_the_environment_is_left_alone(tmp_path: Path) -> None:
    load(
        tmp_path,
        {
            "COACHSYNC_SERVICE_HOST": "10.0.0.1",
            "COACHSYNC_PORT": "tcp://10.0.0.1:80",
            "COACHSYNC_GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
            "COACHSYNC_TEST_POSTGRES_URL": "x",
        },
    )


def test_settings_do_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).max_in_flight = 1  # type: ignore[misc]  # the error is the claim


def test_the_human_format_is_for_a_terminal(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert load_settings(environ, cwd=tmp_path, terminal=True).log_format == "human"
    assert load_settings(environ, cwd=tmp_path, terminal=False).log_format == "json"


def test_a_relative_path_is_relative_to_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/token").write_text("from-the-file-it-came\n")
    (tmp_path / "conf/token").chmod(0o600)
    (tmp_path / "conf/c.toml").write_text('api_url = "https://a.example"\napi_token_file = "token"\nhome = "~/x"')
    environ = {"HOME": str(tmp_path / "user"), "COACHSYNC_CONFIG": "conf/c.toml"}
    assert load_settings(environ, cwd=tmp_path).home == tmp_path / "user/x"
    assert load_settings({**environ, "COACHSYNC_HOME": "h"}, cwd=tmp_path).home == tmp_path / "h"


TWO_REMOTES = """
rate_limit = "7/second"
[remotes.acme]
customers = ["acme", "acme-emea"]
api_url = "https://acme.example.com/"
api_token_env = "ACME_TOKEN"
max_in_flight = 4
[remotes.globex]
customers = ["globex"]
api_url = "https://globex.example.com"
api_key_env = "COACHSYNC_GLOBEX_KEY"
"""
TOKENS = {"ACME_TOKEN": "token-of-acme", "COACHSYNC_GLOBEX_KEY": "key-of-globex"}


def test_each_customer_has_its_remote_and_a_table_inherits_what_it_leaves_out(tmp_path: Path) -> None:
    settings = load(tmp_path, TOKENS, TWO_REMOTES)
    acme = settings.remote_for("acme-emea")
    assert isinstance(acme, Remote)
    assert (acme.name, acme.api_url, acme.rate_limit, acme.max_in_flight) == (
        "acme",
        "https://acme.example.com",
        "7/second",
        4,
    )
    assert [remote.name for remote in settings.all_remotes] == ["acme", "globex"]


def test_how_long_keys_are_remembered_is_said_for_all_remotes_or_for_one(tmp_path: Path) -> None:
    toml = """
        key_memory = "90m"
        [remotes.acme]
        customers = ["acme"]
        api_url = "http://127.0.0.1:1"
        [remotes.globex]
        customers = ["globex"]
        api_url = "http://127.0.0.1:2"
        key_memory = 45
    """
    acme, globex = load(tmp_path, toml=toml).remotes
    assert (acme.key_memory, globex.key_memory) == (timedelta(minutes=90), timedelta(seconds=45))
    settings = load(tmp_path, HTTPS | {"COACHSYNC_KEY_MEMORY": "48h"}, toml)
    assert settings.default_remote
    assert settings.default_remote.key_memory == timedelta(hours=48)
    assert [remote.key_memory for remote in settings.remotes] == [timedelta(hours=48), timedelta(seconds=45)]


def test_an_unknown_customer_goes_to_the_default_remote_if_there_is_one(tmp_path: Path) -> None:
    nobody = load(tmp_path, TOKENS, TWO_REMOTES).remote_for("umbrella")
    assert isinstance(nobody, NoRemote)
    assert "'umbrella'" in nobody.message
    assert "COACHSYNC_API_URL" in nobody.message
    found = load(tmp_path, {**TOKENS, **HTTPS}, TWO_REMOTES).remote_for("umbrella")
    assert isinstance(found, Remote)
    assert (found.name, found.customers) == ("default", ())


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[remotes.b]\ncustomers = ["acme"]', "'acme', which remotes.acme has too"),
        ("[remotes.b]\ncustomers = []", "names no customer"),
        ('[remotes.b]\ncustomers = "b"', "names no customer"),
        ('[remotes.b]\ncustomers = ["b/c"]', "'b/c', which is no customer id"),
        ("[remotes.b]", "remotes.b.customers is missing"),
        ('[remotes.default]\ncustomers = ["b"]', "take another name"),
        ('[remotes."a b"]\ncustomers = ["b"]', "lower-case letters"),
        ('[remotes.b]\ncustomers = ["b"]\nhome = "/x"', "remotes.b.home (coachsync.toml line 14): no setting"),
    ],
)
def test_a_wrong_remote_is_told(tmp_path: Path, table: str, told: str) -> None:
    toml = f'{TWO_REMOTES}{table}\napi_url = "https://b.example"\napi_token_env = "T"\n'
    assert told in problems(tmp_path, {**TOKENS, "T": "token"}, toml)


def test_a_remote_needs_a_url_and_authentication(tmp_path: Path) -> None:
    table = '[remotes.b]\ncustomers = ["b"]\n'
    assert "remotes.b.api_url is missing" in problems(tmp_path, {"T": "token"}, f'{table}api_token_env = "T"')
    assert "has no authentication" in problems(tmp_path, {}, f'{table}api_url = "https://b.example"')
    assert "write [remotes.NAME]" in problems(tmp_path, {}, "[remotes]\nb = 1")


def test_a_problem_that_every_table_inherits_is_told_once(tmp_path: Path) -> None:
    told = problems(tmp_path, {**TOKENS, "COACHSYNC_MAX_IN_FLIGHT": "x"}, TWO_REMOTES.replace("max_in_flight = 4", ""))
    assert len(told.splitlines()) == 1
