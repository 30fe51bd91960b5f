"""`syncd connect` and `syncd keys`, as someone types and reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer

from syncd.cli.exits import Exit
from tests.cli.conftest import Program
from tests.fakes.https import ca_file
from tests.fakes.microsoft.signin import CLIENT_ID, CLIENT_SECRET
from tests.fakes.microsoft.world import MicrosoftWorld

CANARY = "canary-"


@pytest.fixture
def world() -> Iterator[MicrosoftWorld]:
    with MicrosoftWorld().serving() as made:
        made.directory.home.add("Maya Okafor")
        yield made


@pytest.fixture
def entra(program: Program, world: MicrosoftWorld, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A connection to a tenant, whose secret is typed where it is asked for."""
    main = (program.folder / "syncd.toml").read_text()
    private = ", ".join(f'"{one}"' for one in world.network().private)
    program.write(
        "syncd.toml", f'{main}[network]\nprivate = [{private}]\nca_file = "{ca_file()}"\n'
    )
    program.write(
        "connections/entra.toml",
        f'connector = "entra"\n[config]\ntenant = "{world.directory.home.id}"\n'
        f'client_id = "{CLIENT_ID}"\nauthority = "{world.servers["signin"].root}"\n'
        f'graph = "{world.servers["graph"].root}/v1.0"\n',
    )
    (program.folder / "connections" / "people.toml").unlink()
    assert program("db", "upgrade").code == 0
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: f" {CLIENT_SECRET}\n")
    return program


def test_a_connection_is_checked_connected_and_synced(entra: Program) -> None:
    told = entra("check", "entra")
    assert told.code == Exit.UNREACHABLE
    assert "nobody has signed in" in told.out
    assert "syncd connect entra" in told.out

    told = entra("connect", "entra")
    assert (told.code, told.out) == (0, "entra is connected\n")
    assert "made the first key" in told.err
    assert "syncd.keys" in told.err
    assert CANARY not in told.out + told.err

    assert entra("check", "entra").code == 0
    assert entra("sync", "entra").code == 0
    assert "Maya Okafor" in entra("users").out


def test_a_secret_that_is_wrong_is_not_kept(entra: Program, world: MicrosoftWorld) -> None:
    world.service.secret = "another"
    told = entra("connect", "entra")
    assert told.code == Exit.UNREACHABLE
    assert "secret or certificate is not the one that is known there (AADSTS7000215)" in told.err
    assert CANARY not in told.err
    assert "nobody has signed in" in entra("check", "entra").out


def test_who_connects_anew_lets_a_paused_connection_go_on(
    entra: Program, world: MicrosoftWorld
) -> None:
    entra("connect", "entra")
    world.service.refused[""] = ("invalid_client", 7000222, "")
    assert entra("sync", "entra").code == Exit.UNREACHABLE
    assert "the application's secret has expired" in entra("connections").err
    told = entra("sync", "entra")
    assert told.code != 0
    assert "is paused: reconnect" in told.err
    world.service.refused.clear()
    assert entra("connect", "entra").code == 0
    assert entra("sync", "entra").code == 0


def test_a_person_is_not_let_go_on_whom_somebody_else_paused(entra: Program) -> None:
    entra("connect", "entra")
    entra("connections", "pause", "entra")
    entra("connect", "entra")
    assert "is paused: paused by hand" in entra("sync", "entra").err


def test_keys_are_rotated_and_listed(entra: Program) -> None:
    assert entra("keys", "list").out == ""
    entra("connect", "entra")
    before = entra("keys", "list").out.split()
    told = entra("keys", "rotate")
    assert told.code == 0
    after = entra("keys", "list", "--json").json["keys"]
    assert told.out == f"key {after[0]} seals the credentials of entra\n"
    assert len(before) == len(after) == 1
    assert before != after
    assert entra("check", "entra").code == 0


def test_a_key_that_is_lost_is_named_and_nothing_is_overwritten(entra: Program) -> None:
    entra("connect", "entra")
    name = entra("keys", "list").out.strip()
    (entra.folder / "syncd.keys").rename(entra.folder / "elsewhere")
    for command in (
        ("check", "entra"),
        ("sync", "entra"),
        ("keys", "rotate"),
        ("connect", "entra"),
    ):
        told = entra(*command)
        assert told.code == Exit.CONFIG, command
        assert "syncd.keys" in told.out + told.err
    (entra.folder / "syncd.keys").write_text(entra("keys", "new").out)
    assert name in entra("check", "entra").out
    (entra.folder / "elsewhere").replace(entra.folder / "syncd.keys")
    assert entra("check", "entra").code == 0


def test_a_connection_that_needs_no_sign_in_says_so(program: Program) -> None:
    program("db", "upgrade")
    told = program("connect", "people")
    assert told.code == Exit.USAGE
    assert "the connector csv is not signed in to" in told.err
