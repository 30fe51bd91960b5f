from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from syncd import log

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    import structlog

    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.getLogger(log.ROOT).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged as JSON since the last call; nothing may go to stdout."""
    log.configure("info", "json")

    def read() -> list[dict[str, Any]]:
        captured = capsys.readouterr()
        assert captured.out == ""
        return [json.loads(line) for line in captured.err.splitlines()]

    return read


def test_a_line_holds_event_level_module_time_and_fields(lines: Lines) -> None:
    log.get("syncd.sync").info("step.claimed", step=7, took=0.5)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "step.claimed",
        "level": "info",
        "logger": "syncd.sync",
        "step": 7,
        "took": 0.5,
    }


def test_bound_fields_are_on_every_line_inside_the_block_only(lines: Lines) -> None:
    logger = log.get()
    with log.bind(run="r1", connection="people"):
        with log.bind(partition="north"):
            logger.info("inner")
        logger.info("outer")
    logger.info("after")
    inner, outer, after = lines()
    assert (inner["run"], inner["connection"], inner["partition"]) == ("r1", "people", "north")
    assert outer["run"] == "r1"
    assert "partition" not in outer
    assert "run" not in after


def test_only_lines_from_the_level_on_are_written(lines: Lines) -> None:
    log.configure("warning", "json")
    log.get().info("quiet")
    log.get().warning("loud")
    assert [line["event"] for line in lines()] == ["loud"]


def test_a_second_configure_replaces_the_first(lines: Lines) -> None:
    log.configure("info", "json")
    log.get().info("once")
    assert len(lines()) == 1


def test_warnings_of_libraries_are_redacted_and_their_chatter_is_left_out(lines: Lines) -> None:
    library = logging.getLogger("somebody.http")
    library.info("GET https://host.example.com/people/anna")
    library.warning("retry %s", "https://joe:hunter2@host.example.com/")
    (line,) = lines()
    assert line["event"] == "retry https://joe:***@host.example.com/"


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_passwd",
        "client_secret",
        "clientSecret",
        "access_token",
        "token",
        "Authorization",
        "Set-Cookie",
        "api_key",
        "apikey",
        "private_key",
        "credentials",
        "client_assertion",
        "pwd",
    ],
)
def test_a_field_whose_name_promises_a_secret_is_hidden(lines: Lines, key: str) -> None:
    log.get().info("x", **{key: "hunter2"}, nested=[{key: {"deep": "hunter2"}}])
    (line,) = lines()
    assert "hunter2" not in json.dumps(line)
    assert line[key] == "***"


@pytest.mark.parametrize(
    "key", ["key", "keys", "tokens_left", "partition", "cursor_reset", "author"]
)
def test_an_ordinary_field_is_shown(lines: Lines, key: str) -> None:
    log.get().info("x", **{key: "shown"})
    assert lines()[0][key] == "shown"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://syncd:hunter2@db.example.com/syncd",
        "postgresql://syncd:hun/ter2@x@hunter2@db.example.com/syncd",
        "header was Bearer hunter2.hunter2",
        "Basic aHVudGVyMg-hunter2==",
        "host=db password=hunter2 user=syncd",
        "password: 'hunter2 with spaces'",
        '{"refresh_token": "hunter2", "x": 1}',
        "https://login.example.com/?code=hunter2&state=1",
        "https://graph.example.com/users/delta?$deltatoken=hunter2",
        "token is eyJhbGciOi.hunter2.hunter2",
    ],
)
def test_a_secret_inside_a_text_is_hidden(lines: Lines, text: str) -> None:
    log.get().info(text, text=text, texts=[text])
    try:
        raise ValueError(text)
    except ValueError:
        log.get().exception("failed")
    assert "hunter2" not in json.dumps(lines())


def test_secret_strings_and_bytes_are_never_shown(lines: Lines) -> None:
    log.get().info("x", url=SecretStr("hunter2"), raw=b"hunter2")
    (line,) = lines()
    assert line["url"] == "***"
    assert line["raw"] == "<7 bytes>"


def test_values_keep_their_meaning(lines: Lines) -> None:
    some_id = UUID(int=7)
    log.get().info("x", id=some_id, path=Path("a/b"), none=None, yes=True, many=(1, 2))
    (line,) = lines()
    assert line["id"] == str(some_id)
    assert line["path"] == "a/b"
    assert (line["none"], line["yes"], line["many"]) == (None, True, [1, 2])


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_value_cannot_forge_a_line_or_command_a_terminal(
    capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    log.configure("info", form)
    log.get().info("x", value="one\n2026-01-01 [info] forged\x1b[2J")
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b[2J" not in written


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_exception_comes_with_its_traceback_and_without_locals(
    capsys: pytest.CaptureFixture[str], form: Any
) -> None:
    log.configure("info", form)
    precious = "value of a " + "local"
    try:
        raise ValueError(f"{len(precious)} letters")
    except ValueError:
        log.get().exception("failed", step=3)
    written = capsys.readouterr().err
    assert "ValueError: 16 letters" in written
    assert "test_log.py" in written
    assert "value of a local" not in written


def test_before_configure_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log.get().info("quiet")
    log.get().warning("loud", password="hunter2")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "loud" in captured.err
    assert "quiet" not in captured.err
    assert "hunter2" not in captured.err


def test_importing_the_module_does_not_import_structlog() -> None:
    script = "import sys, syncd.log; print('structlog' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False"
