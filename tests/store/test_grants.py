"""A grant is sealed for one connection, renewed by one process at a time, and never lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.connectors.grants import Grant
from syncd.errors import AuthFailed, ConfigError
from syncd.sealing import Keyring, new_key
from syncd.settings import Settings, load
from syncd.store.database import Database
from syncd.sync.granting import StoredVault, rotate, vault

SECRET = "canary-refresh-token-0a1b2c"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "config"
    (folder / "connections").mkdir(parents=True)
    (folder / "syncd.toml").write_text("")
    for name in ("csp", "other"):
        (folder / "connections" / f"{name}.toml").write_text('connector = "csv"\n')
    (folder / "syncd.keys").write_text(new_key() + "\n")
    return load(folder)


@pytest.fixture
def csp(database: Database, settings: Settings) -> StoredVault:
    found = vault(database, settings, "csp")
    found.put({"refresh_token": SECRET}, "ada")
    return found


def test_a_grant_comes_back_as_it_was_stored(csp: StoredVault) -> None:
    assert Grant(csp, "csp").held().content == {"refresh_token": SECRET}


def test_nobody_has_connected_yet(database: Database, settings: Settings) -> None:
    with pytest.raises(AuthFailed, match="syncd connect csp"):
        Grant(vault(database, settings, "csp"), "csp").held()


def test_the_database_never_holds_it_in_clear(csp: StoredVault) -> None:
    row = csp.grants.read(csp.connection)
    assert row is not None
    assert SECRET.encode() not in row.sealed
    assert SECRET not in repr((csp, row))


def test_a_grant_that_was_moved_to_another_connection_does_not_open(
    csp: StoredVault, database: Database, settings: Settings
) -> None:
    row = csp.grants.read(csp.connection)
    assert row is not None
    other = vault(database, settings, "other")
    other.grants.put(other.connection, row.sealed_by, row.sealed, "eve")
    with pytest.raises(ConfigError, match="sealed for another connection, or was altered"):
        other.read()


def test_a_grant_that_was_altered_does_not_open(csp: StoredVault) -> None:
    row = csp.grants.read(csp.connection)
    assert row is not None
    csp.grants.put(csp.connection, row.sealed_by, row.sealed[:-4] + b"AAA=", "eve")
    with pytest.raises(ConfigError, match="was altered"):
        csp.read()


@pytest.mark.parametrize("keys", ["", "another"])
def test_a_missing_key_is_named_and_nothing_is_overwritten(csp: StoredVault, keys: str) -> None:
    before = csp.grants.read(csp.connection)
    assert before is not None
    csp.keyring.file.write_text(new_key() if keys else "")
    with pytest.raises(ConfigError) as error:
        csp.read()
    assert (before.sealed_by in str(error.value)) == bool(keys)
    assert "syncd.keys" in str(error.value)
    with pytest.raises(ConfigError):
        rotate(csp.database, _settings_of(csp))
    assert csp.grants.read(csp.connection) == before


def _settings_of(vault: StoredVault) -> Settings:
    return load(vault.keyring.file.parent)


@pytest.mark.parametrize("text", ["not a key", "c2hvcnQ=", "\x00", "ключ"])
def test_a_file_that_holds_no_key_says_so(csp: StoredVault, text: str) -> None:
    csp.keyring.file.write_text(text)
    with pytest.raises(ConfigError, match=r"syncd\.keys") as error:
        csp.read()
    assert text not in str(error.value)


def test_a_renewal_is_stored_before_its_access_token_is_used(csp: StoredVault) -> None:
    grant = Grant(csp, "csp")

    def ask(content: dict[str, str]) -> tuple[dict[str, str], str]:
        assert content == {"refresh_token": SECRET}
        return {"refresh_token": "second"}, "access"

    assert grant.renew(ask) == "access"
    assert grant.held().content == {"refresh_token": "second"}


def test_a_renewal_that_fails_leaves_what_was_there_and_lets_others_try(csp: StoredVault) -> None:
    grant = Grant(csp, "csp")

    def refuse(content: dict[str, str]) -> tuple[dict[str, str], str]:
        raise AuthFailed("no")

    with pytest.raises(AuthFailed, match="no"):
        grant.renew(refuse)
    assert grant.renew(lambda content: ({"refresh_token": "second"}, content)) == {
        "refresh_token": SECRET
    }


def test_of_many_who_renew_at_once_each_asks_with_what_the_last_one_got(
    csp: StoredVault, database: Database, settings: Settings
) -> None:
    used: list[str] = []
    at_work = threading.Semaphore(1)

    def ask(content: dict[str, str]) -> tuple[dict[str, str], None]:
        assert at_work.acquire(blocking=False), "two asked at once"
        used.append(content["refresh_token"])
        at_work.release()
        return {"refresh_token": f"token-{len(used)}"}, None

    def work() -> None:
        own = Database(database.engine.url.render_as_string(hide_password=False))
        try:
            Grant(vault(own, settings, "csp"), "csp").renew(ask)
        finally:
            own.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert used == [SECRET, *(f"token-{number}" for number in range(1, 6))]
    held = csp.read()
    assert held is not None
    assert held.content == {"refresh_token": "token-6"}


def test_a_rotation_of_keys_seals_everything_anew_and_forgets_the_old_key(
    csp: StoredVault, database: Database, settings: Settings
) -> None:
    old = csp.keyring.file.read_text()
    name, renewed = rotate(database, settings)
    assert renewed == ["csp"]
    assert csp.keyring.names() == [name]
    assert old.strip() not in csp.keyring.file.read_text()
    assert csp.keyring.file.stat().st_mode & 0o077 == 0
    held = csp.read()
    assert held is not None
    assert held.content == {"refresh_token": SECRET}


def test_a_rotation_in_the_middle_of_a_renewal_loses_neither(
    csp: StoredVault, database: Database, settings: Settings
) -> None:
    def ask(content: dict[str, str]) -> tuple[dict[str, str], str]:
        rotate(database, settings)
        return {"refresh_token": "second"}, "access"

    assert Grant(csp, "csp").renew(ask) == "access"
    assert Grant(csp, "csp").held().content == {"refresh_token": "second"}


def test_what_a_person_obtains_in_the_middle_of_a_renewal_stays(csp: StoredVault) -> None:
    def ask(content: dict[str, str]) -> tuple[dict[str, str], str]:
        csp.put({"refresh_token": "of a person"}, "ada")
        return {"refresh_token": "second"}, "access"

    assert Grant(csp, "csp").renew(ask) == "access"
    assert Grant(csp, "csp").held().content == {"refresh_token": "of a person"}


def test_keys_of_the_environment_stand_in_for_the_file(
    csp: StoredVault, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = csp.keyring.file.read_text().strip()
    csp.keyring.file.unlink()
    new = new_key()
    monkeypatch.setenv("SYNCD_SECRETS_KEYS", f"{new},{old}")
    there = vault(database, _settings_of(csp), "csp")
    assert Grant(there, "csp").held().content == {"refresh_token": SECRET}
    name, _ = rotate(database, _settings_of(csp))
    assert name == Keyring(Path("x"), new).names()[0]
    monkeypatch.setenv("SYNCD_SECRETS_KEYS", new)
    there = vault(database, _settings_of(csp), "csp")
    assert Grant(there, "csp").held().content == {"refresh_token": SECRET}
