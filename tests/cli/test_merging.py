"""Two who are one, by hand: what is shown, what is told of them afterwards, and the way back."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Answer, Program

ADA, BOB = "ada.byron@acme.example", "bob.stone@acme.example"


@pytest.fixture
def synced(program: Program) -> Program:
    program.hire("Max Hill", client="Umbra", site="Bath")
    program.hire("Kim Lane", client="Umbra", site="York")
    assert program("sync").code == 0
    return program


def names(program: Program, *arguments: str) -> list[str]:
    return [user["name"] for user in program("users", "--json", *arguments).json["users"]]


def run_of(answer: Answer) -> str:
    """The run that a merge says how to undo."""
    assert answer.code == 0, answer
    found = re.search(r"syncd undo (\d+)", answer.err)
    assert found, answer
    return found[1]


def test_users_are_merged_told_of_and_parted_again(synced: Program) -> None:
    answer = synced("users", "merge", ADA, BOB, "--reason", "married")

    run = run_of(answer)
    merged = f"merge user  Bob Stone <{BOB}>, Acme: it was merged into Ada Byron <{ADA}> by tess"
    assert f"{merged}: married" in answer.out
    assert "records: 1 -> 0" in answer.out
    assert "Bob Stone" not in names(synced)
    for reference in (ADA, BOB):
        told = synced("explain", reference).out
        assert told.startswith("user Ada Byron\n")
        assert f"merged with Bob Stone <{BOB}> on 2" in told
        assert "came with a merge; last written by run" in told
        assert "create user  Bob Stone" in told
    (absorbed,) = synced("explain", ADA, "--json").json["entity"]["merged"]
    assert (absorbed["label"], str(absorbed["run"])) == (f"Bob Stone <{BOB}>", run)
    assert "create user  Bob Stone" in synced("changes", "--user", ADA).out
    assert "merge of the desk by tess" in synced("runs", run).out

    assert synced("sync").code == 0
    assert "Bob Stone" not in names(synced)

    assert synced("undo", run).code == 0
    assert "Bob Stone" in names(synced)
    assert "merged with" not in synced("explain", ADA).out
    assert synced("explain", BOB).out.startswith("user Bob Stone\n")


def test_who_was_merged_is_found_by_the_old_name_only_to_be_told_the_new_one(
    synced: Program,
) -> None:
    assert synced("users", "merge", ADA, BOB).code == 0

    answer = synced("users", "set", BOB, "title=x")

    assert answer.code == 64
    assert f'the user "{BOB}" was merged into Ada Byron <{ADA}>' in answer.err


def test_a_dry_run_shows_a_merge_and_changes_nothing(synced: Program) -> None:
    before = synced("db", "dump").out

    answer = synced("users", "merge", ADA, BOB, "--dry-run")

    assert answer.code == 0
    assert "it was merged into Ada Byron" in answer.out
    assert "records: 1 -> 0" in answer.out
    assert "nothing was changed" in answer.err
    assert synced("db", "dump").out == before


def test_clients_are_merged_with_sites_and_users(synced: Program) -> None:
    synced("users", "add", "--client", "Acme", "name=Maximilian", "email=max.hill@umbra.example")

    answer = synced("clients", "merge", "Acme", "Umbra")

    run = run_of(answer)
    same = "Maximilian <max.hill@umbra.example> and Max Hill <max.hill@umbra.example> have the same"
    assert f"perhaps: {same} email; if they are one: syncd users merge" in answer.out
    assert names(synced, "--client", "Acme", "hill") == ["Eve Hill", "Max Hill", "Maximilian"]
    found = synced("sites", "--json").json["sites"]
    assert [(site["client"], site["name"]) for site in found] == [
        ("Acme", "Bath"),
        ("Acme", "Main"),
        ("Acme", "York"),
    ]
    assert synced("explain", "Umbra", "--kind", "client").out.startswith("client Acme\n")
    assert "create user  Max Hill" in synced("changes", "--client", "Acme", "--limit", "0").out
    assert synced("undo", run).code == 0
    assert names(synced, "--client", "Umbra") == ["Kim Lane", "Max Hill"]


def test_sites_of_a_client_are_merged(synced: Program) -> None:
    answer = synced("sites", "merge", "Bath", "York", "--client", "Umbra")

    assert answer.code == 0
    assert "update user  Kim Lane" in answer.out
    (kim,) = synced("users", "kim", "--json").json["users"]
    assert kim["site"] == "Bath"


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("users", "merge", ADA, ADA), "both are one and the same user"),
        (("users", "merge", ADA, "nobody"), 'no user is called "nobody"'),
        (("users", "merge", ADA), "B"),
        (("clients", "merge", "Acme", ADA), "no client is called"),
        (("sites", "merge", "Acme/Bath", "Umbra/Bath"), "sites of two clients"),
    ],
)
def test_what_cannot_be_one_ends_with_64(
    synced: Program, arguments: tuple[str, ...], why: str
) -> None:
    answer = synced(*arguments)
    assert answer.code == 64
    assert why in answer.err
