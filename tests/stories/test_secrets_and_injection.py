"""Nothing that is read or configured is ever executed, and no secret ever shows."""

from __future__ import annotations

import logging
import traceback

import pytest

from syncd import log
from syncd.errors import AuthFailed, ConfigError, ProviderUnavailable
from syncd.store import tables as t
from syncd.sync import walking
from tests.stories.desk import Desk, person
from tests.stories.source import Source, crowd

EVIL = "'; drop table user_account; --"
CANARY = "canary-7f3a91"


def test_names_that_look_like_sql_are_names(desk: Desk) -> None:
    """E24"""
    row = person(EVIL, EVIL, Staff_no=EVIL, Site=f'{EVIL}"', Title="%s %(x)s :x ?", Notes="\\")

    outcome = desk.sync([row, person("Ada")])

    assert outcome.state == "succeeded"
    evil = desk.user(EVIL)
    assert (evil.client, evil.site) == (EVIL, f'{EVIL}"')
    assert evil.values["job_title"] == "%s %(x)s :x ?"
    desk.sync([{**row, "Title": EVIL}, person("Ada")])
    assert desk.user(EVIL).values["job_title"] == EVIL
    desk.undo(outcome.run)
    assert desk.names() == [EVIL]  # it was changed since


TARGETS = ['name"; drop table link; --', "id", "client_id", "retired", "provenance", "keep_active"]
SOURCES = ["{__class__}", "{given_name.__class__}", "{0.__init__}", "extra.__class__",
           "{name!r:>{x}}", "custom.__globals__", "__import__('os')"]  # fmt: skip
SCOPES = ["__class__", "`1` + `1`", "__import__('os')"]


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    "mapping",
    [
        *(f"[user.fields]\n'{target}' = \"notes\"\n" for target in TARGETS),  # E24
        *(f'[user.fields]\nnotes = "{source}"\n' for source in SOURCES),  # E22
        *(f'[user]\nscope = "{scope}"\n' for scope in SCOPES),  # E22
    ],
)
def test_a_mapping_reads_nothing_but_the_record_and_writes_nothing_but_fields(
    desk: Desk, mapping: str
) -> None:
    """E22, E24"""
    desk.mapping(mapping)

    with pytest.raises(ConfigError):
        desk.sync([person("Ada")])
    assert desk.users() == []


def test_braces_in_a_record_are_text(desk: Desk) -> None:
    """E22: a template is never made of data."""
    desk.mapping('[user.fields]\nnotes = "{given_name} {family_name}"\n')

    desk.sync([person("Ada", First_name="{family_name.__class__}", Surname="{0}")])

    assert desk.user("Ada").values["notes"] == "{family_name.__class__} {0}"


def test_a_secret_is_in_no_table_log_message_or_repr(
    desk: Desk,
    source: Source,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """E15: not when all goes well, and not when it does not."""
    monkeypatch.setattr(walking.time, "sleep", lambda _seconds: None)
    log.configure("debug")
    caplog.set_level(logging.DEBUG)
    desk.connect("people", "memory", {"secret": CANARY})
    desk.reload()
    source.people, source.page_size = crowd(3), 1
    seen = [repr(desk.engine), repr(desk.engine.settings), repr(desk.engine.connector("people"))]
    seen.append(repr(desk.engine.connector("people").config))
    seen.append(repr(desk.sync()))

    source.faults = [ProviderUnavailable(f"GET https://x.example/?access_token={CANARY}: 503")] * 3
    seen.append(repr(desk.sync()))
    source.refusal = AuthFailed(f"refused: Authorization: Bearer {CANARY}")
    seen.append(repr(desk.sync()))
    seen.append(repr(desk.connection_state()))
    desk.resume()

    desk.connect("people", "memory", {"secret": CANARY, "sekret": CANARY, "page": CANARY})
    desk.reload()
    with pytest.raises(ConfigError) as refused:
        desk.sync()
    seen += ["".join(traceback.format_exception(refused.value))]

    captured = capfd.readouterr()
    tables = repr(desk.rows(*t.metadata.sorted_tables))
    assert "unavailable" in tables
    for text in (*seen, captured.out, captured.err, caplog.text, tables):
        assert CANARY not in text
