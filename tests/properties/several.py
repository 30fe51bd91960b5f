"""Three sources of the same few people, how each is mapped, and a model of what must come of it.

The model knows no link, no plan and no database: it keeps what each source said when it was last
heard, what people set by hand, and whose value stands. It is what the design says, in few lines.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from syncd.connectors import base
from syncd.connectors.base import Connector, Deletes, Page, Partition, RawItem
from syncd.errors import ProviderUnavailable
from syncd.records import Identity, Location, Organization, Person, Record

SOURCES = ("one", "two", "three")
PEOPLE = ("ada", "bob", "cy")
CLIENTS = {"a": "Acme", "b": "Bolt"}
SITES = ("Hull", "Leeds")
FIELDS = {
    "title": "job_title",
    "dept": "department",
    "phone": "business_phone",
    "cell": "mobile",
}
"""What a person's record may say, and the record's name for it."""
AT_ONCE = 2
"""How many records are planned together."""
TARGETS = {"title": "job_title", "dept": "department", "phone": "phone", "cell": "mobile"}

Said = dict[str, Any]
"""A person's record: `org`, and perhaps fields, `site`, `active` (yes or no) and `guest`. `listed`:
its site is one of the source's locations, and not a name alone.
"""


class Variant(NamedTuple):
    """How one source is mapped: when its fields count, and the rule for each way to leave."""

    cell: str = "always"  # or create
    phone: str = "always"  # or empty
    dept: bool = False  # whether a blank erases
    absent: str = "deactivate"  # or keep, or wait (for two reads)
    disabled: str = "deactivate"
    outside: str = "keep"
    own_title: bool = True
    """Whether it says anything of titles."""

    def toml(self) -> str:
        rules = {"absent": self.absent, "disabled": self.disabled, "out_of_scope": self.outside}
        gone = "\n".join(f"{name} = {_RULES[rule]}" for name, rule in rules.items())
        clear = str(self.dept).lower()
        title = '"job_title"' if self.own_title else "false"
        return f"""
[client]
match = ["name"]
[site]
from = ["office_location"]
[user]
match = ["identity"]
scope = "user_type != 'Guest'"
[user.fields]
job_title = {title}
department = {{ from = "department", clear = {clear} }}
phone = {{ from = "business_phone", when = "{self.phone}" }}
mobile = {{ from = "mobile", when = "{self.cell}" }}
[gone]
{gone}
[limits]
deactivate = {_WIDE}
deactivate_run = {_WIDE}
create = {_WIDE}
site_move = {_WIDE}
key_change = {_WIDE}
errors = {{ count = 1000, share = 1.0 }}
"""


_WIDE = "{ count = 1000, share = 1.0 }"
_RULES = {
    "keep": '{ action = "keep", after = [] }',
    "deactivate": '{ action = "deactivate", after = [] }',
    "wait": '{ action = "deactivate", after = "2 reads" }',
}


# -- the sources -----------------------------------------------------------------------------------


def _organization(raw: bytes) -> Sequence[Record]:
    said = json.loads(raw)
    return [Organization(key=said["key"], name=said["name"])]


def _location(raw: bytes) -> Sequence[Record]:
    return [Location(**json.loads(raw))]


def _person(raw: bytes) -> Sequence[Record]:
    said = json.loads(raw)
    site, listed = said.get("site"), said.get("listed")
    return [
        Person(
            key=said["key"],
            display_name=said["key"].title(),
            organization=said["org"],
            office_location=None if listed else site,
            location=f"{said['org']}/{site}" if listed and site else None,
            active=said.get("active"),
            user_type="Guest" if said.get("guest") else None,
            identities=(Identity("idp", said["key"]),),
            **{name: said.get(short) for short, name in FIELDS.items()},
        )
    ]


class Provider(Connector[base.Config]):
    """Serves `people`; `down` breaks the read in its middle."""

    people: ClassVar[dict[str, Said]] = {}
    down: ClassVar[bool] = False

    @base.stream(Organization, parse=_organization, deletes=Deletes.UNKNOWN)
    def organizations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        named = [json.dumps({"key": key, "name": name}) for key, name in CLIENTS.items()]
        yield Page([RawItem(json.loads(one)["key"], one.encode()) for one in named])

    @base.stream(Location, parse=_location, deletes=Deletes.UNKNOWN)
    def locations(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        named = [
            {"key": f"{org}/{site}", "organization": org, "name": site}
            for org in CLIENTS
            for site in SITES
        ]
        yield Page([RawItem(one["key"], json.dumps(one).encode()) for one in named])

    @base.stream(Person, parse=_person, deletes=Deletes.ABSENCE)
    def persons(self, partition: Partition, cursor: str | None) -> Iterator[Page]:
        items = [
            RawItem(key, json.dumps({"key": key, **said}, sort_keys=True).encode())
            for key, said in self.people.items()
        ]
        yield Page(items[:2])
        if self.down:
            raise ProviderUnavailable("it does not answer")
        yield Page(items[2:])


# -- the model -------------------------------------------------------------------------------------


@dataclass
class User:
    """What the desk is to show of one person."""

    client: str
    site: str
    active: bool = True
    values: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    set_by_hand: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tie:
    """What one source last said of one person. `way`: there, leaving, missed or gone."""

    said: Said
    way: str = "there"
    reason: str = ""
    misses: int = 0
    settled: object = None
    """What it was planned under; None: to be looked at again."""


class Model:
    """The desk as the design wants it to be."""

    def __init__(self, precedence: dict[str, list[str]], variants: dict[str, Variant]) -> None:
        self.precedence = precedence
        self.variants = variants
        self.users: dict[str, User] = {}
        self.ties: dict[tuple[str, str], Tie] = {}
        self.known: list[str] = []
        """Sources in the order of their first sync."""
        self.into: dict[str, str] = {}
        """People who were merged, and into whom."""

    def copy(self) -> Model:
        """This moment, to come back to."""
        return copy.deepcopy(self)

    # -- what happens ------------------------------------------------------------------------------

    def meet(self, source: str) -> None:
        """A source is used, whether it answers or not."""
        if source not in self.known:
            self.known.append(source)

    def hear(self, source: str, people: dict[str, Said], confirmed: bool) -> set[str]:
        """A complete read; the people of whom the source's records were planned. `confirmed`: it
        was held and approved, so that who waited for a second read leaves now.
        """
        planned = set()
        for person in sorted(people, key=lambda one: self._turn(source, one, people[one])):
            tie = self.ties.get((source, person))
            if self._says(source, person, people[person], tie, confirmed):
                planned.add(person)
        absent = [
            (person, tie)
            for person in PEOPLE
            if person not in people and (tie := self.ties.get((source, person)))
        ]
        going = [one for one in absent if one[1].way != "gone"]
        for start in range(0, len(going), AT_ONCE):
            self._miss(source, going[start : start + AT_ONCE], confirmed)
        return planned | {person for person, _ in going}

    def _turn(self, source: str, person: str, said: Said) -> tuple[int, str]:
        """Who changed is planned before who is new, and before who only waits for a clock."""
        tie = self.ties.get((source, person))
        if tie is None:
            return 1, ""
        waits = tie.way == "leaving" and tie.settled == self._under(source, said)
        return (2, person) if waits else (0, "")

    def _miss(self, source: str, going: list[tuple[str, Tie]], confirmed: bool) -> None:
        """Records that go together do not speak for a moment."""
        for person, tie in going:
            together = [one for one, _ in going if self.whose(one) == self.whose(person)]
            if len(together) > 1 and self._goes(source, person, tie):
                tie.way, tie.reason, tie.settled = "gone", "absent", None
        for person, tie in going:
            self._misses(source, person, tie, confirmed)

    def whose(self, person: str) -> str:
        """Under which name the user is known whom a record is about."""
        return self.into.get(person, person)

    def merge(self, kept: str, gone: str) -> None:
        """Two are one: what only the other has fills blanks; then what all sources say stands."""
        user, other = self.users[kept], self.users.pop(gone)
        self.into[gone] = kept
        active = user.active or other.active
        if active and user.set_by_hand.get("active") is False:
            del user.set_by_hand["active"]
        for name, value in other.set_by_hand.items():
            loses = name == "active" and active and value is False
            if name in user.set_by_hand or loses:
                continue
            user.set_by_hand[name] = value
            if name != "active" and user.values.get(name) != value:
                user.values[name], user.owners[name] = value, "local"
        for name, value in other.values.items():
            if name not in user.values:
                user.values[name], user.owners[name] = value, other.owners[name]
        user.active = active
        self._settle(kept, [*FIELDS], creating=None)
        self._place(kept)
        self._decide(kept, back=None)
        self._unsettle(kept)

    def forget(self, source: str, planned: set[str]) -> None:
        """What was undone is planned again by the next sync."""
        for person in planned:
            if tie := self.ties.get((source, person)):
                tie.settled = None

    def set(self, person: str, name: str, value: Any) -> None:
        person = self.whose(person)
        user = self.users[person]
        user.set_by_hand[name] = value
        if name == "active":
            user.active = value
        else:
            user.values[name], user.owners[name] = value, "local"
        self._unsettle(person)

    def release(self, person: str, name: str) -> None:
        person = self.whose(person)
        user = self.users[person]
        del user.set_by_hand[name]
        if name == "active":
            self._decide(person, back=None)
        else:
            self._settle(person, [name], creating=None)
        self._unsettle(person)

    def _unsettle(self, person: str) -> None:
        for (_, other), tie in self.ties.items():
            if self.whose(other) == person:
                tie.settled = None

    # -- one record --------------------------------------------------------------------------------

    def _under(self, source: str, said: Said) -> object:
        """What decides what a record means."""
        return (said, self.variants[source], json.dumps(self.precedence))

    def _says(self, source: str, person: str, said: Said, tie: Tie | None, confirmed: bool) -> bool:
        under = self._under(source, said)
        if tie and tie.settled == under and tie.way != "leaving":
            return False
        if tie is None:
            if said.get("guest"):
                return False
            self.ties[source, person] = tie = Tie(said, "new")
        person = self.whose(person)
        was, tie.said, tie.settled = copy.copy(tie), said, under
        tie.way, tie.reason, tie.misses = "there", "", 0
        creates = person not in self.users
        if creates:
            self.users[person] = User(CLIENTS[said["org"]], "Main", said.get("active") is not False)
        user = self.users[person]
        reason = self._leaving(source, tie)
        if reason and self._rule(source, reason) == "wait" and user.active and not creates:
            misses = was.misses + 1 if (was.way, was.reason) == ("leaving", reason) else 1
            confirmed = confirmed and not self._moves(person)  # a move is all that was approved
            if misses < 2 and not (confirmed and self._would_leave(person)):
                tie.way, tie.reason, tie.misses = "leaving", reason, misses
        self._settle(person, [*FIELDS], creating=source if creates else None)
        self._place(person)
        if reason:
            tie.reason = reason
        if not creates:
            back = was.way in ("gone", "missed") or was.reason == "outside"
            self._decide(person, back=source if back and not said.get("guest") else None)
        return True

    def _goes(self, source: str, person: str, tie: Tie) -> bool:
        """Whether a record that is absent has no clock that still runs."""
        misses = tie.misses + 1 if tie.way == "missed" else 1
        waits = self._rule(source, "absent") == "wait" and self.users[self.whose(person)].active
        return not waits or misses >= 2

    def _misses(self, source: str, person: str, tie: Tie, confirmed: bool) -> None:
        goes = tie.way == "gone" or self._goes(source, person, tie)
        person = self.whose(person)
        user = self.users[person]
        misses = tie.misses + 1 if tie.way == "missed" else 1
        tie.settled = None
        if not goes:
            tie.way, tie.reason, tie.misses = "gone", "absent", misses
            if confirmed and self._would_leave(person):
                user.active = False
            else:
                tie.way = "missed"
            return
        tie.way, tie.reason, tie.misses = "gone", "absent", misses
        self._settle(person, [*FIELDS], creating=None)
        self._place(person)
        if user.active:
            self._decide(person, back=None)

    # -- whose value stands ------------------------------------------------------------------------

    def _rank(self, source: str, name: str) -> tuple[int, int]:
        order = self.precedence.get(f"user.{TARGETS.get(name, name)}") or self.precedence.get(
            "default", []
        )
        if source in order:
            return (0, order.index(source))
        return (1, self.known.index(source) if source in self.known else 99)

    def _speaking(self, person: str, name: str) -> list[tuple[str, Said, Variant]]:
        """Who says something of a person, the first one first."""
        found = [
            (self._rank(source, name), other, (source, tie.said, self.variants[source]))
            for (source, other), tie in self.ties.items()
            if self.whose(other) == person and tie.way != "gone" and not tie.said.get("guest")
        ]
        return [one for _, _, one in sorted(found, key=lambda one: one[:2])]

    def _settle(self, person: str, names: list[str], creating: str | None) -> None:
        for name in names:
            if name not in self.users[person].set_by_hand:
                self._settle_one(self.users[person], person, name, creating)

    def _settle_one(self, user: User, person: str, name: str, creating: str | None) -> None:
        def stands(source: str, variant: Variant) -> bool:
            return source == creating or self._when(variant, name) == "always"

        speaking = self._speaking(person, name)
        for source, said, variant in speaking:
            if self._value(said, variant, name) and stands(source, variant):
                user.values[name], user.owners[name] = said[name], source
                return
        owner = user.owners.get(name)
        for source, said, variant in speaking:
            wants_blank = name == "dept" and variant.dept and not said.get(name)
            if wants_blank and owner and self._rank(source, name) <= self._rank(owner, name):
                del user.values[name], user.owners[name]
                return
            if wants_blank:
                break
        if name in user.values:
            return
        for source, said, variant in speaking:
            if self._value(said, variant, name) and self._when(variant, name) == "empty":
                user.values[name], user.owners[name] = said[name], source
                return

    @staticmethod
    def _when(variant: Variant, name: str) -> str:
        return {"cell": variant.cell, "phone": variant.phone}.get(name, "always")

    @staticmethod
    def _value(said: Said, variant: Variant, name: str) -> Any:
        return None if name == "title" and not variant.own_title else said.get(name)

    def _client(self, person: str) -> str:
        placing = self._speaking(person, "client")
        return CLIENTS[placing[0][1]["org"]] if placing else self.users[person].client

    def _moves(self, person: str) -> bool:
        return self._client(person) != self.users[person].client

    def _place(self, person: str) -> None:
        user = self.users[person]
        if self._moves(person):
            user.client, user.site = self._client(person), "Main"
        for _, said, _ in self._speaking(person, "site"):
            there = not said.get("listed") or CLIENTS[said["org"]] == user.client
            if said.get("site") and there:
                user.site = said["site"]
                return

    # -- who is active -----------------------------------------------------------------------------

    def _leaving(self, source: str, tie: Tie) -> str:
        if tie.said.get("guest"):
            return "outside"
        return "disabled" if tie.said.get("active") is False else ""

    def _rule(self, source: str, reason: str) -> str:
        rule: str = getattr(self.variants[source], reason)
        return rule

    def _verdicts(self, person: str) -> list[tuple[str, str]]:
        """Of each record its source and yes, there, leaves, or nothing."""
        found = []
        for (source, other), tie in self.ties.items():
            if self.whose(other) == person:
                found.append((source, self._verdict(source, tie)))
        return found

    def _verdict(self, source: str, tie: Tie) -> str:
        if tie.way == "gone":
            return "nothing" if self._rule(source, tie.reason) == "keep" else "leaves"
        if tie.way != "there":
            return "there"
        if reason := self._leaving(source, tie):
            return "there" if self._rule(source, reason) == "keep" else "leaves"
        return "yes" if tie.said.get("active") else "there"

    def _would_leave(self, person: str) -> bool:
        before = self.users[person].active
        self._decide(person, back=None)
        after, self.users[person].active = self.users[person].active, before
        return before and not after

    def _decide(self, person: str, back: str | None) -> None:
        user = self.users[person]
        if "active" in user.set_by_hand:
            return
        verdicts = self._verdicts(person)
        for authority in self.precedence.get("user.active", []):
            if own := [one for one in verdicts if one[0] == authority]:
                verdicts = own
                break
        stands = {stand for _, stand in verdicts}
        if user.active:
            user.active = not ("leaves" in stands and not stands & {"yes", "there"})
        else:
            user.active = "yes" in stands or (back is not None and (back, "there") in verdicts)
