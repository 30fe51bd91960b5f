"""Nobody need be heard whose word was decided on: hearing everybody comes to the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.connectors import base
from syncd.connectors.base import RawItem
from syncd.entities import Kind
from syncd.errors import UsageError
from syncd.mapping import hearing
from syncd.store.entities import load_entities
from tests.stories.desk import Desk
from tests.stories.source import Source, crowd, raw, who

settings.load_profile("sameness")

NAMES = ("entra", "xero", "hr")
MAPPINGS = (
    '[site]\nfrom = ["city"]\n',
    '[site]\nfrom = ["city"]\ncreate = false\n',
    '[user.fields]\ndepartment = { from = "department", clear = true }\n',
    '[user.fields]\nphone = { from = "business_phone", when = "empty" }\n',
    '[user.fields]\njob_title = { from = "job_title", when = "create" }\n',
    '[gone]\ndisabled = { action = "keep" }\nabsent = { action = "deactivate", after = [] }\n',
    '[gone]\nabsent = { action = "deactivate", after = [] }\n',
)
ORDERS: tuple[dict[str, list[str]], ...] = (
    {},
    {"default": ["xero"]},
    {"default": ["entra", "xero", "hr"]},
)
FIELDS = {
    "job_title": ["Cook", "Chef", "Waiter"],
    "department": ["Food", "Hall"],
    "business_phone": ["0111111", "0222222"],
    "mobile": ["0333333"],
    "city": ["York", "Bath", "Rome"],
}
EDITS = ({"job_title": "Boss"}, {"phone": "0999999"}, {"department": ""})


def history(seed: int) -> list[tuple[Any, ...]]:
    """Events of three sources that say most of what they can; all of it comes of the seed."""
    random = Random(seed)

    def fields() -> dict[str, Any]:
        said: dict[str, Any] = {
            name: random.choice(values) for name, values in FIELDS.items() if random.random() < 0.6
        }
        if random.random() < 0.15:
            said["enabled"] = random.choice([True, False])
        if random.random() < 0.15:
            said["clears"] = [random.choice(["job_title", "department"])]
        if random.random() < 0.3:
            said["organization"] = None
        return said

    def event() -> tuple[Any, ...]:
        name, kind = random.choice(NAMES), random.random()
        if kind < 0.75:
            return "sync", name, {one: fields() for one in ("Ada", "Bob") if random.random() < 0.9}
        if kind < 0.85:
            return "set", random.choice(EDITS)
        if kind < 0.92:
            return ("release",)
        if kind < 0.95:
            return "prefer", random.choice(ORDERS)
        return "mapping", name, random.choice(MAPPINGS)

    begin = [("mapping", name, random.choice(MAPPINGS)) for name in NAMES]
    return [*begin, ("prefer", random.choice(ORDERS)), *(event() for _ in range(12))]


@pytest.fixture(scope="module")
def desk_at(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], tuple[Desk, dict[str, Source]]]:
    """New desks with three providers in memory."""
    folder, numbers = tmp_path_factory.mktemp("desks"), count()

    def make() -> tuple[Desk, dict[str, Source]]:
        number = next(numbers)
        file = folder / f"{number}.db"
        shutil.copy(sqlite_template, file)
        desk = Desk(folder / str(number), f"sqlite:///{file}", {})
        for one in NAMES:
            desk.connect(one, one, {})
        (desk.folder / "connections" / "people.toml").unlink()
        desk.reload()
        return desk, {one: Source() for one in NAMES}

    return make


def item(person: str, fields: dict[str, Any]) -> RawItem:
    """A record of a person, who may name no client."""
    told = json.loads(who(person, **fields).raw)
    return raw(told.pop("key"), **{key: value for key, value in told.items() if value is not None})


def play(desk: Desk, sources: dict[str, Source], events: list[tuple[Any, ...]]) -> list[Any]:
    """How the users stand after each event."""
    pictures = []
    for what, *rest in events:
        try:
            if what == "sync":
                people = [item(person, fields) for person, fields in rest[1].items()]
                sources[rest[0]].people = people + crowd(4)
                (outcome,) = desk.sync_each(rest[0])
                if outcome.holds:
                    desk.approve(outcome.holds[0])
            elif what == "prefer":
                desk.prefer(**rest[0])
            elif what == "mapping":
                desk.mapping(rest[1], rest[0])
            elif what == "set":
                desk.set("Ada", **rest[0])
            else:
                desk.release("Ada")
        except (UsageError, AssertionError):
            pass  # there is nobody to edit yet, or nothing to release
        pictures.append(picture(desk))
    return pictures


def picture(desk: Desk) -> list[Any]:
    users = {user.id: user for user in desk.users()}
    with desk.database.read() as conn:
        stored = load_entities(desk.database, conn, Kind.USER, list(users))
    return [
        (
            *(users[one].name, users[one].site, entity.active),
            {field: (value, entity.owner(field)) for field, value in entity.values.items()},
        )
        for one, entity in sorted(stored.items(), key=lambda pair: users[pair[0]].name)
    ]


@given(st.integers(0, 2**32))
def test_hearing_only_who_must_be_heard_comes_to_the_same_as_hearing_everybody(
    desk_at: Callable[[], tuple[Desk, dict[str, Source]]], seed: int
) -> None:
    stands = []
    for careful in (False, True):
        desk, sources = desk_at()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base, "find", lambda one, made=sources: made[one].connector())
            if careful:
                patch.setattr(hearing, "_is_ordinary", lambda *_: False)
            stands.append(play(desk, sources, history(seed)))
        desk.close()
        shutil.rmtree(desk.folder)
    assert stands[0] == stands[1]
