"""Partitions, clients, sites and licenses that are gone, as someone types and reads it."""

from __future__ import annotations

import re

import pytest

from syncd import settings
from syncd.connectors import base
from syncd.errors import AccessLost
from syncd.sync.engine import Engine
from tests.cli.conftest import Answer, Program
from tests.stories.desk import Desk
from tests.stories.licenses import assign, pool
from tests.stories.source import Source, raw, who

TENANTS = ("acme", "bolt")


@pytest.fixture
def source(program: Program, monkeypatch: pytest.MonkeyPatch) -> Source:
    """The connection `people` reads two tenants of a provider in memory; nothing is synced yet."""
    made = Source(partitions=[*TENANTS])
    made.organizations = [raw(key, name=key.title()) for key in TENANTS]
    made.people = [who(f"{key.title()}{n}", key) for key in TENANTS for n in range(4)]
    monkeypatch.setattr(base, "find", lambda _name: made.connector())
    program.write("connections/people.toml", 'connector = "memory"\nmapping = "people"\n')
    return made


def states(program: Program) -> dict[str, str]:
    told = program("connections", "partitions", "people", "--json").json["partitions"]
    return {one["key"]: one["state"] for one in told}


def test_partitions_are_shown_where_there_are_several_or_one_is_gone(
    program: Program, source: Source
) -> None:
    source.partitions = ["acme"]
    program("sync")
    assert program("connections", "--json").json["connections"][0]["partitions"] == {"listed": 1}
    assert program("connections").out.splitlines()[1].endswith("0")

    source.partitions = [*TENANTS]
    program("sync")
    assert program("connections").out.splitlines()[1].endswith("  2")
    assert "note" not in program("check").out

    source.partitions = ["acme"]
    assert "not listed by the source any more, so not read: bolt" in program("sync").out
    answer = program("connections")
    assert answer.out.splitlines()[1].endswith("2, 1 unlisted")
    assert "syncd connections partitions people" in answer.err
    checked = program("check")
    assert checked.code == 0
    assert "note people: source: 1 partition not listed any more" in checked.out
    notes = [one["note"] for one in program("check", "--json").json["checks"]]
    assert [bool(note) for note in notes] == [False, False, False, True]


def test_a_partition_is_listed_with_its_state_its_last_run_and_its_users(
    program: Program, source: Source
) -> None:
    program("sync")
    source.partitions = ["acme"]
    program("sync")

    first, second = program("connections", "partitions", "people", "--json").json["partitions"]

    assert (first["key"], first["state"], first["last_run"], first["users"]) == (
        *("acme", "listed", 2, 4),
    )
    assert (second["key"], second["state"], second["last_run"], second["users"]) == (
        *("bolt", "unlisted", 1, 4),
    )
    assert program("connections", "partitions", "people").out.splitlines()[2].startswith("bolt")
    assert program("connections", "partitions", "nowhere").code == 4


def test_a_halved_list_ends_with_a_code_of_its_own(program: Program, source: Source) -> None:
    program("sync")
    source.partitions = []
    answer = program("sync", "--json")
    assert answer.code == 3
    assert answer.json["runs"][0]["code"] == "partitions_missing"


def retired(program: Program) -> tuple[Answer, str]:
    """What retiring bolt says, and the plan that it holds."""
    program("sync")
    answer = program("connections", "retire", "people", "bolt")
    plan = re.search(r"syncd approve (\d+)", answer.out)
    assert plan
    return answer, plan[1]


def test_retiring_shows_a_plan_and_waits_for_a_decision(program: Program, source: Source) -> None:
    answer, plan = retired(program)

    assert answer.code == 6
    assert answer.out.count("deactivate user") == 4
    assert "a person retired its source" in answer.out
    assert (
        f"plan {plan} of bolt waits for a decision"
        in program("connections", "partitions", "people").err
    )
    assert "is not read while a plan to retire it waits" in program("sync").out
    done = program("approve", plan)
    assert done.code == 0
    assert states(program) == {"acme": "listed", "bolt": "retired"}
    assert program("connections", "retire", "people", "bolt").code == 64
    assert "retired" in program("explain", "bolt1").out


def test_a_retired_partition_is_resumed_by_its_name(program: Program, source: Source) -> None:
    _, plan = retired(program)
    program("approve", plan)

    assert program("resume", "people", "bolt").code == 0
    assert program("sync").code == 0
    assert states(program) == {"acme": "listed", "bolt": "listed"}
    assert program("resume", "people", "bolt").code == 64


def test_a_retired_connection_is_left_out_and_says_so(program: Program, source: Source) -> None:
    program("sync")
    for hold in program("connections", "retire", "people", "--json").json["runs"][0]["holds"]:
        program("approve", str(hold))

    assert "people is left out: retired (retired by tess (run 2))" in program("sync").err
    assert "people is retired: retired by tess" in program("connections").err
    assert "to sync it all the same: syncd resume people" in program("sync", "people").err
    assert program("resume", "people").code == 0
    assert program("sync").code == 0


# -- clients, sites and users ----------------------------------------------------------------------


@pytest.fixture
def gone(program: Program) -> Program:
    """The only row of the client Umbra, and of its site, is gone; one user was added by hand."""
    program.hire("Max", client="Umbra", site="Rye")
    program("sync")
    program("users", "add", "--client", "Umbra", "name=Nina")
    del program.rows["max"]
    program.drop()
    program("sync")
    return program


def test_review_lists_what_no_source_has_any_more_and_what_to_type(gone: Program) -> None:
    told = gone("review").out
    assert "gone client  Umbra: 2 active users" in told
    assert "gone site  Rye (Umbra): 1 active user" in told
    assert "absent in people" in told
    client, site = gone("review", "--json").json["gone"]
    assert (client["kind"], client["label"], client["users"]) == ("client", "Umbra", 2)
    assert client["records"][0]["connection"] == "people"
    assert f"syncd clients deactivate {client['id']}" in told

    key = client["records"][0]["key"]
    kept = re.search(r"keep it: (syncd review keep .+)", told)
    assert kept
    assert kept[1].split()[-1].strip("'") == key
    assert gone("review", "keep", key.upper()).code == 0
    assert [one["label"] for one in gone("review", "--json").json["gone"]] == ["Rye (Umbra)"]
    assert gone("review", "keep", key).code == 64

    assert gone("sites", "deactivate", site["id"]).code == 0
    assert gone("review").err == "nothing waits for a person\n"


def test_a_client_is_made_inactive_with_all_that_follows(gone: Program) -> None:
    answer = gone("clients", "deactivate", "Umbra")

    assert answer.code == 0
    assert "active: yes -> no" in answer.out
    assert "2 active users of it cannot sign in as long as it is inactive" in answer.err
    assert "the client Umbra is inactive" in gone("explain", "Nina").out
    assert gone("users", "Nina", "--json").json["users"][0]["active"] is True
    assert "active set by hand" in gone("changes", "--client", "Umbra").out
    back = re.search(r"syncd (clients release \S+ active)", answer.err)
    assert back
    assert gone(*back[1].split()).code == 0


def test_a_user_is_made_inactive_whatever_the_source_says(program: Program) -> None:
    program("sync")
    assert program("users", "deactivate", "ada.byron@acme.example").code == 0
    program("sync")
    told = program("users", "--inactive", "--json").json["users"]
    assert [user["name"] for user in told] == ["Ada Byron"]
    assert program("users", "deactivate", "nobody").code == 64


# -- licenses --------------------------------------------------------------------------------------


class Opened(Desk):
    """The desk that a program works on, for what no command can do yet."""

    def __init__(self, program: Program) -> None:
        self.engine = Engine.open(settings.load(program.folder))


def test_released_licenses_are_told_by_their_names(program: Program) -> None:
    rule = '[gone]\nabsent = { action = "deactivate", after = [], release_licenses = true }\n'
    program.write("mappings/people.toml", f'[client]\nmatch = ["name"]\n{rule}')
    program("sync")
    desk = Opened(program)
    assign(desk, pool(desk, "Office"), "Ada Byron")
    assign(desk, pool(desk, "Visio"), "Ada Byron", count=2)
    desk.close()
    del program.rows["ada.byron"]
    program.drop()

    answer = program("sync")

    assert "    releases 3 licenses: Office plan, Visio plan (2)\n" in answer.out
    assert "    gives back 3 licenses: Office plan, Visio plan (2)\n" in program("undo", "2").out
    (change,) = program("changes", "--run", "2", "--json").json["changes"]
    told = {"before": [], "after": [["Office plan", 1], ["Visio plan", 2]]}
    assert change["fields"]["licenses"] == told


@pytest.mark.parametrize("action", ["review", "keep"])
def test_a_partition_that_may_not_be_read_any_more_waits_where_the_mapping_says_so(
    program: Program, source: Source, action: str
) -> None:
    program.write("mappings/people.toml", f'[gone]\naccess_lost = {{ action = "{action}" }}\n')
    assert program("sync").code == 0
    source.partitions = ["bolt"]
    source.page_size, source.faults = 2, [AccessLost("the relationship ended")]
    first = program("sync")
    source.faults = [AccessLost("the relationship ended")]
    assert (first.code, program("sync").code) == (5, 5)

    told = program("review")
    lost = program("review", "--json").json["lost"]
    if action == "keep":
        assert "access_lost" not in told.out
        assert lost == []
        return
    assert "access_lost  bolt of people: 4 active users" in told.out
    assert "(run 2); all of it stays as it is" in told.out
    assert "gone for good:       syncd connections retire people bolt" in told.out
    assert [(one["key"], one["run"], one["users"]) for one in lost] == [("bolt", 2, 4)]
    assert program("review", "--code", "access_lost").out == told.out
    assert "nothing waits" in program("review", "--code", "no_client").err

    source.partitions = [*TENANTS]
    assert program("sync").code == 0
    assert program("review", "--json").json["lost"] == []
