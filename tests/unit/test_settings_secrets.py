"""Secrets: where they may come from, what they may be, and that nothing ever shows one."""

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from worker.configuration.credentials import ApiKey, BearerToken, ClientCredentials, NoCredentials
from worker.configuration.problems import SettingsError
from worker.configuration.redaction import MASK, mask_secret, mask_url
from worker.configuration.report import describe
from worker.configuration.settings import Settings, load_settings
from worker.log import known_secrets

URL = {"COACHSYNC_API_URL": "https://api.example.com"}
OAUTH = {
    "COACHSYNC_OAUTH_CLIENT_ID": "coachsync",
    "COACHSYNC_OAUTH_CLIENT_SECRET": "s3cret-of-the-client",
    "COACHSYNC_OAUTH_TOKEN_URL": "https://auth.example.com/token",
}


def load(folder: Path, environ: dict[str, str], toml: str = "") -> Settings:
    if toml:
        (folder / "coachsync.toml").write_text(toml, encoding="utf-8")
    return load_settings({"HOME": str(folder), **environ}, cwd=folder)


def told(folder: Path, environ: dict[str, str], toml: str = "") -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, environ, toml)
    return str(caught.value)


def secret_file(folder: Path, content: bytes = b"a-token-in-a-file\n", mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_each_way_of_authentication_makes_its_credentials(tmp_path: Path) -> None:
    assert load(tmp_path, {**URL, "COACHSYNC_API_TOKEN": "t"}).credentials == BearerToken(SecretStr("t"))
    assert load(tmp_path, {**URL, "COACHSYNC_API_KEY": "k"}).credentials == ApiKey(SecretStr("k"))
    assert load(tmp_path, {**URL, **OAUTH}).credentials == ClientCredentials(
        "coachsync", SecretStr("s3cret-of-the-client"), "https://auth.example.com/token"
    )
    assert load(tmp_path, {"COACHSYNC_API_URL": "http://127.0.0.1:8080"}).credentials == NoCredentials()


def test_a_secret_comes_from_a_file_without_its_closing_line_break(tmp_path: Path) -> None:
    for content in (b"in-a-file", b"in-a-file\n", b"in-a-file\r\n"):
        settings = load(tmp_path, {**URL, "COACHSYNC_API_TOKEN_FILE": secret_file(tmp_path, content)})
        assert settings.credentials == BearerToken(SecretStr("in-a-file"))


def test_a_secret_in_the_environment_replaces_the_files_own_way_to_it(tmp_path: Path) -> None:
    settings = load(tmp_path, {**URL, "COACHSYNC_API_TOKEN": "newer"}, 'api_token_file = "/nowhere"')
    assert settings.credentials == BearerToken(SecretStr("newer"))


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({**URL}, "has no authentication; give one of api_token, api_key"),
        (
            {**URL, "COACHSYNC_API_TOKEN": "t", "COACHSYNC_API_KEY": "k"},
            "COACHSYNC_API_TOKEN and COACHSYNC_API_KEY are several ways",
        ),
        (
            {**URL, "COACHSYNC_API_TOKEN": "t", "COACHSYNC_API_TOKEN_FILE": "/f"},
            "COACHSYNC_API_TOKEN and COACHSYNC_API_TOKEN_FILE give the same secret",
        ),
        ({**URL, "COACHSYNC_API_TOKEN": "t", **OAUTH}, "several ways of authentication; keep one"),
        ({**URL, "COACHSYNC_OAUTH_CLIENT_ID": "c"}, "oauth_client_secret and oauth_token_url missing"),
        ({**URL, **OAUTH, "COACHSYNC_OAUTH_CLIENT_ID": "a:b"}, "is no client id"),
        ({**URL, **OAUTH, "COACHSYNC_OAUTH_TOKEN_URL": "http://auth.example.com"}, "is not https"),
        ({**URL, **OAUTH, "COACHSYNC_OAUTH_TOKEN_URL": "https://u:p@a.example"}, "has a user or password"),
        ({"COACHSYNC_API_TOKEN": "t"}, "the default remote has no api_url that COACHSYNC_API_TOKEN could be for"),
        (
            {"COACHSYNC_API_URL": "http://api.example.com", "COACHSYNC_API_TOKEN": "t"},
            "is not https; give an https URL, or set COACHSYNC_ALLOW_HTTP=true",
        ),
        ({**URL, "COACHSYNC_API_TOKEN": "a\nb"}, "COACHSYNC_API_TOKEN has a line break"),
        ({**URL, "COACHSYNC_API_TOKEN": "a\x01b"}, "COACHSYNC_API_TOKEN has a space or control character"),
        ({**URL, "COACHSYNC_API_TOKEN": "a b"}, "COACHSYNC_API_TOKEN has a space or control character"),
        ({**URL, "COACHSYNC_API_TOKEN": "tökn"}, "COACHSYNC_API_TOKEN has characters outside ASCII"),
        ({**URL, "COACHSYNC_API_TOKEN": ""}, "COACHSYNC_API_TOKEN is empty"),
        ({**URL, "COACHSYNC_API_TOKEN_FILE": "gone"}, "gone cannot be read (No such file or directory)"),
        ({**URL, "COACHSYNC_API_TOKEN_FILE": "/dev/null"}, "/dev/null is no regular file"),
    ],
)
def test_authentication_that_cannot_work_is_refused(tmp_path: Path, environ: dict[str, str], why: str) -> None:
    assert why in told(tmp_path, environ)


def test_plain_http_is_allowed_by_name(tmp_path: Path) -> None:
    environ = {"COACHSYNC_API_URL": "http://api.internal", "COACHSYNC_API_TOKEN": "t", "COACHSYNC_ALLOW_HTTP": "true"}
    assert load(tmp_path, environ).api_url == "http://api.internal"


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (b"token\n", 0o644, "is readable by everyone (mode 644); run: chmod 600 "),
        (b"", 0o600, "is empty"),
        (b"\n", 0o600, "is empty"),
        (b"one\ntwo\n", 0o600, "has a line break inside"),
        (b"\xff\xfet\x00", 0o600, "is no text"),
        (b"\xef\xbb\xbftoken", 0o600, "has characters outside ASCII"),
        (b"x" * 20_000, 0o600, "is longer than 16384 bytes"),
    ],
)
def test_an_unsafe_or_unusable_secret_file_is_refused(tmp_path: Path, content: bytes, mode: int, why: str) -> None:
    assert why in told(tmp_path, {**URL, "COACHSYNC_API_TOKEN_FILE": secret_file(tmp_path, content, mode)})


@pytest.mark.parametrize("way", ["variable", "toml"])
def test_a_url_with_a_password_comes_from_a_file(tmp_path: Path, way: str) -> None:
    url = "postgresql+psycopg://u:hunter2hunter2@h/d"
    path = secret_file(tmp_path, f"{url}\n".encode())
    environ = {"COACHSYNC_DATABASE_URL_FILE": path} if way == "variable" else {}
    settings = load(tmp_path, environ, f'database_url_file = "{path}"' if way == "toml" else "")
    assert settings.database_url.get_secret_value() == url
    assert all("hunter2hunter2" not in row.value for row in describe(settings))
    assert "hunter2hunter2" in known_secrets(settings)


def test_a_broker_s_url_from_a_file_is_no_embedded_broker_and_outranks_the_settings_file(tmp_path: Path) -> None:
    environ = {"COACHSYNC_BROKER_URL_FILE": secret_file(tmp_path, b"redis://:hunter2hunter2@h/0")}
    settings = load(tmp_path, environ, 'broker_url = "redis://elsewhere/0"')
    assert settings.broker_url.get_secret_value() == "redis://:hunter2hunter2@h/0"
    assert not settings.embedded_broker


def test_a_url_file_that_cannot_be_used_is_named_and_not_shown(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"postgresql://u:hunter2hunter2@h/d", 0o644)
    both = {"COACHSYNC_DATABASE_URL": "postgresql://h/d", "COACHSYNC_DATABASE_URL_FILE": path}
    assert "COACHSYNC_DATABASE_URL and COACHSYNC_DATABASE_URL_FILE give the same URL; keep one" in told(tmp_path, both)
    words = told(tmp_path, {"COACHSYNC_DATABASE_URL_FILE": path})
    assert words == f"COACHSYNC_DATABASE_URL_FILE: {path} is readable by everyone (mode 644); run: chmod 600 '{path}'"
    assert "COACHSYNC_BROKER_URL_FILE: " in told(tmp_path, {"COACHSYNC_BROKER_URL_FILE": secret_file(tmp_path, b"x y")})
    assert "is no path; name the file" in told(tmp_path, {}, "broker_url_file = 1")


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ('api_token = "hunter2hunter2"', "is a secret in the clear; name a file by api_token_file"),
        ('[remotes.a]\napi_key = "hunter2hunter2"', "remotes.a.api_key (coachsync.toml line 2) is a secret"),
        ('database_url = "postgresql://u:hunter2hunter2@h/d"', "give the URL by COACHSYNC_DATABASE_URL"),
        ('broker_url = "redis://:hunter2hunter2@h"', "give the URL by COACHSYNC_BROKER_URL"),
        ('api_token_env = "NOT_SET"', "names the variable 'NOT_SET', which is not set"),
        ('api_token_env = "BAD"', "names BAD, which has a space or control character"),
        ("api_token_env = 1", "is no text"),
        ('api_token_fil = "hunter2hunter2"', "did you mean api_token_file?"),
    ],
)
def test_the_settings_file_holds_no_secret(tmp_path: Path, toml: str, why: str) -> None:
    lines = told(tmp_path, {"BAD": "a b"}, toml)
    assert why in lines
    assert "hunter2" not in lines


KEY, NEWER = "k" * 32, "n" * 44


def test_the_keys_of_webhook_secrets_come_from_a_variable_or_a_file_or_are_none(tmp_path: Path) -> None:
    assert load(tmp_path, {}).webhook_key is None
    for environ, toml in (
        ({"COACHSYNC_WEBHOOK_KEY": f"{NEWER},{KEY}"}, ""),
        ({"COACHSYNC_WEBHOOK_KEY_FILE": secret_file(tmp_path, f"{NEWER},{KEY}\n".encode())}, ""),
        ({"KEYS": f"{NEWER},{KEY}"}, 'webhook_key_env = "KEYS"'),
        ({"COACHSYNC_WEBHOOK_KEY": f"{NEWER},{KEY}"}, 'webhook_key_file = "/nowhere"'),
    ):
        settings = load(tmp_path, environ, toml)
        assert settings.webhook_key == SecretStr(f"{NEWER},{KEY}")
        assert {row.name: row.value for row in describe(settings)}["webhook_key"] == f"{MASK}kk"
        assert known_secrets(settings) == {NEWER, KEY}


@pytest.mark.parametrize(
    ("environ", "toml", "why"),
    [
        ({"COACHSYNC_WEBHOOK_KEY": KEY[1:]}, "", "COACHSYNC_WEBHOOK_KEY: key 1 has 31 characters; give 32 or more"),
        ({"COACHSYNC_WEBHOOK_KEY": f"{KEY},short"}, "", "COACHSYNC_WEBHOOK_KEY: key 2 has 5 characters"),
        ({"COACHSYNC_WEBHOOK_KEY": f"{KEY},"}, "", "COACHSYNC_WEBHOOK_KEY: key 2 has 0 characters"),
        ({"COACHSYNC_WEBHOOK_KEY": f",{KEY}"}, "", "COACHSYNC_WEBHOOK_KEY: key 1 has 0 characters"),
        ({"COACHSYNC_WEBHOOK_KEY": f"{KEY}, {NEWER}"}, "", "COACHSYNC_WEBHOOK_KEY has a space or control character"),
        ({"COACHSYNC_WEBHOOK_KEY": ""}, "", "COACHSYNC_WEBHOOK_KEY is empty; give it a value or unset it"),
        ({"COACHSYNC_WEBHOOK_KEY_FILE": "gone"}, "", "gone cannot be read (No such file or directory)"),
        (
            {"COACHSYNC_WEBHOOK_KEY": KEY, "COACHSYNC_WEBHOOK_KEY_FILE": "gone"},
            "",
            "COACHSYNC_WEBHOOK_KEY and COACHSYNC_WEBHOOK_KEY_FILE give the same secret; keep one",
        ),
        ({"K": "short"}, 'webhook_key_env = "K"', "webhook_key_env (coachsync.toml line 1): key 1 has 5 characters"),
        ({}, 'webhook_key_env = "K"', "names the variable 'K', which is not set"),
        ({}, f'webhook_key = "{KEY}"', "webhook_key (coachsync.toml line 1) is a secret in the clear; name a file by"),
        ({}, '[remotes.a]\nwebhook_key_env = "K"', "remotes.a.webhook_key_env (coachsync.toml line 2): no setting has"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_not_shown(
    tmp_path: Path, environ: dict[str, str], toml: str, why: str
) -> None:
    lines = told(tmp_path, environ, toml)
    assert why in lines
    assert "kkkk" not in lines
    assert "nnnn" not in lines


def test_a_long_secret_shows_its_last_two_characters_and_a_short_one_nothing() -> None:
    assert mask_secret("0123456789ab") == f"{MASK}ab"
    assert mask_secret("0123456789a") == MASK


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:pw@h:5432/d", f"postgresql://app:{MASK}@h:5432/d"),
        ("redis://:pw@h/0", f"redis://:{MASK}@h/0"),
        ("redis://h/0?password=pw&db=1", f"redis://h/0?password={MASK}&db=1"),
        ("postgresql://app:p@w/x?y=z@h/d", f"postgresql://app:{MASK}@h/d"),
        ("postgresql://app@h/d", "postgresql://app@h/d"),
        ("https://token@h", f"https://{MASK}@h"),
        ("app:pw@h", f"{MASK}@h"),
        ("redis://h/0", "redis://h/0"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown


# Letters that no other part of the settings has in this order, so that finding the secret means it was leaked.
ALPHABET = string.ascii_letters + string.digits + "~!$&'()*+,;=:@/?#[]%-._ \n\tüé"
SECRETS = st.text(st.sampled_from(ALPHABET), max_size=60).map(lambda text: f"zQ9{text}xJ7")
PLACES = st.sampled_from(
    [
        "COACHSYNC_API_TOKEN",
        "COACHSYNC_API_KEY",
        "COACHSYNC_OAUTH_CLIENT_SECRET",
        "COACHSYNC_API_TOKEN_FILE",
        "COACHSYNC_API_TOKN",
        "COACHSYNC_WEBHOOK_KEY",
        "postgresql",
        "redis",
        "https",
        "toml",
        "toml url",
        "api_token_env",
    ]
)


@given(SECRETS, PLACES)
@example("zQ9://a:b@xJ7", "COACHSYNC_API_TOKEN")
@example("zQ9?password=xJ7", "postgresql")
def test_no_rendering_shows_a_secret(secret: str, place: str) -> None:
    with TemporaryDirectory() as name:
        rendered = _everything_rendered(Path(name), secret, place)
    assert "zQ9" not in rendered
    assert secret not in rendered
    assert json.dumps(secret)[1:-1] not in rendered


def _everything_rendered(folder: Path, secret: str, place: str) -> str:
    environ, toml = _with_secret(folder, secret, place)
    try:
        settings = load(folder, environ, toml)
    except SettingsError as error:
        return f"{error!r} {error} {error.problems} {error.__cause__!r}"
    rows = [f"{row}" for row in describe(settings)]
    dumps = [settings.model_dump_json(), repr(settings.model_dump())]
    return " ".join([repr(settings), str(settings), repr(settings.all_remotes), *dumps, *rows])


def _with_secret(folder: Path, secret: str, place: str) -> tuple[dict[str, str], str]:
    """The environment and the file of an operator who puts the secret there."""
    places: dict[str, tuple[dict[str, str], str]] = {
        "postgresql": ({"COACHSYNC_DATABASE_URL": f"postgresql://app:{secret}@db.example/coachsync"}, ""),
        "redis": ({"COACHSYNC_BROKER_URL": f"redis://:{quote(secret, safe='')}@broker.example/0"}, ""),
        "https": ({"COACHSYNC_API_URL": f"https://app:{secret}@api.example.com"}, ""),
        "toml": ({}, f"api_token = {json.dumps(secret)}"),
        "toml url": ({}, f"database_url = {json.dumps(f'postgresql://app:{secret}@h/d')}"),
        "api_token_env": ({**URL, "TOKEN": secret}, 'api_token_env = "TOKEN"'),
        "COACHSYNC_API_TOKEN_FILE": ({**URL, place: secret_file(folder, secret.encode())}, ""),
        "COACHSYNC_OAUTH_CLIENT_SECRET": ({**URL, **OAUTH, "COACHSYNC_OAUTH_CLIENT_SECRET": secret}, ""),
    }
    return places.get(place, ({**URL, place: secret}, ""))
