"""`syncd connections relink`, as someone types and reads it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Program


@pytest.fixture
def synced(program: Program) -> Program:
    """The command line after the first sync of six people."""
    program.hire("Max Hill", client="Umbra", site="Bath")
    assert program("sync").code == 0
    return program


def test_people_get_another_key_after_a_look(synced: Program) -> None:
    sheet = (synced.folder / "connections" / "people.toml").read_text()
    synced.write("connections/people.toml", sheet.replace('"Staff no"', '"E-mail"'))

    told = synced("connections", "relink", "people", "--dry-run")
    assert told.out.splitlines()[0] == "all: 6 records get another key"
    assert "    ada.byron -> ada.byron@acme.example" in told.out
    assert "    and 1 more" in told.out
    assert "nothing was changed" in told.err

    told = synced("connections", "relink", "people")
    assert told.code == 0
    assert "to go back, set `key` back" in told.err
    assert "nothing" in synced("sync", "people").out
    history = synced("explain", "ada.byron@acme.example").out
    assert 'known by "E-mail" from now on; it was ada.byron' in history

    told = synced("connections", "relink", "people", "--dry-run")
    assert told.out == "all: no record has another key by that\n"


def test_a_column_that_is_not_kept_is_named(synced: Program) -> None:
    told = synced("connections", "relink", "people", "--key", "Shoe size")

    assert told.code == 64
    assert 'headings = { "Shoe size" = "CFShoe size" }' in told.err


def test_a_connection_that_was_never_synced_has_no_keys(program: Program) -> None:
    told = program("connections", "relink", "people")

    assert told.code == 64
    assert "people was never synced" in told.err
