"""The settings: `syncd.toml`, one file per connection and per mapping, and `SYNCD_…` variables.

    config/syncd.toml               database, log, engine, precedence
    config/connections/NAME.toml    one configured use of a connector
    config/mappings/NAME.toml       what its records mean; a connector ships a default, and a file
                                    may extend another one

A variable `SYNCD_SECTION_KEY` (`SYNCD_DATABASE_URL`) wins over the file, the file over the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from syncd import toml_file
from syncd.errors import ConfigError
from syncd.toml_file import Location, TomlFile

MAIN_FILE = "syncd.toml"
FOLDER_VARIABLE = "SYNCD_CONFIG"
DATABASE_FILE = "syncd.db"
KEYS_FILE = "syncd.keys"

RawMapping: TypeAlias = TomlFile
"""A mapping as written; `syncd.mapping` gives it its meaning and `explain` names what to repair."""

_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_RESERVED = {"local"}  # owns the values that a person set
_PRECEDENCE_KEY = re.compile(r"default|(client|site|user)\.[a-z][a-z0-9_.]*")
_RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)(.+)", re.DOTALL)
_PASSWORD = re.compile(r"(://[^:/?@]*:).*@", re.DOTALL)  # whatever it holds, up to the last @
_PASSWORD_OPTION = re.compile(r"([?&]\w*password=)[^&]*")

M = TypeVar("M", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Database(_Section):
    """Where everything is kept. A relative SQLite file lies in the configuration's folder."""

    url: SecretStr = SecretStr(f"sqlite:///{DATABASE_FILE}")

    @field_validator("url")
    @classmethod
    def _supported(cls, url: SecretStr) -> SecretStr:
        scheme, _, rest = url.get_secret_value().partition("://")
        if scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
            return SecretStr(f"postgresql+psycopg://{rest}")
        if scheme in {"sqlite", "sqlite+pysqlite"}:
            return url
        raise ValueError("write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE")

    def safe_url(self) -> str:
        """The URL without its password, for people."""
        bare = _PASSWORD.sub(r"\1***@", self.url.get_secret_value())
        return _PASSWORD_OPTION.sub(r"\1***", bare)


class Log(_Section):
    """What is logged on stderr, and in which form."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda level: level.lower() if isinstance(level, str) else level),
    ] = "info"
    format: Literal["console", "json"] = "console"


class Engine(_Section):
    """How the engine works: records in a page, threads of one process, seconds of a lease, and for
    how many seconds altogether a provider may make one step wait before its run ends without it.
    """

    page_size: int = Field(default=2000, ge=1, le=50_000)
    threads: int = Field(default=2, ge=1, le=64)
    lease_seconds: int = Field(default=60, ge=1, le=3600)
    patience_seconds: int = Field(default=900, ge=0, le=86_400)


class Network(_Section):
    """How providers are reached. `private`: HOST:PORT of those that may be in a private network;
    `ca_file`: certificates (PEM) to trust besides the usual ones; `proxy`: for all connections.
    """

    private: tuple[str, ...] = ()
    ca_file: str | None = None
    proxy: SecretStr | None = None


class Secrets(_Section):
    """Where the keys are that seal stored credentials: one a line, the first one seals. `keys`,
    which is for the environment, stands in for the file.
    """

    keys_file: str = KEYS_FILE
    keys: SecretStr | None = None


class _Main(_Section):
    database: Database = Database()
    log: Log = Log()
    engine: Engine = Engine()
    network: Network = Network()
    secrets: Secrets = Secrets()
    precedence: dict[str, list[str]] = {}

    @field_validator("precedence", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        """Accept `user.phone` for `"user.phone"`: TOML reads the former as nested tables."""
        return dict(_flat(value)) if isinstance(value, dict) else value


_SPAN = re.compile(r"([1-9][0-9]{0,3})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
FULL_EVERY = timedelta(days=7)


def _span(value: Any) -> timedelta:
    if isinstance(value, str) and (found := _SPAN.fullmatch(value.strip())):
        return int(found[1]) * _UNITS[found[2]]
    raise ValueError('write a number of hours, days or weeks, such as "12h", "7d" or "2w"')


class _ConnectionFile(_Section):
    connector: str = Field(min_length=1)
    mapping: str | None = None
    description: str | None = None
    full_every: Annotated[timedelta, BeforeValidator(_span)] = FULL_EVERY
    config: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One connection. `mapping` is a key of `Settings.mappings`; `config` is for the connector."""

    name: str
    connector: str
    mapping: str
    description: str | None
    config: dict[str, Any] = field(repr=False)  # may hold secrets
    file: TomlFile = field(repr=False)
    full_every: timedelta = FULL_EVERY
    """So long after a full read the next one is a full one again, whatever could be told since."""

    def explain(self, error: ValidationError, model: type[BaseModel]) -> ConfigError:
        """What is wrong with `config`, as the connector's `model` found; raise it `from None`."""
        return self.file.explain(error, model, under=("config",))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured. `folder` is absolute; relative paths start there."""

    folder: Path
    database: Database
    log: Log
    engine: Engine
    precedence: dict[str, list[str]]
    connections: dict[str, ConnectionSettings]
    mappings: dict[str, RawMapping]
    network: Network = field(default_factory=Network)
    secrets: Secrets = field(default_factory=Secrets)
    unusable: dict[str, ConfigError] = field(default_factory=dict)
    """What is wrong with the other files of `mappings/`, by name: no connection uses them."""

    def connection(self, name: str) -> ConnectionSettings:
        """The connection of that name, or the ConfigError that says which there are."""
        if name in self.connections:
            return self.connections[name]
        known = toml_file.suggestion(name, self.connections)
        raise ConfigError(f'there is no connection "{name}"{known}')

    def under(self, connection: str, path: Path) -> Settings:
        """These settings as they were if the mapping of the connection were the file at `path`,
        which may extend a configured one.
        """
        known: dict[str, TomlFile | ConfigError] = {**self.mappings, **self.unusable}
        mapping = _extended(toml_file.read(path, self.folder), known)
        name = str(path.resolve())  # no name of a mapping looks like it
        chosen = replace(self.connection(connection), mapping=name)
        return replace(
            self,
            connections={**self.connections, connection: chosen},
            mappings={**self.mappings, name: mapping},
        )


def load(folder: Path | None = None) -> Settings:
    """Read all settings from `folder`, else `$SYNCD_CONFIG`, else `./config`, else `.`."""
    folder = find_folder(folder)
    file = toml_file.read(folder / MAIN_FILE, folder).overlaid(_environment())
    main = _validated(_Main, file)
    mappings, unusable = _mappings(folder)
    files = [toml_file.read(path, folder) for path in _paths(folder, "connections")]
    connections = {each.name: _connection(each, mappings, unusable) for each in files}
    _check_precedence(main.precedence, connections, file)
    return Settings(
        folder=folder,
        database=_inside(folder, main.database),
        log=main.log,
        engine=main.engine,
        network=main.network,
        secrets=main.secrets,
        precedence=main.precedence,
        connections=connections,
        mappings=mappings,
        unusable=unusable,
    )


def find_folder(folder: Path | None = None) -> Path:
    """The absolute folder that `load` reads, or the ConfigError that says how to make one."""
    named = folder or os.environ.get(FOLDER_VARIABLE)
    candidates = [Path(named)] if named else [Path("config"), Path()]
    for candidate in candidates:
        if (candidate / MAIN_FILE).is_file():
            return candidate.resolve()
    places = " nor ".join(toml_file.show(candidate / MAIN_FILE) for candidate in candidates)
    raise ConfigError(
        f"there is no {places}; `syncd init` makes one, --config names another folder"
    )


def _validated(model: type[M], file: TomlFile) -> M:
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        raise file.explain(error, model) from None


def _environment() -> dict[tuple[str, str], tuple[str, str]]:
    """What `SYNCD_SECTION_KEY` variables say, by location; a misspelled key is an error."""
    found = {}
    for section in ("database", "log", "engine", "network", "secrets"):
        prefix = f"SYNCD_{section.upper()}_"
        model = _Main.model_fields[section].annotation
        known = {prefix + name.upper(): name for name in getattr(model, "model_fields", {})}
        for variable in filter(lambda name: name.startswith(prefix), os.environ):
            if variable not in known:
                hint = toml_file.suggestion(variable, known)
                raise ConfigError(f"{variable}: unknown environment variable{hint}")
            found[section, known[variable]] = (variable, os.environ[variable])
    return found


def _paths(folder: Path, kind: str) -> list[Path]:
    """The files in `connections/` or `mappings/`; their names are the names of what they hold."""
    paths = sorted(path for path in (folder / kind).glob("*.toml") if path.name[0] != ".")
    for path in paths:
        if not _NAME.fullmatch(path.stem) or path.stem in _RESERVED:
            allowed = 'a name is made of a-z, 0-9, _ and -, at most 64, and is not "local"'
            raise ConfigError(f"{toml_file.show(path)}: rename this file; {allowed}")
    return paths


def _connection(
    file: TomlFile, mappings: dict[str, RawMapping], unusable: Mapping[str, ConfigError]
) -> ConnectionSettings:
    said = _validated(_ConnectionFile, file)
    mapping = said.mapping or said.connector
    if mapping in unusable:
        raise unusable[mapping]
    if mapping not in mappings:
        shipped = _shipped(mapping)
        known = {*mappings, *unusable}
        found = shipped or _no_mapping(file, ("mapping",), mapping, known)
        mappings[mapping] = _extended(found, {})  # it is laid over nothing but what is shipped
    return ConnectionSettings(
        name=file.name,
        connector=said.connector,
        mapping=mapping,
        description=said.description,
        config=said.config,
        file=file,
        full_every=said.full_every,
    )


# -- mappings --------------------------------------------------------------------------------------


def _mappings(folder: Path) -> tuple[dict[str, RawMapping], dict[str, ConfigError]]:
    """The mappings that can be used, by name, and what is wrong with the others."""
    paths = _paths(folder, "mappings")
    written = {path.stem: _read_or_error(path, folder) for path in paths}
    usable: dict[str, RawMapping] = {}
    unusable: dict[str, ConfigError] = {}
    for name, file in written.items():
        try:
            usable[name] = _extended(_found(file), written)
        except ConfigError as error:
            unusable[name] = error
    return usable, unusable


def _read_or_error(path: Path, folder: Path) -> TomlFile | ConfigError:
    try:
        return toml_file.read(path, folder)
    except ConfigError as error:
        return error


def _found(file: TomlFile | ConfigError) -> TomlFile:
    """The file, if there is nothing wrong with it."""
    if isinstance(file, ConfigError):
        raise file
    return file


def _extended(
    file: TomlFile, known: Mapping[str, TomlFile | ConfigError], above: Sequence[TomlFile] = ()
) -> TomlFile:
    """A mapping's file with the one that it extends; `known` are the configured ones by name,
    or what is wrong with them. `above`: what extends this one, the nearest first.
    """
    name = file.data.get("extends")
    if name is None:
        return file
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise file.error(("extends",), 'name another mapping, such as extends = "people"')
    base = _found(known[name]) if name in known else None
    if base is None or base.path == file.path:  # within itself, a name is the shipped one's
        base = _shipped(name) or base or _no_mapping(file, ("extends",), name, known)
    if any(base.path == each.path for each in (file, *above)):
        circle = ", which extends ".join(each.path for each in (*reversed(above), file, base))
        raise file.error(("extends",), f"that goes round in a circle: {circle}")
    return replace(file, base=_extended(base, known, (file, *above)))


def _shipped(name: str) -> TomlFile | None:
    """The default mapping that comes with a connector."""
    if not _NAME.fullmatch(name):
        return None
    resource = _defaults() / f"{name}.toml"
    if not resource.is_file():
        return None
    shown = f"syncd/mapping/defaults/{name}.toml"
    return toml_file.parse(resource.read_text(encoding="utf-8"), name, shown, Path())


def _defaults() -> Traversable:
    return resources.files("syncd") / "mapping" / "defaults"


def _no_mapping(file: TomlFile, place: Location, name: str, known: Iterable[str]) -> NoReturn:
    shipped = {each.name.removesuffix(".toml") for each in _defaults().iterdir()}
    hint = toml_file.suggestion(name, {*known, *shipped})
    raise file.error(place, f"there is no mappings/{name}.toml and no shipped default{hint}")


# -- precedence ------------------------------------------------------------------------------------


def _check_precedence(
    precedence: dict[str, list[str]], connections: Iterable[str], file: TomlFile
) -> None:
    for key, names in precedence.items():
        if not _PRECEDENCE_KEY.fullmatch(key):
            raise file.error(("precedence", key), 'write "default" or a field such as "user.phone"')
        for name in names:
            if name not in connections:
                hint = toml_file.suggestion(name, connections)
                raise file.error(("precedence", key), f'there is no connection "{name}"{hint}')


def _flat(table: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _inside(folder: Path, database: Database) -> Database:
    """The database with a relative SQLite file placed in `folder`."""
    if relative := _RELATIVE_SQLITE.fullmatch(database.url.get_secret_value()):
        path, mark, query = relative[2].partition("?")
        return Database(url=SecretStr(f"{relative[1]}{(folder / path).as_posix()}{mark}{query}"))
    return database
