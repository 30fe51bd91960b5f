"""The engine: settings, database and connectors, put together for whoever wants to sync."""

from __future__ import annotations

import gc
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from syncd.connectors import base
from syncd.connectors.base import Connector, Context
from syncd.entities import Kind
from syncd.errors import ConfigError
from syncd.mapping.contributions import Speaker
from syncd.mapping.fields import RuleRefused, Rules, compile_mapping
from syncd.mapping.rules import Mapping
from syncd.settings import ConnectionSettings, Settings
from syncd.store import migrate
from syncd.store.database import Database, Transaction
from syncd.store.runs import Runs
from syncd.sync.granting import vault
from syncd.sync.step import Progress, Reader, Report
from syncd.toml_file import TomlFile

PATIENCE = 1.25
"""How many leases a transaction may be silent for: by then its work is anybody's."""


@contextmanager
def calm_collector() -> Iterator[None]:
    """Collect garbage seldom while pages pass: what they make lives for a page and holds no cycles.

    Collections that walk every living object cost a fifth of a load otherwise; a page makes some
    hundred thousand objects, and a collection within it finds them all alive.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(500_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _silent(_progress: Progress) -> None:
    """Nobody watches."""


def _ask_provider(engine: Engine, name: str, _partition: int) -> Reader:
    """Steps read what the connector reads: one of their own each, or all of them the same."""
    with engine.making:
        if name in engine.serving:
            return engine.serving[name]
        made = engine.connector(name)
        if made.serves_all:
            engine.serving[name] = made
        return made


CURSOR_LASTS = timedelta(days=1)
"""For so long a cursor from which nothing came is left alone: the shortest-lived ones, of a week,
are renewed in time, and a read that brings nothing writes nothing.
"""


@dataclass(slots=True)
class Engine:
    """What runs need. `stop`: set it, and every step stops at its next page or batch."""

    settings: Settings
    database: Database
    runs: Runs
    report: Report = _silent
    stop: threading.Event = field(default_factory=threading.Event)
    reads: Callable[[Engine, str, int], Reader] = _ask_provider
    """What a step of a connection, by its name, and a partition, by its id, reads."""
    proves: bool = True
    """Whether reads say anything about who is absent, and how long records have been leaving."""
    making: threading.Lock = field(default_factory=threading.Lock)
    serving: dict[str, Connector[Any]] = field(default_factory=dict)
    """Connectors that serve all steps of their connection, once they were asked for."""
    _rules: dict[str, Rules] = field(default_factory=dict)
    """What was compiled already."""
    _speakers: dict[str, Speaker | None] = field(default_factory=dict)
    _fingerprints: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, report: Report = _silent, *, check: bool = True) -> Engine:
        """The engine on the configured database; SchemaError for any but this program's schema."""
        idle = settings.engine.lease_seconds * PATIENCE
        url, threads = settings.database.url.get_secret_value(), settings.engine.threads
        database = Database(url, idle_seconds=idle, threads=threads)
        if check:
            migrate.check(database)
        return cls(settings, database, Runs(database), report)

    def connector(self, name: str) -> Connector[Any]:
        """The configured connector of a connection; ConfigError says what to repair."""
        chosen = self.settings.connection(name)
        found = base.find(chosen.connector)
        try:
            config = found.Config.model_validate(chosen.config)
        except ValidationError as error:
            raise chosen.explain(error, found.Config) from None
        settings = self.settings
        kept = vault(self.database, settings, name)
        groups = self.rules(name).mapping.user.groups
        return found(config, Context(name, settings.folder, settings.network, kept, groups))

    def rules(self, name: str) -> Rules:
        """The compiled mapping of a connection; ConfigError says what to repair."""
        if name not in self._rules:
            file = self.settings.mappings[self.settings.connection(name).mapping]
            self._rules[name] = _compiled(file)
        return self._rules[name]

    def under(self, name: str, file: Path) -> Engine:
        """This engine as it were if `file` were the mapping of a connection."""
        settings = self.settings.under(name, file)
        return replace(self, settings=settings, _rules={}, _speakers={}, _fingerprints={})

    def speaker(self, name: str) -> Speaker | None:
        """How a connection's stored items are understood; None where it is not configured, or not
        rightly: nobody can tell what its records say then.
        """
        if name not in self._speakers:
            try:
                parse = {one.name: one.parse for one in self.connector(name).streams()}
                rules = self.rules(name)
                self._speakers[name] = Speaker(parse, rules, self.meaning(rules))
            except ConfigError:
                self._speakers[name] = None
        return self._speakers[name]

    def fingerprint(self, name: str, rules: Rules) -> str:
        """Of all that a cursor was made with, what items meant included: anything else voids the
        cursor, for what did not change since then may mean something else now.
        """
        meaning = self.meaning(rules).hex()
        if (name, meaning) not in self._fingerprints:
            self._fingerprints[name, meaning] = self._made_with(name, meaning)
        return self._fingerprints[name, meaning]

    def _made_with(self, name: str, meaning: str) -> str:
        chosen: ConnectionSettings = self.settings.connection(name)
        fields = base.find(chosen.connector).Config.model_fields
        secret = {name for name, one in fields.items() if "SecretStr" in str(one.annotation)}
        config = {key: value for key, value in chosen.config.items() if key not in secret}
        made_with = [chosen.connector, config, meaning]
        text = json.dumps(made_with, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def cursors(
        self, conn: Transaction, name: str, rules: Rules, partition: int
    ) -> tuple[dict[str, str], frozenset[str]]:
        """Per stream, the place from which the partition can be read on; and of which streams that
        is so old that it had better be replaced by a new one, whatever comes. Nothing at all once
        it is time for a full read.
        """
        fingerprint = self.fingerprint(name, rules)
        stored = self.runs.cursors(conn, partition)
        if not stored:
            return {}, frozenset()
        good = {name: one for name, one in stored.items() if one.fingerprint == fingerprint}
        now = self.database.now(conn)
        since, old = now - self.settings.connection(name).full_every, now - CURSOR_LASTS
        if any(one.full_at <= since for one in good.values()):
            return {}, frozenset()
        aged = frozenset(name for name, one in good.items() if one.updated_at < old)
        return {name: one.value for name, one in good.items()}, aged

    def meaning(self, rules: Rules) -> bytes:
        """Of all that decides what an item means: the mapping and whose values stand."""
        text = json.dumps([rules.version, self.settings.precedence], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _compiled(file: TomlFile) -> Rules:
    """The rules of a mapping file; those of its base come first, so that what is wrong with them is
    said of the base.
    """
    base = _compiled(file.base).mapping if file.base else None
    try:
        return compile_mapping(Mapping.over(base, file.data))
    except ValidationError as error:
        raise file.explain(error, Mapping) from None
    except RuleRefused as refused:
        raise file.error(refused.location, refused.message) from None


def match_rules(rules: Rules) -> dict[Kind, tuple[tuple[str, ...], ...]]:
    """The correlation rules by kind, for the checks of apply."""
    return {
        Kind.CLIENT: rules.client.match,
        Kind.SITE: rules.site.match,
        Kind.USER: rules.user.match,
    }
