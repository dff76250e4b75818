"""docs/reference/settings.md names each setting there is, with the default that is in force."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from worker.configuration.oversight import GatewayOptions, GuardOptions, ReconcileOptions, RosterOptions, WebhookOptions
from worker.configuration.report import describe
from worker.configuration.settings import NAMES, load_settings

PAGE = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([\w.]+)` \|([^|]*)\|", PAGE, re.MULTILINE))


def test_the_reference_names_each_setting_and_no_other() -> None:
    tables = {
        "roster": RosterOptions,
        "guard": GuardOptions,
        "reconcile": ReconcileOptions,
        "webhooks": WebhookOptions,
        "gateway": GatewayOptions,
    }
    in_tables = {f"{table}.{name}" for table, options in tables.items() for name in options.model_fields}
    assert set(ROWS) == NAMES.plain | in_tables | {"policy"}


def test_each_variable_and_each_key_of_authentication_is_named() -> None:
    for name in NAMES.in_environment - NAMES.plain:
        assert f"`COACHSYNC_{name.upper()}`" in PAGE
    for name in (NAMES.in_table - NAMES.remote - {"customers"}) | {"webhook_key_file", "webhook_key_env"}:
        assert f"`{name}`" in PAGE


def test_the_defaults_are_those_in_force() -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # a long path would move the broker's socket elsewhere
        user_home = Path(name)
        settings = load_settings({"HOME": name}, cwd=user_home)
        home = str(settings.home)
        assert home.replace(name, "~") in ROWS["home"]
        for row in describe(settings):
            shown = row.value.replace(home, "HOME")
            assert row.name == "home" or shown in ROWS[row.name], row.name


def test_the_examples_are_taken(tmp_path: Path) -> None:
    example = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
    key = tmp_path / "globex-key"
    key.write_text("a-key")
    key.chmod(0o600)
    (tmp_path / "coachsync.toml").write_text(example.replace("/run/secrets/globex-key", str(key)))
    settings = load_settings({"HOME": str(tmp_path), "ACME_TOKEN": "a-token"}, cwd=tmp_path)
    assert [remote.rate_limit for remote in settings.remotes] == ["20/second, 300/minute", "5/second"]
    assert settings.roster.columns.groups == "Team"
    assert settings.reconcile.usecases
    assert settings.webhooks.allow == ("10.20.0.0/16",)
