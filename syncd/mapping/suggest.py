"""Whom a record may be: ranked guesses for a person. Nothing is ever linked because of them.

Domains come first, then keys, then names as rapidfuzz compares them: "Contoso Leasing Ltd" and
"Contoso Ltd" are much alike and two companies, so a likeness of names is never proof.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID

from rapidfuzz import fuzz, process

from syncd.text import fold

MOST = 5
ALIKE = 80
"""Percent from which on two names are alike enough to be mentioned."""
_OF_PARTS = 0.9
"""What it is worth that all words of one name stand in the other."""
_CANDIDATES = 50
_WEAK = frozenset({"phone", "mobile", "email_domain", "name"})
"""Keys that several may have: they suggest, and prove nothing."""

_LEGAL = frozenset(
    {
        *("ab", "ag", "aps", "as", "bhd", "bv", "bvba", "co", "company", "corp"),
        *("corporation", "doo", "eood", "eurl", "gbr", "gmbh", "inc", "incorporated", "kft", "kg"),
        *("kgaa", "kk", "limited", "llc", "llp", "lp", "ltd", "ltda", "mbh", "nv"),
        *("ohg", "oy", "oyj", "plc", "pte", "pty", "sa", "sarl", "sas", "sasu"),
        *("sc", "se", "sl", "slu", "snc", "sp", "spa", "spzoo", "srl", "srls"),
        *("sro", "ug", "zoo"),
    }
)
_PUBLIC_MAIL = frozenset(
    {
        *("aol.com", "gmail.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com"),
        *("icloud.com", "live.com", "mail.com", "mail.ru", "me.com", "msn.com", "outlook.com"),
        *("proton.me", "protonmail.com", "qq.com", "web.de", "yahoo.com", "yandex.ru"),
    }
)
"""Where anybody has an address: sharing one of these domains says nothing."""

_TIGHT = dict.fromkeys([*map(ord, ".'"), 0x2019])

_DOMAINS = {
    "domain": "domain",
    "website": "website",
    "mail": "mail address",
    "people": "people's mail",
    "site": "site's e-mail domain",
}
_KEYS = {
    "ref": "reference",
    "tenant_id": "tenant",
    "accounts_id": "accounts id",
    "email": "e-mail",
    "employee_id": "employee id",
    "third_party_id": "third party id",
    "email_domain": "e-mail domain",
}


class Known(Protocol):
    """An entity, with what tells it from others. Keys are normalized; domains by whose they are."""

    @property
    def id(self) -> UUID: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def keys(self) -> Mapping[str, str]: ...
    @property
    def domains(self) -> Mapping[str, str]: ...


@dataclass(slots=True)
class Sought:
    """What a record says of itself, as `Known` says it of an entity."""

    names: Sequence[str]
    keys: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, str] = field(default_factory=dict)


class Suggestion(NamedTuple):
    """Whom a record may be. `score`: percent; `proof`: they share a key that is one entity's."""

    entity: UUID
    score: int
    why: str
    proof: bool


@dataclass(slots=True)
class _Case:
    """What speaks for one entity."""

    tier: int = 9
    score: float = 0
    proof: bool = False
    why: list[str] = field(default_factory=list)

    def add(self, tier: int, score: float, why: str, *, proof: bool = False) -> None:
        self.tier, self.score = min(self.tier, tier), max(self.score, score)
        self.proof = self.proof or proof
        if why not in self.why:
            self.why.append(why)


class Index:
    """Entities by what tells them from others: made once for many records."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._domains: dict[str, list[tuple[UUID, str]]] = defaultdict(list)
        self._keys: dict[tuple[str, str], list[UUID]] = defaultdict(list)
        self._names: list[str] = []
        self._named: list[UUID] = []
        for one in known:
            for domain, whose in one.domains.items():
                if domain and domain not in _PUBLIC_MAIL:
                    self._domains[domain].append((one.id, whose))
            for pair in one.keys.items():
                self._keys[pair].append(one.id)
            for name in dict.fromkeys(map(core_of, one.names)):
                self._names.append(name)
                self._named.append(one.id)

    def rank(self, sought: Sought, found: Sequence[Suggestion] = ()) -> list[Suggestion]:
        """At most five, the likeliest first: domains, then keys, then names. `found`: those that
        planning found by its rules.
        """
        cases: dict[UUID, _Case] = defaultdict(_Case)
        for one in found:
            cases[one.entity].add(1, one.score, one.why, proof=one.proof)
        for domain, whose in sought.domains.items():
            for entity, theirs in self._domains.get(domain, ()):
                cases[entity].add(0, 100, _same_domain(whose, theirs))
        for name, key in sought.keys.items():
            holders = self._keys.get((name, key), ())
            for entity in holders:
                alone = len(holders) == 1 and name not in _WEAK
                tier, why = (0, "same domain") if name == "domain" else (1, f"same {told(name)}")
                cases[entity].add(tier, 100, why, proof=alone)
        for entity, score in self._alike(sought.names).items():
            cases[entity].add(2, score, f"name {score:.0f} %")
        ranked = sorted(cases.items(), key=lambda pair: _order(*pair))[:MOST]
        return [
            Suggestion(entity, round(case.score), ", ".join(case.why), case.proof)
            for entity, case in ranked
        ]

    def _alike(self, names: Sequence[str]) -> dict[UUID, float]:
        found: dict[UUID, float] = {}
        for name in filter(None, dict.fromkeys(map(core_of, names))):
            for at, score in _likeness(name, self._names).items():
                if score >= ALIKE:
                    entity = self._named[at]
                    found[entity] = max(score, found.get(entity, 0))
        return found


def _likeness(name: str, others: Sequence[str]) -> dict[int, float]:
    """Percent by place: letter by letter whatever the order of words; less where one name is only a
    part of the other.
    """
    found: dict[int, float] = {}
    for scorer, worth in ((fuzz.token_sort_ratio, 1.0), (fuzz.token_set_ratio, _OF_PARTS)):
        hits = process.extract(
            name, others, scorer=scorer, score_cutoff=ALIKE / worth, limit=_CANDIDATES
        )
        for _, score, at in hits:
            found[at] = max(score * worth, found.get(at, 0))
    return found


def core_of(name: str) -> str:
    """A name as it is compared: folded, without punctuation, legal forms at its end, and `the`."""
    words = "".join(letter if letter.isalnum() else " " for letter in fold(_tight(name))).split()
    core = words[1:] if words[:1] == ["the"] else list(words)
    while len(core) > 1 and core[-1] in _LEGAL:
        core.pop()
    return " ".join(core or words)


def _tight(name: str) -> str:
    """`S.A.` and `Smith's` hold no word boundaries."""
    return name.replace("&", " and ").translate(_TIGHT)


def _order(entity: UUID, case: _Case) -> tuple[int, float, int]:
    return case.tier, -case.score, entity.int


def _same_domain(whose: str, theirs: str) -> str:
    if whose == theirs:
        return "same domain" if whose == "domain" else f"same {_DOMAINS[whose]}"
    return f"its {_DOMAINS[whose]} is their {_DOMAINS[theirs]}"


def told(name: str) -> str:
    """A key as a person calls it."""
    return _KEYS.get(name, name)
