"""Searching the desk, explaining a record, and the history: the same on both databases."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Program


@pytest.fixture
def synced(program: Program) -> Program:
    program.hire("Max 100%", client="Umbra", site="Rue de l'Été")
    program.write(
        "mappings/people.toml",
        '[client]\nmatch = ["name"]\n[user]\nscope = "job_title != \'Robot\'"\n',
    )
    program.hire("Robby Robot", title="Robot")
    program.drop(["bad", "Bad Row", "bad@acme.example", "Acme", "Bath", "", "perhaps"])
    assert program("sync").code == 3
    return program


def names(program: Program, *arguments: str) -> list[str]:
    return [user["name"] for user in program("users", "--json", *arguments).json["users"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ZOE", ["Zoë Müller"]),
        ("zoë muller", ["Zoë Müller"]),
        ("lucia.", ["Lucía Ferrer"]),
        ("Été", ["Max 100%"]),
        ("ete max", ["Max 100%"]),
        ("%", ["Max 100%"]),
        ("_", []),
        ("'; drop table link; --", []),
        ("nobody", []),
    ],
)
def test_a_search_ignores_case_and_accents_and_takes_wildcards_literally(
    synced: Program, query: str, found: list[str]
) -> None:
    assert names(synced, query) == found


def test_users_are_found_by_the_postal_address_of_their_site(synced: Program) -> None:
    assert synced("sites", "set", "Acme/Bath", "address_line1=12 Weißdorn Way").code == 0
    assert len(names(synced, "weissdorn")) == 5
    assert [site["name"] for site in synced("sites", "12 way", "--json").json["sites"]] == ["Bath"]


def test_lists_can_be_narrowed_to_a_client_and_to_the_inactive(synced: Program) -> None:
    assert names(synced, "--client", "umbra") == ["Max 100%"]
    synced("users", "set", "bob.stone@acme.example", "active=no")
    assert names(synced, "--inactive") == ["Bob Stone"]
    assert "2 of 6 shown" in synced("users", "--limit", "2").err


def test_users_of_an_inactive_client_are_shown_as_such(synced: Program) -> None:
    synced("clients", "set", "Umbra", "active=no")
    assert "by client or site: no" in synced("users", "max").out
    told = synced("explain", "max.100%@umbra.example").out
    assert "could sign in: no" in told
    assert "the client Umbra is inactive" in told


def test_a_name_that_fits_several_ends_with_64_and_lists_them(synced: Program) -> None:
    synced("users", "add", "--client", "Umbra", "name=Ada Byron")
    answer = synced("users", "set", "Ada Byron", "title=x")
    assert answer.code == 64
    assert answer.err.count("Ada Byron") >= 2
    assert synced("users", "set", "Ada Byron", "title=x", "--client", "Umbra").code == 0


def test_a_name_that_fits_nobody_suggests_who_is_near(synced: Program) -> None:
    answer = synced("users", "set", "lucia", "title=x")
    assert answer.code == 64
    assert "did you mean lucía.ferrer@acme.example?" in answer.err


def test_a_value_set_by_hand_is_in_the_history_and_survives_a_sync(synced: Program) -> None:
    assert synced("users", "set", "ada.byron@acme.example", "title=Boss").code == 0
    synced("sync")
    told = synced("changes", "--user", "ada.byron@acme.example").out
    assert 'job_title: (empty) -> "Boss"' in told
    assert "edit by tess" in told
    assert 'job_title            "Boss"  set by hand' in synced("explain", "Ada Byron").out
    assert synced("users", "release", "ada.byron@acme.example", "title").code == 0
    assert synced("users", "release", "ada.byron@acme.example", "title").code == 64


def test_explain_tells_sources_rules_values_sign_in_and_history(synced: Program) -> None:
    told = synced("explain", "ada.byron").out  # the key of the source
    assert told.startswith("user Ada Byron\n")
    assert "people people ada.byron" in told
    assert "created from this record; last written by run 1" in told
    assert '    name                 "Ada Byron"' in told
    assert "rules of people, and whom each finds today" in told
    assert "ada.byron@acme.example  no rivals" in told
    assert "no source gave an identity" in told
    assert "run 1 (people, apply by tess)" in told


def test_explain_names_the_rule_that_matched_also_after_later_syncs(synced: Program) -> None:
    synced("users", "add", "--client", "Acme", "name=Nina", "email=nina@acme.example")
    synced.hire("Nina")
    synced("sync")
    synced.hire("Nina", title="Pilot")
    synced("sync")
    told = synced("explain", "nina@acme.example").out
    assert "matched by email" in told
    assert " *email" in told


def test_explain_tells_records_of_two_sources_with_one_key_apart(synced: Program) -> None:
    text = (synced.folder / "connections" / "people.toml").read_text(encoding="utf-8")
    synced.write("connections/payroll.toml", text)
    assert synced("sync", "payroll").code == 3  # one row has an odd field

    told = synced("explain", "ada.byron@acme.example").out

    for connection, how in (("people", "created from this record"), ("payroll", "matched by")):
        section = told.split(f"\n{connection} people ada.byron\n")[1].split("\n\n")[0]
        assert how in section


def test_explain_names_a_source_that_has_somebody_no_more(synced: Program) -> None:
    rule = '[gone]\nabsent = { action = "deactivate", after = [] }\n'
    synced.write("mappings/people.toml", f'[client]\nmatch = ["name"]\n{rule}')
    synced.hire("Ada Byron", title="Boss")
    synced("sync", "people")
    text = (synced.folder / "connections" / "people.toml").read_text(encoding="utf-8")
    synced.write("connections/payroll.toml", text.replace("people.csv", "payroll.csv"))
    row = "7,Ada Byron,ada.byron@acme.example,Acme"
    synced.write("payroll.csv", f"Staff no,Name,E-mail,Client\n{row}\n")
    synced("sync", "payroll")

    del synced.rows["ada.byron"]
    synced.drop()
    assert synced("sync", "people").code == 0

    told = synced("explain", "ada.byron@acme.example").out
    assert '  job_title            "Boss"  people, which has it no more\n' in told
    assert "  active               yes  payroll\n" in told


def test_explain_says_what_was_set_by_hand_and_released(synced: Program) -> None:
    synced("users", "set", "Ada Byron", "title=Chief")
    assert '"Chief"  set by hand\n' in synced("explain", "Ada Byron").out

    synced("users", "release", "Ada Byron")

    assert '"Chief"  by hand, until a source says otherwise\n' in synced("explain", "Ada Byron").out
    again = synced("users", "release", "Ada Byron")
    assert (again.code, "nothing of this user is set by hand" in again.err) == (64, True)


def test_explain_answers_for_records_that_are_not_kept(synced: Program) -> None:
    skipped = synced("explain", "robby.robot").out
    assert "out of the mapping's scope" in skipped
    quarantined = synced("explain", "bad").out
    assert "in quarantine: people people bad: bad_value" in quarantined
    assert "repair: " in quarantined
    assert '"perhaps"' in quarantined


def test_explain_takes_a_key_in_any_spelling_and_prefers_the_exact_one(synced: Program) -> None:
    assert "people people robby.robot" in synced("explain", "Robby.ROBOT").out
    told = synced("explain", " Bad").out
    assert "in quarantine: people people bad: bad_value" in told
    assert told.count("in quarantine") == 1


def test_explain_of_an_unknown_name_ends_with_64_and_what_is_near(synced: Program) -> None:
    answer = synced("explain", "ferrer")
    assert answer.code == 64
    assert "lucía.ferrer@acme.example" in answer.err


def test_every_reading_command_speaks_json_with_a_version(synced: Program) -> None:
    for command, key in {
        "plan": "runs",
        "runs": "runs",
        "changes": "changes",
        "review": "quarantine",
        "users": "users",
        "clients": "clients",
        "sites": "sites",
        "connections": "connections",
        "connectors": "connectors",
        "check": "checks",
    }.items():
        answer = synced(command, "--json").json
        assert answer["format_version"] == 1
        assert answer[key], command
    told = synced("explain", "ada.byron", "--json").json
    assert told["entity"]["values"]["name"] == {"value": "Ada Byron", "owner": "people"}
    assert told["sign_in"]["possible"] is False
    change = synced("changes", "--json", "--limit", "1").json["changes"][0]
    assert set(change["fields"]["name"]) == {"before", "after"}
    assert change["at"].endswith("Z")


def test_a_dump_is_the_same_after_a_sync_without_changes(synced: Program) -> None:
    before = synced("db", "dump").out
    synced("sync")
    assert synced("db", "dump").out == before
    assert 'user "people/people/ada.byron"' in before


def test_secrets_of_the_source_and_the_settings_are_never_shown(
    synced: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.rows["ada.byron"][5] = "password: hunter2-canary"
    synced.drop()
    synced("sync")
    told = synced("explain", "ada.byron", "--json")
    assert "hunter2" not in str(told.json["sources"])
    monkeypatch.setenv("CANARY", "hunter2-canary")
    synced.write("connections/bad.toml", 'connector = "csv"\n[config]\nkey = 5\nx = "${CANARY}"\n')
    for command in (["check"], ["plan", "bad"], ["--debug", "check", "bad"]):
        answer = synced(*command) if command[0] != "--debug" else synced(*command[1:])
        assert "hunter2" not in answer.out + answer.err


def test_licenses_are_told_by_plan_changes_and_explain(program: Program) -> None:
    sheet = "Staff no,Name,E-mail,Client,Licenses\n{}\n"
    program.write("people.csv", sheet.format("1,Ada,ada@acme.example,Acme,Office+Visio"))
    assert "    assigns 2 licenses: Office, Visio" in program("plan", "people").out
    program("sync", "people")
    program.write("people.csv", sheet.format("1,Ada,ada@acme.example,Acme,Project"))
    program("sync", "people")

    told = program("changes", "--run", "3").out
    assert "assigns 1 license: Project" in told
    assert "releases 2 licenses: Office, Visio" in told
    told = program("explain", "ada@acme.example").out
    assert "licenses, and who says so\n  Project  people\n" in told
    found = program("explain", "ada@acme.example", "--json").json
    assert found["licenses"] == [{"provider": "people", "name": "Project", "number": 1}]
