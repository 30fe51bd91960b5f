from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from syncd import settings, toml_file
from syncd.errors import ConfigError
from syncd.mapping.rules import Mapping
from syncd.sync.engine import Engine
from syncd.toml_file import TomlFile

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration in ./config, and no SYNCD_ variable from outside."""
    for name in [name for name in os.environ if name.startswith("SYNCD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "syncd.toml").touch()
    return tmp_path / "config"


@pytest.fixture
def write(folder: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal() -> str:
    """The text of the ConfigError that loading raises; it never drags the values along."""
    with pytest.raises(ConfigError) as caught:
        settings.load()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


# -- where -----------------------------------------------------------------------------------------


def test_an_empty_file_is_a_working_configuration(folder: Path) -> None:
    loaded = settings.load()
    assert loaded.folder == folder
    assert loaded.database.url.get_secret_value() == f"sqlite:///{folder}/syncd.db"
    assert (loaded.log.level, loaded.log.format) == ("info", "console")
    assert loaded.engine.model_dump() == {
        "page_size": 2000,
        "threads": 2,
        "lease_seconds": 60,
        "patience_seconds": 900,
    }
    assert (loaded.network.private, loaded.network.proxy) == ((), None)
    assert loaded.secrets.keys_file == "syncd.keys"
    assert (loaded.precedence, loaded.connections, loaded.mappings) == ({}, {}, {})


def test_the_folder_is_the_argument_then_the_variable_then_config_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "variable", "."):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "syncd.toml").touch()
    monkeypatch.setenv("SYNCD_CONFIG", "variable")
    assert settings.load(Path("argument")).folder == tmp_path / "argument"
    assert settings.load().folder == tmp_path / "variable"
    monkeypatch.delenv("SYNCD_CONFIG")
    assert settings.load().folder == tmp_path / "config"
    (tmp_path / "config" / "syncd.toml").unlink()
    assert settings.load().folder == tmp_path


def test_no_configuration_says_how_to_make_one(folder: Path) -> None:
    (folder / "syncd.toml").unlink()
    assert "syncd init" in refusal()


def test_a_named_folder_is_never_replaced_by_another(folder: Path) -> None:
    with pytest.raises(ConfigError, match="elsewhere"):
        settings.load(Path("elsewhere"))


# -- errors name the file and the line -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[log]\n\nlevel = 'loud'\n", "config/syncd.toml:3: log.level: Input should be 'debug', "),
        ("[engine]\npage_size = 0\n", "config/syncd.toml:2: engine.page_size: Input should be gr"),
        ("log.level = 1\n", "config/syncd.toml:1: log.level: "),
        ("engine = 3\n", "config/syncd.toml:1: engine: "),
        ("[log]\nlevel = 'info'\nlevel = 'info'\n", "config/syncd.toml:3: not valid TOML: "),
        ("[log]\nlevel = \n", "config/syncd.toml:2: not valid TOML: "),
        ("[log]\nlevel = [\n", "config/syncd.toml:2: not valid TOML: "),
        (
            "[database]\nurl = 'mysql://h/d'",
            "config/syncd.toml:2: database.url: write sqlite:///FILE or postgresql+psycopg://",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line(write: Write, text: str, message: str) -> None:
    write("syncd.toml", text)
    assert refusal().startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[engine]\n\npage_sise = 5\n",
            'config/syncd.toml:3: engine.page_sise: unknown key; did you mean "page_size"?',
        ),
        ("[databse]\n", 'config/syncd.toml:1: databse: unknown key; did you mean "database"?'),
        (
            "[log]\nx = 1\n",
            "config/syncd.toml:2: log.x: unknown key; known are format, level",
        ),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(
    write: Write, text: str, message: str
) -> None:
    write("syncd.toml", text)
    assert refusal() == message


def test_all_wrong_keys_of_a_file_are_reported_at_once(write: Write) -> None:
    write("syncd.toml", "[log]\nlevel = 'loud'\n[engine]\nthreads = 0\n")
    assert [line.split(": ")[0] for line in refusal().splitlines()] == [
        "config/syncd.toml:2",
        "config/syncd.toml:4",
    ]


def test_text_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "syncd.toml").write_bytes(b"# caf\xe9\n")
    assert refusal() == "config/syncd.toml: is not UTF-8 text (byte 5)"


def test_marks_of_windows_editors_are_accepted(folder: Path) -> None:
    (folder / "syncd.toml").write_bytes(b"\xef\xbb\xbf[log]\r\nlevel = 'debug'\r\n")
    assert settings.load().log.level == "debug"


# -- the environment -------------------------------------------------------------------------------


def test_a_variable_wins_over_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("syncd.toml", "[log]\nlevel = 'error'\nformat = 'json'\n[engine]\nthreads = 4\n")
    monkeypatch.setenv("SYNCD_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("SYNCD_ENGINE_PAGE_SIZE", "17")
    monkeypatch.setenv("SYNCD_DATABASE_URL", "postgres://u:p@h/d")
    loaded = settings.load()
    assert (loaded.log.level, loaded.log.format) == ("debug", "json")
    assert (loaded.engine.threads, loaded.engine.page_size) == (4, 17)
    assert loaded.database.url.get_secret_value() == "postgresql+psycopg://u:p@h/d"


def test_a_wrong_variable_is_named_instead_of_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("syncd.toml", "[log]\nlevel = 'info'\n")
    monkeypatch.setenv("SYNCD_LOG_LEVEL", "hunter2")
    assert refusal().startswith("SYNCD_LOG_LEVEL: Input should be 'debug'")
    assert "hunter2" not in refusal()


def test_a_misspelled_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_DATABASE_ULR", "x")
    assert "SYNCD_DATABASE_ULR" in refusal()
    assert 'did you mean "SYNCD_DATABASE_URL"?' in refusal()


# -- ${…} ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${NAME}", "anna"),
        ("a-${NAME}-${NAME}", "a-anna-anna"),
        ("${UNSET:-fallback}", "fallback"),
        ("${EMPTY:-fallback}", "fallback"),
        ("${UNSET:-}", ""),
        ("${EMPTY}", ""),
        ("${NAME:-fallback}", "anna"),
        ("${file:secret.txt}", "two\nlines"),
        ("$${NAME} costs $5", "${NAME} costs $5"),
        ("{given_name} $", "{given_name} $"),
    ],
)
def test_references_are_filled_in(
    write: Write, monkeypatch: pytest.MonkeyPatch, written: str, value: str
) -> None:
    monkeypatch.setenv("NAME", "anna")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    write("secret.txt", "two\nlines\r\n")
    write("mappings/csv.toml", "")
    write(
        "connections/a.toml",
        f"connector = 'csv'\n[config]\nplain = '{written}'\ndeep = [{{ x = '{written}' }}]\n",
    )
    config = settings.load().connections["a"].config
    assert config == {"plain": value, "deep": [{"x": value}]}


def test_a_filled_in_value_is_not_filled_in_again(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTER", "${INNER}")
    write("mappings/csv.toml", "")
    write("connections/a.toml", "connector = 'csv'\nconfig.x = '${OUTER}'")
    assert settings.load().connections["a"].config == {"x": "${INNER}"}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("${UNSET}", "the environment variable UNSET is not set"),
        ("${}", "write ${NAME}, "),
        ("${not closed", "write ${NAME}, "),
        ("${A${B}}", "write ${NAME}, "),
        ("${file:missing}", "cannot be read: No such file"),
        ("${file:.}", "cannot be read: Is a directory"),
        ("${file:/dev/zero}", "is larger than 64 KiB"),
        ("${file:binary}", "is not UTF-8 text"),
    ],
)
def test_a_reference_to_nothing_names_file_line_and_key(
    folder: Path, write: Write, written: str, problem: str
) -> None:
    (folder / "binary").write_bytes(b"\xff\xfe")
    write("syncd.toml", f"[database]\n# the URL\nurl = '{written}'\n")
    assert refusal().startswith("config/syncd.toml:3: database.url: ")
    assert problem in refusal()


class Loose(BaseModel):
    """A stranger's model whose own messages repeat the value."""

    token: str
    kind: Literal["a", "b"] = "a"

    @field_validator("token")
    @classmethod
    def _chatty(cls, value: str) -> str:
        raise ValueError(f"{value} is refused")


def test_no_error_ever_shows_a_value_from_outside(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    write("mappings/csv.toml", "")
    write(
        "connections/a.toml",
        "connector = 'csv'\n[config]\ntoken = '${TOKEN}'\nkind = '${TOKEN}'\n",
    )
    connection = settings.load().connections["a"]
    with pytest.raises(ValidationError) as caught:
        Loose.model_validate(connection.config)
    text = str(connection.explain(caught.value, Loose))
    assert text.splitlines() == [
        "config/connections/a.toml:3: config.token: *** is refused",
        "config/connections/a.toml:4: config.kind: Input should be 'a' or 'b'",
    ]
    assert "hunter2" not in repr(settings.load())


# -- the database's URL ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "opened"),
    [
        ("sqlite:///data/x.db", "sqlite:///{folder}/data/x.db"),
        ("sqlite:///../x.db?timeout=5", "sqlite:///{folder}/../x.db?timeout=5"),
        ("sqlite+pysqlite:///x.db", "sqlite+pysqlite:///{folder}/x.db"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+psycopg:///d?host=/run/pg", "postgresql+psycopg:///d?host=/run/pg"),
    ],
)
def test_a_relative_file_lies_in_the_folder(
    folder: Path, write: Write, written: str, opened: str
) -> None:
    write("syncd.toml", f"[database]\nurl = '{written}'\n")
    url = settings.load().database.url.get_secret_value()
    assert url == opened.format(folder=folder)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("postgresql+psycopg://u:hunter2@h:5/d?x=1", "postgresql+psycopg://u:***@h:5/d?x=1"),
        ("postgresql+psycopg://u:h/u?n@ter2@h/d", "postgresql+psycopg://u:***@h/d"),
        (
            "postgresql+psycopg://h/d?user=u&password=hunter2&x=1",
            "postgresql+psycopg://h/d?user=u&password=***&x=1",
        ),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:////var/a:b.db", "sqlite:////var/a:b.db"),
    ],
)
def test_the_safe_url_has_no_password(write: Write, url: str, safe: str) -> None:
    write("syncd.toml", f"[database]\nurl = '{url}'\n")
    loaded = settings.load()
    assert loaded.database.safe_url() == safe
    assert "hunter2" not in repr(loaded)


# -- connections and mappings ----------------------------------------------------------------------


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), (" 7d ", 168), ("2w", 336)])
def test_how_often_everything_is_read_is_a_span(write: Write, text: str, hours: int) -> None:
    write("connections/a.toml", f"connector = 'csv'\nfull_every = '{text}'\n")
    assert settings.load().connection("a").full_every == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["7", "'7'", "'0d'", "'7m'", "'-1d'", "'99999d'", "''"])
def test_a_span_of_another_form_is_refused(write: Write, text: str) -> None:
    write("connections/a.toml", f"connector = 'csv'\nfull_every = {text}\n")
    with pytest.raises(ConfigError, match=r'a.toml:2: full_every: .*such as "12h", "7d" or "2w"'):
        settings.load()


def test_a_connection_is_named_by_its_file(write: Write) -> None:
    write("mappings/hr.toml", "[user]\nmatch = ['email']\n")
    write(
        "connections/people-1.toml",
        "connector = 'csv'\nmapping = 'hr'\ndescription = 'x'\n[config]\nkey = 'email'\n",
    )
    write("connections/.hidden.toml", "not TOML")
    write("connections/people.toml~", "not TOML")
    loaded = settings.load()
    assert list(loaded.connections) == ["people-1"]
    connection = loaded.connection("people-1")
    assert (connection.connector, connection.mapping) == ("csv", "hr")
    assert (connection.description, connection.config) == ("x", {"key": "email"})
    assert loaded.mappings["hr"].data == {"user": {"match": ["email"]}}
    assert loaded.mappings["hr"].path == "config/mappings/hr.toml"


@pytest.mark.parametrize("name", ["People", "a b", "local", "ö", "x" * 65])
def test_a_name_that_cannot_be_used_is_refused(write: Write, name: str) -> None:
    write(f"connections/{name}.toml", "connector = 'csv'")
    assert "rename this file" in refusal()


def test_an_unknown_connection_is_answered_with_the_nearest(write: Write) -> None:
    write("mappings/csv.toml", "")
    write("connections/people.toml", "connector = 'csv'")
    with pytest.raises(ConfigError, match='no connection "peple"; did you mean "people"'):
        settings.load().connection("peple")


def test_a_connection_without_a_connector_is_refused(write: Write) -> None:
    write("connections/a.toml", "description = 'x'\n")
    assert refusal() == "config/connections/a.toml: connector: is missing"


def test_the_mapping_is_the_named_one_then_that_of_the_connector_then_the_shipped_one(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipped = tmp_path / "mapping" / "defaults"
    shipped.mkdir(parents=True)
    (shipped / "csv.toml").write_text("[site]\nmain = 'Shipped'\n", encoding="utf-8")
    monkeypatch.setattr(settings.resources, "files", lambda package: tmp_path)
    write("connections/a.toml", "connector = 'csv'")
    assert settings.load().mappings["csv"].data == {"site": {"main": "Shipped"}}
    write("mappings/csv.toml", "[site]\nmain = 'Ours'\n")
    loaded = settings.load()
    assert loaded.mappings[loaded.connections["a"].mapping].data == {"site": {"main": "Ours"}}
    write("mappings/other.toml", "")
    write("connections/a.toml", "connector = 'csv'\nmapping = 'other'")
    assert settings.load().connections["a"].mapping == "other"


@pytest.mark.parametrize("name", ["peple", "../syncd", "/etc/passwd"])
def test_a_misspelled_mapping_never_falls_back(write: Write, name: str) -> None:
    write("mappings/people.toml", "")
    write("connections/a.toml", f"connector = 'csv'\n\nmapping = '{name}'\n")
    assert refusal().startswith("config/connections/a.toml:3: mapping: there is no mappings/")


@pytest.mark.parametrize("key", ['"user.phone"', "user.phone"])
def test_precedence_names_fields_with_or_without_quotes(write: Write, key: str) -> None:
    write("mappings/csv.toml", "")
    write("connections/a.toml", "connector = 'csv'")
    write("syncd.toml", f"[precedence]\ndefault = ['a']\n{key} = ['a']\n")
    assert settings.load().precedence == {"default": ["a"], "user.phone": ["a"]}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('default = ["b"]', 'there is no connection "b"'),
        ('phone = ["a"]', 'write "default" or a field such as "user.phone"'),
        ("default = 3", "Input should be a valid list"),
    ],
)
def test_wrong_precedence_is_refused_with_its_line(write: Write, line: str, problem: str) -> None:
    write("mappings/csv.toml", "")
    write("connections/a.toml", "connector = 'csv'")
    write("syncd.toml", f"[precedence]\n\n{line}\n")
    assert refusal().startswith("config/syncd.toml:3: precedence.")
    assert problem in refusal()


def test_the_sample_configuration_is_valid() -> None:
    loaded = settings.load(Path(__file__).parents[1] / "config")
    assert list(loaded.connections) == ["payroll", "people"]
    assert loaded.mappings["people"].data["user"]["match"] == ["email", "login"]


# -- a mapping that extends another ----------------------------------------------------------------


def layers(name: str, loaded: settings.Settings | None = None) -> list[str]:
    """The files that a mapping is made of, the outermost first."""
    file: TomlFile | None = (loaded or settings.load()).mappings[name]
    paths = []
    while file:
        paths.insert(0, file.path)
        file = file.base
    return paths


def meaning(write: Write, mapping: str) -> Mapping:
    """What a mapping means to a connection that uses it."""
    write("connections/a.toml", f"connector = 'csv'\nmapping = '{mapping}'\n")
    engine = Engine.open(settings.load(), check=False)
    try:
        return engine.rules("a").mapping
    finally:
        engine.database.close()


def test_a_mapping_is_made_of_its_file_and_all_that_it_extends(write: Write) -> None:
    write("mappings/c.toml", "extends = 'b'\n[user]\nadopt = false\n")
    write("mappings/b.toml", "extends = 'csv'\n[site]\nmain = 'HQ'\n")
    shipped = "syncd/mapping/defaults/csv.toml"
    assert layers("c") == [shipped, "config/mappings/b.toml", "config/mappings/c.toml"]
    assert layers("b") == [shipped, "config/mappings/b.toml"]

    mapping = meaning(write, "c")

    assert mapping.client.fields["top_level"].sources == ("parent",)  # as shipped for sheets
    assert (mapping.site.main, mapping.user.adopt) == ("HQ", False)


def test_a_configured_base_hides_the_shipped_one_but_from_itself(write: Write) -> None:
    write("mappings/csv.toml", "extends = 'csv'\n")
    write("mappings/people.toml", "extends = 'csv'\n")
    shipped = "syncd/mapping/defaults/csv.toml"
    assert layers("csv") == [shipped, "config/mappings/csv.toml"]
    assert layers("people") == [*layers("csv"), "config/mappings/people.toml"]


@pytest.mark.parametrize(
    ("extends", "problem"),
    [
        (
            "'peple'",
            'there is no mappings/peple.toml and no shipped default; did you mean "people"',
        ),
        ("'cvs'", 'there is no mappings/cvs.toml and no shipped default; did you mean "csv"?'),
        ("'../syncd'", "name another mapping, such as extends = "),
        ("'people.toml'", "name another mapping, such as extends = "),
        ("''", "name another mapping, such as extends = "),
        ("['people']", "name another mapping, such as extends = "),
        ("true", "name another mapping, such as extends = "),
    ],
)
def test_a_base_that_is_not_there_is_named_with_its_line(
    write: Write, extends: str, problem: str
) -> None:
    write("mappings/people.toml", "")
    write("mappings/new.toml", f"# what is new\nextends = {extends}\n")
    write("connections/a.toml", "connector = 'csv'\nmapping = 'new'\n")
    assert refusal().startswith("config/mappings/new.toml:2: extends: ")
    assert problem in refusal()


def test_mappings_that_extend_one_another_are_refused_with_the_way_round(write: Write) -> None:
    for name, base in (("a", "b"), ("b", "c"), ("c", "b")):
        write(f"mappings/{name}.toml", f"extends = '{base}'\n")
    write("connections/x.toml", "connector = 'csv'\nmapping = 'a'\n")
    b, c = "config/mappings/b.toml", "config/mappings/c.toml"
    assert refusal() == (
        f"{c}:1: extends: that goes round in a circle: "
        f"config/mappings/a.toml, which extends {b}, which extends {c}, which extends {b}"
    )


def test_a_mapping_that_extends_itself_is_refused(write: Write) -> None:
    write("mappings/mine.toml", "extends = 'mine'\n")
    write("connections/a.toml", "connector = 'csv'\nmapping = 'mine'\n")
    assert refusal().startswith("config/mappings/mine.toml:1: extends: that goes round in a circle")


BROKEN = {
    "broken": ("[user", "config/mappings/broken.toml:1: not valid TOML: "),
    "alone": ("extends = 'nobody'", "config/mappings/alone.toml:1: extends: there is no mappings/"),
    "round": ("extends = 'round'", "config/mappings/round.toml:1: extends: that goes round"),
    "above": ("extends = 'broken'", "config/mappings/broken.toml:1: not valid TOML: "),
    "unset": ("[user]\nscope = '${NOWHERE}'", "config/mappings/unset.toml:2: user.scope: the env"),
    "a-folder": (None, "config/mappings/a-folder.toml: cannot be read: "),
}


@pytest.fixture
def broken(write: Write, folder: Path) -> None:
    """Mappings of every kind that cannot be used, and a connection that uses none of them."""
    for name, (text, _) in BROKEN.items():
        if text is None:
            (folder / "mappings" / f"{name}.toml").mkdir()
        else:
            write(f"mappings/{name}.toml", text)
    write("mappings/fine.toml", "extends = 'csv'\n")
    write("connections/people.toml", "connector = 'csv'\nmapping = 'fine'\n")


@pytest.mark.usefixtures("broken")
def test_a_mapping_that_no_connection_uses_may_be_broken() -> None:
    loaded = settings.load()
    assert loaded.mappings.keys() == {"fine"}
    assert loaded.unusable.keys() == BROKEN.keys()


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_mapping_is_refused_where_something_uses_it(write: Write, name: str) -> None:
    problem = BROKEN[name][1]
    new = write("new.toml", f"extends = '{name}'\n")
    with pytest.raises(ConfigError, match=re.escape(problem)):
        settings.load().under("people", new)
    write("mappings/between.toml", f"extends = '{name}'\n")
    for used in (name, "between"):
        write("connections/other.toml", f"connector = 'csv'\nmapping = '{used}'\n")
        assert refusal().startswith(problem)


@pytest.mark.parametrize(
    ("base", "extending", "message"),
    [
        (
            "[user]\nadopt = 3\n",
            "[user]\nmatch = ['email']\n",
            "config/mappings/base.toml:2: user.adopt: Input should be a valid boolean",
        ),
        (
            "[user]\nadopt = false\n",
            "\n[user]\nadpt = true\n",
            'config/mappings/top.toml:4: user.adpt: unknown key; did you mean "adopt"?',
        ),
        (
            "[user]\nscope = 'citty'\n",
            "[user]\nadopt = false\n",
            'config/mappings/base.toml:2: user.scope: Person records have no "citty"; did you mean',
        ),
        (
            "[user]\nscope = 'city'\n",
            "[user.fields]\nphone = '{mobile'\n",
            "config/mappings/top.toml:3: user.fields.phone: a brace in the template is not part of",
        ),
        (
            "[user.fields]\nphone = { from = 'mobile', when = 'empty' }\n",
            "[user.fields]\nnotes = false\nphone = { clear = true }\n",
            'config/mappings/top.toml:4: user.fields.phone: `clear` needs when = "always"',
        ),
        (
            "[gone]\ndisabled = { after = '2 weeks' }\n",
            "",
            'config/mappings/base.toml:2: gone.disabled.after: "2 weeks" is not a time',
        ),
    ],
)
def test_a_wrong_value_is_named_with_the_file_in_which_it_stands(
    write: Write, base: str, extending: str, message: str
) -> None:
    write("mappings/base.toml", base)
    write("mappings/top.toml", f"extends = 'base'\n{extending}")
    with pytest.raises(ConfigError) as refused:
        meaning(write, "top")
    assert str(refused.value).startswith(message)


def test_settings_can_be_read_as_if_a_file_were_the_mapping_of_one_connection(
    write: Write, tmp_path: Path
) -> None:
    write("mappings/people.toml", "[site]\nmain = 'HQ'\n")
    for name in ("a", "b"):
        write(f"connections/{name}.toml", "connector = 'csv'\nmapping = 'people'\n")
    (tmp_path / "people.toml").write_text("extends = 'people'\n[user]\nadopt = false\n")

    edited = settings.load().under("a", tmp_path / "people.toml")

    names = {name: one.mapping for name, one in edited.connections.items()}
    assert names["b"] == "people"
    assert layers(names["a"], edited) == ["config/mappings/people.toml", "people.toml"]
    assert layers("people", edited) == ["config/mappings/people.toml"]


# -- explain, for what others validate -------------------------------------------------------------


class Rule(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: str = Field(alias="from")
    when: Literal["create", "empty"] = "empty"


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fields: dict[str, str | list[str] | Rule] = {}
    rules: list[Rule] = []


TEXT = '''
# fields = "not here"
[fields]
text = """
phone = "not here"
"""
"phone" = { from = "x", whn = "empty" }
name = { }

[[rules]]
from = "a"
[[rules]]
from = "b"
when = "never"
'''


def test_explain_finds_the_line_through_unions_quotes_and_tables_in_lists() -> None:
    file = toml_file.parse(TEXT, "m", "m.toml", Path())
    with pytest.raises(ValidationError) as caught:
        Table.model_validate(file.data)
    lines = str(file.explain(caught.value, Table)).splitlines()
    assert [line for line in lines if "whn" in line or "when" in line] == [
        'm.toml:7: fields.phone.whn: unknown key; did you mean "when"?',
        "m.toml:14: rules.1.when: Input should be 'create' or 'empty'",
    ]
    assert [line.rpartition(":")[0] for line in lines if "from" in line] == [
        "m.toml:8: fields.name.from"
    ]
    assert all(line.startswith("m.toml:") for line in lines)


def test_a_key_that_is_not_in_the_text_gets_the_line_of_its_table() -> None:
    file = toml_file.parse("[a]\nx = 1\n[b]\n", "m", "m.toml", Path())
    assert file.line_of(("b", "missing")) == 3
    assert file.line_of(("c",)) is None
    assert str(file.error(("b", "key"), "is wrong")) == "m.toml:3: b.key: is wrong"
