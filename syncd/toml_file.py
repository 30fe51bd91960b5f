"""One TOML file of the configuration: read, `${…}` filled in, errors that name the line."""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from inspect import isclass
from pathlib import Path
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ValidationError

from syncd.errors import ConfigError

Location: TypeAlias = tuple[str | int, ...]
"""Where a value stands: `("user", "fields", "phone")`; a number is a place in a list."""

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_NAMES = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*(?P<open>\[\[?)\s*(?P<names>{_NAMES})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*(?P<names>{_NAMES})\s*=")
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_SECRET_FILE_LIMIT = 64 * 1024
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class TomlFile:
    """What one file says. `path` is the path as a person should see it in a message."""

    name: str
    path: str
    text: str = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    origins: Mapping[Location, str] = field(default_factory=dict, repr=False)
    """Environment variables that stand in for what the file says, by location."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Values from outside the file; no message may show them."""
    base: TomlFile | None = field(default=None, repr=False)
    """The file that it is laid over, where it extends one."""

    def overlaid(self, values: Mapping[tuple[str, str], tuple[str, str]]) -> TomlFile:
        """This file with (section, key) set from the environment: {location: (variable, value)}."""
        data = dict(self.data)
        for (section, key), (_, value) in values.items():
            table = data.get(section, {})
            if isinstance(table, dict):  # else the section itself is the error to report
                data[section] = {**table, key: value}
        return replace(
            self,
            data=data,
            origins={location: variable for location, (variable, _) in values.items()},
            secrets=self.secrets | {value for _, value in values.values()},
        )

    def error(self, location: Location, message: str) -> ConfigError:
        """A ConfigError about the value at `location` (or about its absence)."""
        return ConfigError(self._line(location, message))

    def explain(
        self,
        error: ValidationError,
        model: type[BaseModel] | None = None,
        under: Location = (),
    ) -> ConfigError:
        """What pydantic found wrong, one line for each key, without any value.

        model: the model that was validated, to suggest the key that an unknown one was meant to be.
        under: the table that was validated, where it was not the whole file.
        Raise the result `from None`: the original holds the values.
        """
        problems: dict[Location, list[str]] = {}
        for found in error.errors(include_url=False, include_input=False, include_context=False):
            location = self._real((*under, *found["loc"]), found["type"])
            message = _plain(found["type"], found["msg"], model, found["loc"])
            if message not in problems.setdefault(location, []):
                problems[location].append(message)
        lines = [self._line(location, "; or ".join(said)) for location, said in problems.items()]
        return ConfigError("\n".join(lines))

    def line_of(self, location: Location) -> int | None:
        """The line (from 1) of the innermost table or key around `location` that the text has."""
        best, depth = None, 0
        for place, number in _places(self.text):
            if len(place) > depth and place == location[: len(place)]:
                best, depth = number, len(place)
        return best

    def _line(self, location: Location, message: str) -> str:
        key = ".".join(str(part) for part in location)
        if variable := self.origins.get(location[:2]):
            place = variable
        else:
            line = self.line_of(location)
            place = ": ".join(filter(None, [f"{self.path}:{line}" if line else self.path, key]))
        for secret in self.secrets:
            if len(secret) >= _SHORTEST_SECRET:
                message = message.replace(secret, "***")
        return f"{place}: {message}"

    def _real(self, location: Location, kind: str) -> Location:
        """`location` without what pydantic adds for the branches of a union."""
        value: Any = self.data
        real: list[str | int] = []
        for index, part in enumerate(location):
            inner = _step(value, part)
            if inner is not None:
                value = inner
            elif kind != "missing" or index < len(location) - 1:
                continue
            real.append(part)
        return tuple(real)


def read(path: Path, folder: Path) -> TomlFile:
    """Read one file; `${file:…}` with a relative path starts from `folder`."""
    shown = show(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows leave a mark
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: is not UTF-8 text (byte {error.start})") from None
    return parse(text, path.stem, shown, folder)


def parse(text: str, name: str, path: str, folder: Path) -> TomlFile:
    """As `read`, for a text from elsewhere; `path` is what messages call it."""
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(path, text, str(error))) from None
    return _filled(TomlFile(name, path, text, data), folder)


def show(path: Path) -> str:
    """`path` as a person would type it: relative when it lies below the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean "…"?`, or which names there are, or nothing."""
    known = sorted(known)
    if close := get_close_matches(name, known, n=1):
        return f'; did you mean "{close[0]}"?'
    return f"; known are {', '.join(known)}" if known else ""


def _step(value: Any, part: str | int) -> Any:
    """What `value` holds at `part`, or None (which no TOML value is)."""
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _syntax(path: str, text: str, message: str) -> str:
    place = _TOML_PLACE.search(message)
    if place is None:
        return f"{path}: not valid TOML: {message}"
    line = place["line"] or str(text.rstrip().count("\n") + 1)
    return f"{path}:{line}: not valid TOML: {message[: place.start()]}"


def _places(text: str) -> Iterator[tuple[Location, int]]:
    """Each table and key of a valid TOML text, with its line; inline tables are not looked into."""
    table: Location = ()
    arrays: Counter[Location] = Counter()
    quotes = ""  # of the multi-line string that we are in
    for number, line in enumerate(text.split("\n"), 1):
        if quotes:
            quotes = "" if quotes in line else quotes
        elif header := _HEADER.match(line):
            table = _names(header["names"])
            if header["open"] == "[[":
                arrays[table] += 1
                table = (*table, arrays[table] - 1)
            yield table, number
        elif assignment := _ASSIGNMENT.match(line):
            yield (*table, *_names(assignment["names"])), number
            quotes = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")


def _names(dotted: str) -> Location:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, dotted))


# -- what pydantic says, for people ----------------------------------------------------------------


def _plain(kind: str, message: str, model: type[BaseModel] | None, location: Location) -> str:
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1]) if model else ()
        return "unknown key" + suggestion(str(location[-1]), known)
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _known_keys(model: type[BaseModel], location: Location) -> set[str]:
    """The keys that the model (or the models of a union) at `location` would accept."""
    models = [model]
    for part in location:
        inner = [
            found
            for outer in models
            for name, info in outer.model_fields.items()
            if part in (name, info.alias)
            for found in _models(info.annotation)
        ]
        models = inner or models  # no field: a key of a dict, a place in a list, a union's branch
    return {info.alias or name for each in models for name, info in each.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


# -- ${VAR}, ${VAR:-default}, ${file:path} ---------------------------------------------------------


def _filled(file: TomlFile, folder: Path) -> TomlFile:
    """The file with every reference replaced; `$${` stands for a literal `${`."""
    secrets: set[str] = set()

    def fill(text: str, location: Location) -> str:
        def replacement(reference: re.Match[str]) -> str:
            if reference[0] == "$${":
                return "${"
            try:
                value, outside = _look_up(reference["body"], folder)
            except ValueError as error:
                raise file.error(location, str(error)) from None
            if outside:
                secrets.add(value)
            return value

        return _REFERENCE.sub(replacement, text)

    data = {key: _each_string(value, (key,), fill) for key, value in file.data.items()}
    return replace(file, data=data, secrets=frozenset(secrets))


def _each_string(value: Any, location: Location, change: Callable[[str, Location], str]) -> Any:
    if isinstance(value, str):
        return change(value, location)
    if isinstance(value, dict):
        return {key: _each_string(item, (*location, key), change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_string(item, (*location, n), change) for n, item in enumerate(value)]
    return value


def _look_up(body: str | None, folder: Path) -> tuple[str, bool]:
    """The value of one reference, and whether it came from outside the file."""
    if body is not None and body.startswith("file:"):
        return _file_content(folder / Path(body.removeprefix("file:")).expanduser()), True
    variable = _VARIABLE.fullmatch(body) if body is not None else None
    if variable is None:
        raise ValueError("write ${NAME}, ${NAME:-default} or ${file:PATH}; $${ for a plain ${")
    name, default = variable["name"], variable["default"]
    value = os.environ.get(name)
    if default is not None and not value:
        return default, False
    if value is None:
        raise ValueError(f"the environment variable {name} is not set")
    return value, True


def _file_content(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(_SECRET_FILE_LIMIT + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    if len(content) > _SECRET_FILE_LIMIT:
        raise ValueError(f"the file {path} is larger than {_SECRET_FILE_LIMIT // 1024} KiB")
    return text.rstrip("\r\n")  # what editors and `echo` add
