"""Secrets at rest: nothing in the clear, keys that are replaced, and one key for a home, whoever asks first."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from worker.configuration.problems import SettingsError
from worker.configuration.redaction import MASK, Redactor
from worker.webhooks.sealing import KEY_FILE, CannotUnseal, Sealer, key_of_home

OLD, NEW, LOST = "an-old-key-of-32-characters-or-so", "the-new-key-of-32-characters-or-so", "x" * 44
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def sealer(*keys: str) -> Sealer:
    return Sealer(SecretStr(",".join(keys)))


def test_what_is_sealed_is_opened_with_the_same_key_and_shows_nothing() -> None:
    sealed = sealer(NEW).seal(SECRET)
    assert sealer(NEW).unseal(sealed) == SECRET
    assert "whsec" not in sealed
    assert SECRET.removeprefix("whsec_") not in sealed
    assert NEW not in sealed


def test_the_same_secret_is_sealed_otherwise_each_time() -> None:
    assert sealer(NEW).seal(SECRET) != sealer(NEW).seal(SECRET)


def test_while_a_key_is_replaced_both_open_and_the_first_seals() -> None:
    before = sealer(OLD).seal(SECRET)
    both = sealer(NEW, OLD)
    assert both.unseal(before) == SECRET
    assert sealer(NEW).unseal(both.seal(SECRET)) == SECRET
    with pytest.raises(CannotUnseal):
        sealer(OLD).unseal(both.seal(SECRET))


def test_after_it_was_sealed_anew_the_old_key_can_be_left_out() -> None:
    anew = sealer(NEW, OLD).reseal(sealer(OLD).seal(SECRET))
    assert sealer(NEW).unseal(anew) == SECRET


@pytest.mark.parametrize("changed", ["", "no token", "gAAAAA==", "\u00fc"])
def test_what_was_tampered_with_is_not_opened(changed: str) -> None:
    with pytest.raises(CannotUnseal):
        sealer(NEW).unseal(changed)


def test_one_changed_character_is_noticed() -> None:
    sealed = sealer(NEW).seal(SECRET)
    middle = len(sealed) // 2
    other = "A" if sealed[middle] != "A" else "B"
    with pytest.raises(CannotUnseal):
        sealer(NEW).unseal(sealed[:middle] + other + sealed[middle + 1 :])


def test_a_wrong_key_says_what_to_do_and_shows_neither_key_nor_secret() -> None:
    sealed = sealer(LOST).seal(SECRET)
    for attempt in (sealer(NEW, OLD).unseal, sealer(NEW, OLD).reseal):
        with pytest.raises(CannotUnseal) as caught:
            attempt(sealed)
        told = str(caught.value)
        assert "give the key it was sealed with, after the new one, in COACHSYNC_WEBHOOK_KEY" in told
        assert KEY_FILE in told
        assert caught.value.__cause__ is None
        assert not [key for key in (NEW, OLD, LOST, SECRET, sealed) if key in told]


def test_a_home_has_one_key_for_its_owner_alone(tmp_path: Path) -> None:
    key = key_of_home(tmp_path)
    assert key_of_home(tmp_path).get_secret_value() == key.get_secret_value()
    assert len(key.get_secret_value()) == 44
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert sealer(key.get_secret_value()).seal(SECRET)


def test_two_homes_have_two_keys(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("one", "two")]
    for home in homes:
        home.mkdir()
    assert len({key_of_home(home).get_secret_value() for home in homes}) == 2


RACE = """
import sys
from pathlib import Path
from worker.webhooks.sealing import key_of_home
homes = [Path(name) for name in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.readline()
for home in homes:
    print(key_of_home(home).get_secret_value())
"""


def test_processes_that_ask_at_once_make_one_key_of_a_home(tmp_path: Path) -> None:
    homes = [tmp_path / str(number) for number in range(40)]
    for home in homes:
        home.mkdir()
    command = [sys.executable, "-c", RACE, *map(str, homes)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    told = []
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    for racer in racers:
        output, _ = racer.communicate(timeout=90)
        told.append(output.split())
    assert told[0] == told[1] == told[2]
    assert len(set(told[0])) == len(homes)
    assert all([path.name for path in home.iterdir()] == [KEY_FILE] for home in homes)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        ("", 0o600, "is empty"),
        ("short", 0o600, "has 5 characters, and a key 32 or more; put back what it had"),
        ("k" * 44, 0o644, "is readable by everyone (mode 644); run: chmod 600"),
    ],
)
def test_a_key_file_that_is_no_key_is_refused_in_one_line(tmp_path: Path, content: str, mode: int, why: str) -> None:
    path = tmp_path / KEY_FILE
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(SettingsError) as caught:
        key_of_home(tmp_path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)
    assert path.read_text() == content


def test_a_home_that_cannot_hold_a_key_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be made \(No such file or directory\); give a key by COACHSYNC_"):
        key_of_home(tmp_path / "gone")


@pytest.mark.parametrize("secret", [SECRET, SECRET.replace("whsec", "whsk"), f"{SECRET}=="])
def test_the_log_shows_no_secret_wherever_it_came_from(secret: str) -> None:
    shown = Redactor()(f"cannot send with {secret} to x, whpk_MfKQ9r8GKYqrTwjU is public")
    assert shown == f"cannot send with {secret.partition('_')[0]}_{MASK} to x, whpk_MfKQ9r8GKYqrTwjU is public"
