"""The content of a mapping file: which records are meant, how they match, which field becomes what.

A mapping is data: plain names, lists, templates and JMESPath, nothing that can run code. Every
section has working defaults; what a file says is laid over them, entry by entry.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from syncd.entities import FIELDS, MAIN_SITE, Kind
from syncd.mapping import names, normalize, overlay

RULES_VERSION = 1
"""Raise it when the same file begins to mean something else: every stored item is mapped again."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _below(info: ValidationInfo, section: str) -> dict[str, Any] | None:
    """A section of the mapping that is extended, as a file would say all of it."""
    return info.context[section] if info.context else None


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One text or a list of them."""


# -- fields ----------------------------------------------------------------------------------------


class FieldRule(_Strict):
    """Where the value of one target comes from: the first non-blank source, else `value`.

    A source is a record's field, `extra.NAME`, `custom.NAME`, or a template with braces; `expr` is
    a JMESPath expression over the whole record instead. `when` says in which changes it counts, and
    `clear` that a blank erases.
    """

    sources: Texts = Field((), alias="from")
    value: str | bool | int | float | None = None
    expr: str | None = None
    transforms: Texts = Field((), alias="with")
    when: Literal["always", "create", "empty"] = "always"
    clear: bool = False

    @field_validator("transforms")
    @classmethod
    def _known_transforms(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        for spec in specs:
            normalize.transform(spec)
        return specs

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.sources and self.expr is not None:
            raise ValueError("`from` and `expr` are two answers to one question; keep one of them")
        if not self.sources and self.expr is None and self.value is None:
            raise ValueError("it says nothing about its source: give `from`, `expr` or `value`")
        if self.clear and self.value is not None:
            raise ValueError("`clear` never happens beside `value`, which is never blank")
        if self.clear and self.when != "always":
            raise ValueError(f'`clear` needs when = "always": "{self.when}" never erases anything')
        return self


class _Section(_Strict):
    """What clients, sites and users have in common."""

    kind: ClassVar[Kind]

    match: tuple[Texts, ...]
    """Correlation rules in order; several fields in one rule are one composite key."""
    custom: bool = True
    """Whether the record's own custom fields pass through to the entity's."""
    fields: dict[str, FieldRule] = Field(default_factory=dict, validate_default=True)
    """Complete: the defaults, with the file's entries over them and `false` entries removed."""

    @model_validator(mode="before")
    @classmethod
    def _over_the_base(cls, given: object, info: ValidationInfo) -> object:
        below = _below(info, cls.kind.value)
        return overlay.section(below, given) if below else given

    @field_validator("match", mode="before")
    @classmethod
    def _one_or_many(cls, rules: object) -> object:
        return [rules] if isinstance(rules, str) else rules

    @field_validator("match")
    @classmethod
    def _known_keys(cls, rules: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        known = tuple(tuple(names.match_field(cls.kind, name) for name in rule) for rule in rules)
        for rule in known:
            if not rule or len(set(rule)) < len(rule) or known.count(rule) > 1:
                raise ValueError("a rule is empty, or names a field twice, or stands there twice")
            if names.IDENTITY in rule and len(rule) > 1:
                raise ValueError('"identity" is a rule of its own, never part of a composite one')
        return known

    @field_validator("fields", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object, info: ValidationInfo) -> object:
        if not isinstance(given, dict):
            return given
        below = _below(info, cls.kind.value)
        return overlay.fields(
            cls.kind, below["fields"] if below else names.DEFAULT_FIELDS[cls.kind], given
        )

    @field_validator("fields")
    @classmethod
    def _known_sources(cls, rules: dict[str, FieldRule]) -> dict[str, FieldRule]:
        for target, rule in rules.items():
            _checked(cls.kind, f'"{target}": ', rule.sources)
            field = FIELDS[cls.kind].get(target)
            if rule.transforms and field and field.type != "text":
                raise ValueError(f'"{target}" is a {field.type}, and transforms are for text')
            if rule.clear and target in (names.REQUIRED, names.ACTIVE):
                raise ValueError(f'"{target}" is never erased; leave out `clear`')
        return rules


def _checked(kind: Kind, where: str, sources: tuple[str, ...]) -> tuple[str, ...]:
    for source in sources:
        if names.is_template(source):
            continue  # compiling it checks every name in it
        try:
            names.check_source(kind, source)
        except ValueError as problem:
            raise ValueError(f"{where}{problem}") from None
    return sources


class ClientSection(_Section):
    """`[client]`: what an organization becomes."""

    kind = Kind.CLIENT

    match: tuple[Texts, ...] = (("tenant_id",), ("ref",), ("domain",))
    top_level: str | None = None
    """The top level of every client that no field says otherwise of."""
    create: bool = True
    """False: unknown organizations wait in the review queue."""


class SiteSection(_Section):
    """`[site]`: what a location becomes, and which site a person belongs to."""

    kind = Kind.SITE

    match: tuple[Texts, ...] = (("ref",), ("name",))
    sources: Texts = Field((), alias="from")
    """Sources in the person's record; the first non-blank names the person's site."""
    create: bool = True
    main: str = Field(MAIN_SITE, min_length=1, max_length=255)
    """The name of the site that a client has when no other is known."""
    by_email_domain: bool = False
    """Whether a person belongs to the site whose e-mail domain the person's address has."""
    otherwise: Literal["main", "holding"] = "main"
    """The site of a person whom nothing else places."""
    holding: str = Field("Unassigned", min_length=1, max_length=255)
    """The name of the holding site."""

    @field_validator("sources")
    @classmethod
    def _known_person_fields(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        return _checked(Kind.USER, "", sources)


class UserSection(_Section):
    """`[user]`: what a person becomes, and which persons count."""

    kind = Kind.USER

    match: tuple[Texts, ...] = ((names.IDENTITY,), ("email",), ("login",))
    scope: str | None = None
    """JMESPath over the record; a person for whom it is false, null or empty is out of scope."""
    adopt: bool = True
    """False: a user made by hand with the same key is reported, not linked."""
    groups: Texts = ()
    """Names or ids of groups: `groups` of a record tells which of them the person is in."""


# -- leavers ---------------------------------------------------------------------------------------

_CLOCK = re.compile(r"(\d{1,4}) (read|day)s?").fullmatch


class GoneRule(_Strict):
    """What happens to the users of records that are gone for one reason, and when."""

    action: Literal["deactivate", "keep", "review"]
    after: Texts = ()
    """`"2 reads"`, `"7 days"`, or both in a list: every one of them must have passed."""
    release_licenses: bool = False

    @field_validator("after")
    @classmethod
    def _clocks(cls, clocks: tuple[str, ...]) -> tuple[str, ...]:
        for clock in clocks:
            if not _CLOCK(clock):
                raise ValueError(f'"{clock}" is not a time; write "2 reads" or "7 days"')
        return clocks

    @property
    def reads(self) -> int:
        """How many complete reads must have said so; the first one may be enough (1)."""
        return max(1, self._longest("read"))

    @property
    def days(self) -> float:
        """How many days must have passed since the first of them."""
        return float(self._longest("day"))

    def _longest(self, unit: str) -> int:
        clocks = filter(None, map(_CLOCK, self.after))
        return max((int(clock[1]) for clock in clocks if clock[2] == unit), default=0)


_DEFAULT_GONE: dict[str, dict[str, Any]] = {
    "disabled": {"action": "deactivate"},
    "deleted": {"action": "deactivate", "release_licenses": True},
    "absent": {"action": "deactivate", "after": "2 reads"},
    "out_of_scope": {"action": "keep"},
    "access_lost": {"action": "keep"},
}


class GoneSection(_Strict):
    """`[gone]`: one rule per reason, each with its own clock."""

    disabled: GoneRule
    deleted: GoneRule
    absent: GoneRule
    out_of_scope: GoneRule
    access_lost: GoneRule

    @model_validator(mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object, info: ValidationInfo) -> object:
        return overlay.tables(_below(info, "gone") or _DEFAULT_GONE, given)

    @field_validator("access_lost")
    @classmethod
    def _proves_nothing(cls, rule: GoneRule) -> GoneRule:
        if rule.action == "deactivate":
            raise ValueError("losing access proves nothing about people; use keep or review")
        return rule


# -- limits ----------------------------------------------------------------------------------------

_DEFAULT_LIMITS: dict[str, dict[str, Any]] = {
    "deactivate": {"count": 3, "share": 0.10},
    "deactivate_run": {"count": 20, "share": 0.05},
    "create": {"count": 50, "share": 0.25},
    "site_move": {"count": 20, "share": 0.25},
    "key_change": {"count": 20, "share": 0.25},
    "license_release": {"count": 20, "share": 0.25},
    "errors": {"count": 20, "share": 0.50},
}


class Limit(_Strict):
    """At most `count`, or `share` of what is there (0 to 1), whichever is more."""

    count: int = Field(ge=0)
    share: float

    @field_validator("share")
    @classmethod
    def _fraction(cls, share: float) -> float:
        if not 0 <= share <= 1:
            raise ValueError("a share goes from 0 to 1; write 0.10 for 10 %")
        return share


class LimitsSection(_Strict):
    """`[limits]`: how much one plan may change before it waits for a person."""

    deactivate: Limit
    """Leavers per client and per partition."""
    deactivate_run: Limit
    """Leavers per run."""
    create: Limit
    """Creations per client that already has users."""
    site_move: Limit
    key_change: Limit
    license_release: Limit
    errors: Limit
    """Records of one stream that cannot be mapped before the mapping itself counts as broken."""

    @model_validator(mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object, info: ValidationInfo) -> object:
        if isinstance(given, dict) and isinstance(share := given.get("errors"), float):
            given = {**given, "errors": {"share": share}}
        return overlay.tables(_below(info, "limits") or _DEFAULT_LIMITS, given)


# -- the file --------------------------------------------------------------------------------------


class Mapping(_Strict):
    """The validated content of one mapping file; an empty file is a working mapping."""

    extends: str | None = None
    """The name of the mapping that this one was laid over."""
    client: ClientSection = Field(default_factory=ClientSection)
    site: SiteSection = Field(default_factory=lambda: SiteSection.model_validate({}))
    user: UserSection = Field(default_factory=UserSection)
    gone: GoneSection = Field(default_factory=lambda: GoneSection.model_validate({}))
    limits: LimitsSection = Field(default_factory=lambda: LimitsSection.model_validate({}))

    @classmethod
    def over(cls, base: Mapping | None, given: object) -> Mapping:
        """What a file's content means: laid over the mapping that it extends, if it does."""
        below = base.model_dump(by_alias=True, exclude={"extends"}) if base else None
        return cls.model_validate(given, context=below)

    @model_validator(mode="before")
    @classmethod
    def _over_the_base(cls, given: object, info: ValidationInfo) -> object:
        return overlay.sections(info.context, given) if info.context else given

    @cached_property
    def version(self) -> str:
        """16 hex digits that change with the meaning, not with comments or the order of keys."""
        # Limits say how much may change at once, not what a record means; nor does a base's name.
        content = self.model_dump(mode="json", by_alias=True, exclude={"limits", "extends"})
        canonical = json.dumps([RULES_VERSION, content], sort_keys=True)
        return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()
