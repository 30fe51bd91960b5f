"""A mapping compiled once and applied to every record: what it says about a client, site or user.

Plain names become look-ups in the record's own attributes; templates are parsed here, and JMESPath
runs only where an expression is written. Nothing of a mapping is ever executed as Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from syncd import keys
from syncd.entities import CUSTOM, FIELDS, Field, Kind
from syncd.mapping import normalize, sources
from syncd.mapping.casts import Notice, RecordRejected, as_bool, as_date, as_text, custom_field, fit
from syncd.mapping.expressions import Attributes, Condition, Place, RuleRefused, plain_data
from syncd.mapping.fixed import RECORD_OF, FixedRules
from syncd.mapping.mapped import Mapped, Value
from syncd.mapping.names import ACTIVE, RECORDS, REQUIRED, is_template
from syncd.mapping.rules import FieldRule, Mapping
from syncd.mapping.sources import Picker
from syncd.records import Record
from syncd.text import clean

__all__ = [
    "KindRules",
    "Mapped",
    "Notice",
    "RecordRejected",
    "RuleRefused",
    "Rules",
    "Value",
    "compile_mapping",
]

SCOPE = ("user", "scope")


class Rules:
    """A compiled mapping. `client`, `site` and `user` hold what the planner asks of each kind."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping: Final = mapping
        self.version: Final = mapping.version
        client, site, user = mapping.client, mapping.site, mapping.user
        self.client: Final = KindRules(Kind.CLIENT, client.match, client.fields, client.custom)
        self.site: Final = KindRules(Kind.SITE, site.match, site.fields, site.custom)
        self.user: Final = KindRules(
            Kind.USER,
            user.match,
            user.fields,
            user.custom,
            scope=user.scope,
            site_from=site.sources,
        )

        own = {Kind.CLIENT: self.client, Kind.SITE: self.site, Kind.USER: self.user}
        self._by_kind: dict[Kind, KindRules | FixedRules] = {**own, **_FIXED}
        records = {**RECORDS, **RECORD_OF}
        self._by_record = {records[kind]: rules for kind, rules in self._by_kind.items()}

    def of(self, kind: Kind) -> KindRules | FixedRules:
        """The rules of one kind of entity."""
        return self._by_kind[kind]

    def said(self, record: Record) -> Mapped:
        """What a record says about its entity; raises RecordRejected."""
        return self._by_record[type(record)].apply(record)


_FIXED = {kind: FixedRules(kind) for kind in RECORD_OF}


def compile_mapping(mapping: Mapping) -> Rules:
    """`mapping` made ready for use; raises RuleRefused for a wrong expression or template."""
    return Rules(mapping)


class KindRules:
    """The compiled rules of one kind of entity.

    `match`: the correlation rules in order, each a tuple of key fields, `("identity",)` apart.
    `when_create`, `when_empty`: targets that count only in a creation, or only while blank;
    `passing` are both.
    """

    def __init__(
        self,
        kind: Kind,
        match: tuple[tuple[str, ...], ...],
        fields: dict[str, FieldRule],
        custom: bool,
        *,
        scope: str | None = None,
        site_from: tuple[str, ...] = (),
    ) -> None:
        self.kind: Final = kind
        self.match: Final = match
        self.when_create: Final = _when(fields, "create")
        self.when_empty: Final = _when(fields, "empty")
        self.passing: Final = self.when_create | self.when_empty
        self._custom = custom
        self._targets = {name: _Target.compiled(kind, name, rule) for name, rule in fields.items()}
        self._direct = tuple(
            (t.name, t.direct, t.plain_width, t.accepts, t.is_single, t)
            for t in self._targets.values()
            if t.direct
        )
        self._indirect = tuple(t for t in self._targets.values() if not t.direct)
        self._clearable = tuple(t for t in self._targets.values() if t.clearable)
        self._clears_blanks = any(target.clear for target in self._clearable)
        self._scope = Condition(kind, scope, SCOPE) if scope else None
        self._site = sources.source_picker(kind, site_from, ("site", "from")) if site_from else None
        self._needs_plain = any(rule.expr is not None for rule in fields.values())

    def apply(self, record: Record) -> Mapped:
        """What `record` says; raises RecordRejected, unless the record is out of scope anyway."""
        in_scope = self._scope is None or self._scope.holds(record)
        try:
            plain = plain_data(record) if self._needs_plain else None
            mapped = self._mapped(record.__dict__, plain)
        except RecordRejected:
            if in_scope:
                raise
            return Mapped({}, in_scope=False)
        mapped.in_scope = in_scope
        return mapped

    def _mapped(self, record: Attributes, plain: Any) -> Mapped:
        values: dict[str, Value] = {}
        notices: list[Notice] = []
        # Nearly every value is one plain text of the record. Those are settled right here: a call
        # for each would cost more than everything else together. The rest takes the long way.
        for name, source, width, accepts, is_single, target in self._direct:
            raw = record[source]
            if raw is None:
                if is_single:
                    continue
            elif raw.__class__ is str and len(raw) <= width and raw.isascii() and raw.isprintable():
                text = raw.strip()
                if text and (accepts is None or accepts(text)):
                    values[name] = text
                    continue
            value = target.settle(target.pick(record, plain), notices)
            if value is not None:
                values[name] = value
        for target in self._indirect:
            value = target.settle(target.pick(record, plain), notices)
            if value is not None:
                values[target.name] = value
        if REQUIRED not in values:
            values[REQUIRED] = self._name_of_last_resort(record, notices)
        cleared = self._cleared(record, values, notices)
        if record["custom"] and self._custom:
            self._pass_custom(record["custom"], values, notices)
        site_name = self._site_name(record, plain, notices) if self._site else None
        return Mapped(values, cleared, tuple(notices), site_name=site_name)

    def _name_of_last_resort(self, record: Attributes, notices: list[Notice]) -> Value:
        if self.kind is Kind.USER:
            value = self._targets[REQUIRED].settle(_ANY_NAME(record, None), notices)
            if value is not None:
                return value
        raise RecordRejected("required", REQUIRED, f"no name: a {self.kind} cannot be kept without")

    def _site_name(self, record: Attributes, plain: Any, notices: list[Notice]) -> str | None:
        assert self._site is not None
        text = as_text(self._site(record, plain), "site")
        return fit(FIELDS[Kind.SITE]["name"], text, notices) if text else None

    def _cleared(
        self, record: Attributes, values: dict[str, Value], notices: list[Notice]
    ) -> tuple[str, ...]:
        """The targets that the source, or `clear = true`, makes blank.

        A value that was there but could not be used is not blank: it erases nothing.
        """
        says_so = record["clears"] or None in record["custom"].values()
        if not says_so and not self._clears_blanks:
            return ()
        emptied = frozenset(_emptied(record))
        unusable = {notice.field for notice in notices}
        cleared = [
            target.name
            for target in self._clearable
            if target.name not in values
            and target.name not in unusable
            and (target.clear or not target.reads.isdisjoint(emptied))
        ]
        if self._custom:
            cleared += sorted(n for n in emptied if n not in self._targets and custom_field(n))
        return tuple(cleared)

    def _pass_custom(
        self, custom: dict[str, str | None], values: dict[str, Value], notices: list[Notice]
    ) -> None:
        """Take over the record's custom fields that no rule of the mapping names."""
        for name, raw in custom.items():
            target = CUSTOM + name
            if target in self._targets or not (text := as_text(raw, target)):
                continue
            if field := custom_field(target):
                values[target] = fit(field, text, notices)
            else:
                notices.append(
                    Notice("bad_custom_name", "custom", "a name unfit to keep; left out")
                )


_ANY_NAME = sources.name_of_last_resort()


def _when(fields: dict[str, FieldRule], when: str) -> frozenset[str]:
    return frozenset(target for target, rule in fields.items() if rule.when == when)


def _emptied(record: Attributes) -> Iterator[str]:
    """The sources that the record says are empty on purpose and that hold nothing."""
    custom = record["custom"]
    for name in record["clears"]:
        if not name.startswith(CUSTOM) or not custom.get(name.removeprefix(CUSTOM)):
            yield name
    yield from (CUSTOM + name for name, value in custom.items() if value is None)


# -- one target ------------------------------------------------------------------------------------

_ADDRESSES = {
    (Kind.USER, "email"),
    (Kind.USER, "email2"),
    (Kind.USER, "email3"),
    (Kind.USER, "manager_email"),
    (Kind.CLIENT, "accounts_email"),
    (Kind.CLIENT, "main_contact_email"),
}


class _Target:
    """One field of the entity: where its value comes from, and what it has to be.

    `direct`: the attribute that is looked at first, where the rule is that simple. `plain_width`:
    how long a text in it may be to need no further look. `accepts`: what else it must pass.
    """

    def __init__(self, field: Field, rule: FieldRule, pick: Picker, *, is_address: bool) -> None:
        self.field = field
        self.name = field.name
        self.pick = pick
        self.transforms = tuple(map(normalize.transform, rule.transforms))
        self.is_address = is_address
        self.accepts = keys.is_ordinary_address if is_address else None
        self.plain_width = field.width if field.type == "text" else -1
        self.direct = self._direct_source(rule)
        self.is_single = len(rule.sources) == 1 and rule.value is None
        self.reads = frozenset(n for source in rule.sources for n in sources.names_in(source))
        """The sources whose emptying may clear this target."""
        self.clear = rule.clear
        self.clearable = (
            rule.when == "always" and rule.value is None and self.name not in (REQUIRED, ACTIVE)
        )

    @classmethod
    def compiled(cls, kind: Kind, name: str, rule: FieldRule) -> _Target:
        where = (kind.value, "fields", name)
        is_address = (kind, name) in _ADDRESSES
        pick = sources.value_picker(kind, rule, where, is_address=is_address)
        target = cls(FIELDS[kind].get(name) or Field(name), rule, pick, is_address=is_address)
        if rule.value is not None:
            target._check_constant(rule.value, where)
        return target

    def _direct_source(self, rule: FieldRule) -> str | None:
        if self.transforms or rule.expr is not None or not rule.sources:
            return None
        first = rule.sources[0]
        if (
            is_template(first)
            or "." in first
            or (self.is_address and first == sources.SIGN_IN_NAME)
        ):
            return None
        return first

    def _check_constant(self, value: object, where: Place) -> None:
        notices: list[Notice] = []
        try:
            self.settle(value, notices)
        except RecordRejected as problem:
            raise RuleRefused(where, f"the value does not fit: {problem.message}") from None
        if notices:
            raise RuleRefused(where, f"the value does not fit: {notices[0].message}")

    def settle(self, raw: object, notices: list[Notice]) -> Value | None:
        """`raw` as this field's type, transformed and no wider than it may be; None if blank."""
        if raw is None:
            return None
        if self.field.type == "bool":
            return as_bool(raw, self.name)
        if self.field.type == "date":
            return as_date(raw, self.name, notices)
        text = as_text(raw, self.name)
        return self._fitted(text, notices) if text else None

    def _fitted(self, text: str, notices: list[Notice]) -> str | None:
        for transform in self.transforms:
            try:
                text = clean(transform(text))
            except normalize.Doubtful as doubt:
                notices.append(Notice(doubt.code, self.name, str(doubt)))
        if not text:
            notices.append(Notice("dropped", self.name, "nothing usable in it; left out"))
            return None
        text = fit(self.field, text, notices)
        if self.is_address and not keys.plausible_address(text):
            notices.append(Notice("doubtful_email", self.name, "not one e-mail address"))
        return text
