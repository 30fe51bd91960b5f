"""Files in a drop-folder: each is read once, answered row by row, and put where people find it."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import xlsxwriter

from syncd import failpoints
from syncd.connectors import base
from syncd.connectors.csv_files import Csv
from syncd.connectors.drops.folder import DropFolder
from syncd.connectors.sheets.worksheets import WorkbookSheet
from syncd.errors import ProviderUnavailable, UsageError
from syncd.store import tables as t
from syncd.store.dump import canonical_dump
from syncd.sync import dropping, flow, relinking
from syncd.sync.closing import Outcome
from tests.stories.desk import Desk, as_toml

Row = list[str]
HEADINGS = ["Name", "Email", "Client", "Site", "Phone"]


class DropDesk(Desk):
    """A desk whose connection `people` is a drop-folder."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.drop = folder.parent / "drop"
        self.drop.mkdir()
        self.configure()

    def configure(self, files: list[dict[str, Any]] | None = None, **config: Any) -> None:
        """Change settings of the drop-folder."""
        said = {"folder": "../drop", "contents": "full", "key": "Email", "stable_for": 0.0}
        chosen = {name: value for name, value in {**said, **config}.items() if value is not None}
        self.connect("people", "folder", chosen)
        path = self.folder / "connections" / "people.toml"
        rules = "".join(
            "\n[[config.files]]\n" + "\n".join(f"{key} = {as_toml(it)}" for key, it in one.items())
            for one in files or []
        )
        path.write_text(path.read_text() + rules)
        self.reload()

    def leave(
        self, name: str, *rows: Row, headings: Row | None = None, at: int = 0, **how: Any
    ) -> Path:
        """Drop a CSV file; `at`: its time, in minutes from some day on."""
        path = self.drop / name
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="", encoding=how.get("encoding", "utf-8")) as file:
            writer = csv.writer(file, delimiter=how.get("delimiter", ","))
            writer.writerows([HEADINGS if headings is None else headings, *rows])
        os.utime(path, (1_790_000_000 + at * 60,) * 2)
        return path

    def dump(self) -> str:
        return canonical_dump(self.database)

    def client_values(self, name: str) -> dict[str, Any]:
        return self._values(t.client, name)

    def site_values(self, name: str) -> dict[str, Any]:
        return self._values(t.site, name)

    def _values(self, table: sa.Table, name: str) -> dict[str, Any]:
        with self.database.read() as conn:
            found = conn.execute(sa.select(table).where(table.c.name == name))
            return dict(found.mappings().one())

    def work_off(self, mode: str = "apply") -> list[Outcome]:
        return list(dropping.sync_all(self.engine, "people", mode=mode, actor="tester"))

    def only(self) -> Outcome:
        """Of the one file that was dropped."""
        outcomes = self.work_off()
        assert len(outcomes) == 1
        return outcomes[0]

    def lying(self) -> list[str]:
        """Every file in the folder."""
        files = (path for path in self.drop.rglob("*") if not path.is_dir())
        return sorted(str(path.relative_to(self.drop)) for path in files)

    def answers(self, name: str) -> list[tuple[str, str, str]]:
        """Outcome, code and entity of each row of an answer."""
        with (self.drop / name).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        wanted = ("syncd_outcome", "syncd_reason_code", "syncd_entity")
        return [tuple(row[one] for one in wanted) for row in rows]  # type: ignore[misc]


@pytest.fixture
def desk(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DropDesk]:
    found: dict[str, Any] = {"folder": DropFolder, "csv": Csv}
    monkeypatch.setattr(base, "find", found.__getitem__)
    opened = DropDesk(tmp_path / "config", database_url)
    yield opened
    opened.close()


def row(name: str, client: str = "Acme", site: str = "", phone: str = "") -> Row:
    return [name, f"{name.lower()}@{client.lower()}.example", client, site, phone]


def staff(count: int, client: str = "Acme") -> list[Row]:
    return [row(f"P{number}", client) for number in range(count)]


# -- what becomes of a file ------------------------------------------------------------------------


def test_a_dropped_file_is_applied_answered_and_put_away(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada", site="Bath"), row("Bo"))

    outcome = desk.only()

    assert outcome.state == "succeeded"
    assert outcome.file is not None
    assert outcome.file.went == "processed/people.csv"
    assert desk.lying() == ["processed/people.csv", "processed/people.result.csv"]
    assert desk.answers("processed/people.result.csv") == [
        ("created", "", "Ada <ada@acme.example> (Acme)"),
        ("created", "", "Bo <bo@acme.example> (Acme)"),
    ]
    assert {one.name: one.site for one in desk.users()} == {"Ada": "Bath", "Bo": "Main"}


def test_every_row_has_an_answer_and_the_failed_ones_a_file(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"), row("Bo"), headings=HEADINGS)
    desk.work_off()
    path = desk.leave("people2.csv", row("Ada", phone="+44 1"), row("Bo"), row("Cy"), at=1)
    with path.open("a") as file:
        file.write("Dee,,Acme,,\nEli,eli@acme.example\n,,Acme,York,\n")
    os.utime(path, (1_790_000_999,) * 2)

    outcome = desk.only()

    assert (outcome.state, outcome.code) == ("partial", "quarantine")
    assert [one[:2] for one in desk.answers("processed/people2.result.csv")] == [
        ("updated", ""),
        ("unchanged", ""),
        ("created", ""),
        ("failed", "missing_key"),
        ("failed", "ragged_row"),
        ("empty", ""),
    ]
    assert desk.answers("processed/people2.failed.csv") == [
        ("failed", "missing_key", "(people2.csv, line 5)"),
        ("failed", "ragged_row", "(people2.csv, line 6)"),
    ]


def test_repairing_the_failed_rows_finishes_the_job(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"), ["Bo", "", "Acme", "", "'+1"], ["Cy"])
    desk.work_off()
    assert len(desk.quarantine()) == 2
    failed = (desk.drop / "processed/people.failed.csv").read_text(encoding="utf-8-sig")
    repaired = failed.replace("Bo,,", "Bo,bo@acme.example,").replace(
        "Cy,,,", "Cy,cy@acme.example,Acme,"
    )
    (desk.drop / "repaired.csv").write_text(repaired)

    outcome = desk.only()

    assert outcome.state == "succeeded", outcome
    assert desk.names(active=True) == ["Ada", "Bo", "Cy"]
    assert desk.quarantine() == {}
    assert desk.user("Bo").values["phone"] == "'+1"


def test_an_answer_can_make_nobody_leave_whatever_stands_in_it(desk: DropDesk) -> None:
    """A key may look like the place of a row."""
    odd = ["Odd", "(x.csv, line 2)", "Acme", "", ""]
    desk.leave("people.csv", odd, row("Ada"))
    desk.work_off()
    answer = [*row("Ada"), "failed", "missing_key", "", "(x.csv, line 2)"]
    headings = [*HEADINGS, "syncd_outcome", "syncd_reason_code", "syncd_reason", "syncd_entity"]
    desk.leave("answer.csv", answer, headings=headings, at=1)

    desk.only()

    assert desk.names(active=True) == ["Ada", "Odd"]


def test_what_is_dropped_again_without_repair_still_waits(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"), ["Bo", "", "Acme", "", ""])
    desk.work_off()
    failed = desk.drop / "processed/people.failed.csv"
    for name in ("people.failed.csv", "people.csv"):
        (desk.drop / name).write_bytes(failed.read_bytes() + b"\n")
        desk.work_off()
        assert len(desk.quarantine()) == 1, name


def test_a_failed_rows_file_never_says_who_is_missing(desk: DropDesk) -> None:
    desk.leave("people.csv", *staff(9), ["X", "", "Acme", "", ""])
    desk.work_off()
    (desk.drop / "processed/people.failed.csv").rename(desk.drop / "Copy of a list.csv")

    outcome = desk.only()

    assert outcome.state == "partial"
    assert outcome.counts.get("absent people", 0) == 0
    assert len(desk.names(active=True)) == 9


def test_the_same_file_again_is_a_no_op(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    first = desk.only()
    desk.leave("another name.csv", row("Ada"), at=9)
    before = desk.dump()

    outcome = desk.only()

    assert outcome.reason is not None
    assert f"applied before (people.csv, run {first.run})" in outcome.reason
    assert desk.dump() == before
    assert desk.answers("processed/another name.result.csv") == [
        ("unchanged", "", "Ada <ada@acme.example> (Acme)")
    ]


def test_dropping_a_processed_file_again_changes_nothing_although_it_lost_a_column(
    desk: DropDesk,
) -> None:
    desk.leave("people.csv", [*row("Ada"), "hunter2"], headings=[*HEADINGS, "Password"])
    desk.work_off()
    (desk.drop / "processed/people.csv").rename(desk.drop / "people.csv")

    assert "applied before" in str(desk.only().reason)


def test_a_file_whose_run_was_taken_back_is_applied_again(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    run = desk.only().run
    desk.undo(run)
    desk.resume()
    desk.leave("people.csv", row("Ada"))

    assert desk.only().counts["create user"] == 1
    assert desk.lying()[:2] == ["processed/people.csv", "processed/people.result.csv"]


def test_the_oldest_file_comes_first(desk: DropDesk) -> None:
    desk.leave("b.csv", row("Ada", phone="1"), at=5)
    desk.leave("a.csv", row("Ada", phone="2"), at=7)
    desk.leave("c.csv", row("Ada", phone="3"), at=6)

    told = [outcome.file.name for outcome in desk.work_off() if outcome.file]

    assert told == ["b.csv", "c.csv", "a.csv"]
    assert desk.user("Ada").values["phone"] == "2"


def test_a_plan_neither_claims_nor_moves(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    before = desk.lying()

    planned = desk.work_off("plan")

    assert [one.state for one in planned] == ["planned"]
    assert planned[0].counts["create user"] == 1
    assert desk.lying() == before
    assert not list(desk.drop.glob(".syncd"))
    assert desk.users() == []


def test_a_plan_tells_of_every_file_what_a_sync_would_do(desk: DropDesk) -> None:
    held(desk)
    (desk.drop / "link.csv").symlink_to("/dev/null")
    desk.leave("other.csv", row("Bo"), at=9)
    desk.leave("people.csv", *staff(2), at=8)
    before = desk.lying()

    told = {one.file.name: (one.state, one.code) for one in desk.work_off("plan") if one.file}

    assert told == {
        "link.csv": ("failed", "refused"),
        "other.csv": ("held", "waits"),
        "people.csv": ("planned", "held"),
    }
    assert desk.lying() == before


def test_an_empty_folder_means_nothing(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    desk.work_off()

    assert desk.work_off() == []
    assert desk.names(active=True) == ["Ada"]


def test_a_missing_folder_pauses_the_connection(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    desk.work_off()
    desk.drop.rename(desk.drop.with_name("elsewhere"))

    with pytest.raises(ProviderUnavailable, match="cannot be read"):
        desk.work_off()
    with pytest.raises(UsageError, match=r"is paused: the folder .* cannot be read"):
        desk.work_off()
    assert desk.names(active=True) == ["Ada"]

    desk.drop.with_name("elsewhere").rename(desk.drop)
    desk.resume()
    assert desk.work_off() == []


def test_a_folder_that_is_not_mounted_is_no_empty_folder(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    desk.work_off()
    desk.drop.rename(desk.drop.with_name("volume"))
    desk.drop.mkdir()  # what a mount point is without what is mounted

    with pytest.raises(ProviderUnavailable, match="is not mounted"):
        desk.work_off()
    assert desk.connection_state()[0] == "paused"

    desk.resume()
    desk.configure(folder="../volume")
    assert desk.work_off() == []


# -- finished files, and whose they are ------------------------------------------------------------


def test_a_file_that_still_grows_is_left_alone(
    desk: DropDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.leave("people.csv", row("Ada"))
    os.utime(path)
    monkeypatch.setattr(
        "syncd.connectors.drops.places.time.sleep", lambda _seconds: path.write_text("Name\n")
    )

    (outcome,) = desk.work_off()

    assert outcome.code == "unfinished"
    assert desk.lying() == ["people.csv"]


def test_a_file_may_have_to_be_declared_finished(desk: DropDesk) -> None:
    desk.configure(finished="done")
    desk.leave("people.csv", row("Ada"))
    assert [one.code for one in desk.work_off()] == ["unfinished"]

    (desk.drop / "people.csv.done").touch()

    assert desk.only().state == "succeeded"
    assert desk.lying() == ["processed/people.csv", "processed/people.result.csv"]


def test_a_file_that_is_given_back_is_as_finished_as_it_was(
    desk: DropDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.configure(finished="done", contents=None)
    desk.leave("people.csv", row("Ada"))
    (desk.drop / "people.csv.toml").write_text('contents = "full"\n')
    (desk.drop / "people.csv.done").touch()

    def broken(*_: object) -> None:
        raise ProviderUnavailable("the disk is away for a moment")

    with monkeypatch.context() as patched:
        patched.setattr("syncd.sync.walking.read_all", broken)
        assert desk.only().state == "failed"
    assert desk.lying() == ["people.csv", "people.csv.done", "people.csv.toml"]

    assert desk.only().state == "succeeded"


@pytest.mark.parametrize("name", ["people.csv.part", "~$people.xlsx", ".people.csv", "x.tmp"])
def test_what_programs_are_still_writing_is_passed_over(desk: DropDesk, name: str) -> None:
    desk.leave(name, row("Ada"))
    assert desk.work_off() == []
    assert desk.lying() == [name]


def test_what_is_no_file_is_never_opened(desk: DropDesk) -> None:
    outside = desk.drop.parent / "outside.csv"
    outside.write_text("Name,Email,Client\nEve,eve@evil.example,Evil\n")
    (desk.drop / "link.csv").symlink_to(outside)
    os.link(outside, desk.drop / "hard.csv")
    os.mkfifo(desk.drop / "pipe.csv")
    (desk.drop / "folder.csv").mkdir()
    (desk.drop / "linked folder").symlink_to(desk.drop.parent)
    (desk.drop / "picture.png").write_bytes(b"PNG")

    outcomes = desk.work_off()

    assert {one.code for one in outcomes} == {"refused"}
    assert len(outcomes) == 6
    assert desk.users() == []
    assert outside.read_text().startswith("Name,")
    whys = [name for name in desk.lying() if name.endswith(".why.txt")]
    assert len(whys) == 6
    assert "not a regular file" in (desk.drop / "rejected/pipe.csv.why.txt").read_text()


@pytest.mark.parametrize(
    "name", ["a\nb.csv", "😀.csv", "x" * 250 + ".csv", "=cmd.csv", "\x1b[31m.csv"]
)
def test_odd_names_stay_in_the_folder_and_are_shown_safely(desk: DropDesk, name: str) -> None:
    desk.leave(name, row("Ada"))

    outcome = desk.only()

    assert outcome.state == "succeeded"
    assert outcome.file is not None
    assert outcome.file.name.isprintable()
    assert len(desk.lying()) == 2
    assert all(one.startswith("processed/") for one in desk.lying())


def test_a_name_that_is_no_text_is_no_harm(desk: DropDesk) -> None:
    path = os.fsencode(desk.drop) + b"/caf\xe9.csv"
    with open(path, "w") as file:  # noqa: PTH123  # a path of bytes
        file.write("Name,Email,Client\nAda,ada@acme.example,Acme\n")
    assert desk.only().state == "succeeded"
    assert desk.lying()[0].startswith("processed/caf")


# -- what a file promises --------------------------------------------------------------------------


def test_nobody_guesses_whether_a_list_is_full(desk: DropDesk) -> None:
    desk.connect("people", "folder", {"folder": "../drop", "key": "Email", "stable_for": 0.0})
    desk.reload()
    desk.leave("people.csv", row("Ada"))

    outcome = desk.only()

    assert (outcome.state, outcome.code) == ("failed", "refused")
    assert "nobody said whether it is a full list" in str(outcome.reason)
    assert desk.users() == []


def test_who_is_missing_from_a_full_list_leaves_as_the_mapping_says(desk: DropDesk) -> None:
    desk.leave("people.csv", *staff(9), *staff(9, "Beta"))
    desk.work_off()
    desk.leave("acme.csv", *staff(8), at=1)

    assert desk.only().counts["deactivate user"] == 1

    assert len(desk.names(active=True)) == 17, "of Beta, which the file does not name, nobody left"


def test_a_full_list_may_be_declared_to_be_of_all_clients(desk: DropDesk) -> None:
    desk.configure(full_for="all")
    desk.leave("people.csv", *staff(9), *staff(2, "Beta"))
    desk.work_off()
    desk.leave("acme.csv", *staff(9), at=1)

    outcome = desk.only()

    assert outcome.state == "held", "it would empty Beta"


def test_changes_say_nothing_of_who_is_missing(desk: DropDesk) -> None:
    desk.configure(files=[{"name": "*-changes.csv", "contents": "changes"}])
    desk.leave("people.csv", *staff(9))
    desk.work_off()
    desk.leave("march-changes.csv", row("P1", phone="1"), at=1)

    outcome = desk.only()

    assert outcome.counts["update user"] == 1
    assert len(desk.names(active=True)) == 9


def test_three_of_two_hundred_as_a_full_list_are_held(desk: DropDesk) -> None:
    """C24"""
    desk.leave("people.csv", *staff(200))
    desk.work_off()
    desk.leave("people.csv", *staff(3), at=1)

    outcome = desk.only()

    assert outcome.state == "held"
    assert desk.lying()[0] == "held/people.csv"
    assert len(desk.names(active=True)) == 200


def test_a_manifest_declares_what_nobody_configured(desk: DropDesk) -> None:
    desk.connect("people", "folder", {"folder": "../drop", "key": "Email", "stable_for": 0.0})
    desk.reload()
    desk.leave("people.csv", row("Ada"))
    (desk.drop / "people.csv.toml").write_text('contents = "changes"\n')

    assert [one.state for one in desk.work_off("plan")] == ["planned"]
    assert desk.only().state == "succeeded"
    assert desk.lying() == ["processed/people.csv", "processed/people.result.csv"]


def test_a_manifest_with_a_mistake_refuses_its_file(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    (desk.drop / "people.csv.toml").write_text('contnts = "changes"\n')

    outcome = desk.only()

    assert outcome.code == "refused"
    assert "contnts" in str(outcome.reason)
    assert desk.users() == []


def test_a_file_without_a_client_takes_it_from_its_folder(desk: DropDesk) -> None:
    headings = ["Name", "Email"]
    desk.leave("Contoso Ltd/staff.csv", ["Ada", "ada@contoso.example"], headings=headings)
    desk.leave("staff.csv", ["Bo", "bo@x.example"], headings=headings)

    refused, outcome = sorted(desk.work_off(), key=lambda one: one.state)

    assert outcome.state == "succeeded"
    assert "has no client column" in str(refused.reason)
    assert [one.client for one in desk.users()] == ["Contoso Ltd"]
    assert "processed/Contoso Ltd/staff.result.csv" in desk.lying()


def test_a_folder_says_more_of_a_client_than_the_connection_and_a_rule_says_most(
    desk: DropDesk,
) -> None:
    rule = {"name": "Contoso/*", "client": "Contoso Limited"}
    desk.configure(client="Acme", files=[rule])
    headings = ["Name", "Email"]
    for number, folder in enumerate(["", "Beta/", "Contoso/"]):
        desk.leave(f"{folder}x.csv", [f"P{number}", f"p{number}@x.example"], headings=headings)
    desk.work_off()
    assert [one.client for one in desk.users()] == ["Acme", "Beta", "Contoso Limited"]


def test_an_older_full_list_is_held(desk: DropDesk) -> None:
    desk.leave("tuesday.csv", row("Ada", phone="2"), at=60)
    desk.work_off()
    desk.leave("monday.csv", row("Ada", phone="1"), at=1)

    outcome = desk.only()

    assert outcome.state == "held"
    assert "older than tuesday.csv" in outcome.overruns[0]
    assert desk.user("Ada").values["phone"] == "2"


def test_a_manifest_may_say_when_the_list_was_right(desk: DropDesk) -> None:
    desk.leave("monday.csv", row("Ada", phone="1"), at=1)
    desk.work_off()
    desk.leave("tuesday.csv", row("Ada", phone="2"), at=60)
    (desk.drop / "tuesday.csv.toml").write_text("as_of = 2020-01-01T08:00:00Z\n")

    outcome = desk.only()

    assert outcome.state == "held"
    assert "tuesday.csv is a full list that is older than monday.csv" in outcome.overruns[0]


def test_an_older_list_of_other_clients_is_none_of_its_concern(desk: DropDesk) -> None:
    desk.leave("tuesday.csv", row("Ada"), at=60)
    desk.work_off()
    desk.leave("monday.csv", row("Bo", "Beta"), at=1)

    assert desk.only().state == "succeeded"


def test_a_blank_cell_leaves_alone_what_an_earlier_file_said(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada", phone="1", site="Bath"))
    desk.work_off()
    desk.leave("people.csv", row("Ada"), at=1)

    outcome = desk.only()

    assert outcome.counts["unchanged"] == 2, "the client and the user; a site nobody names is kept"
    assert desk.user("Ada").values["phone"] == "1"


@pytest.mark.parametrize("text", ["", "Name,Email,Client\n", "Name,Email,Client\n\n , ,\n"])
def test_a_list_of_nobody_is_an_error_and_nobody_leaves(desk: DropDesk, text: str) -> None:
    """C23"""
    desk.leave("people.csv", *staff(2))
    desk.work_off()
    (desk.drop / "people.csv").write_text(text)

    outcome = desk.only()

    assert outcome.code == "refused"
    assert len(desk.names(active=True)) == 2


def test_what_cannot_be_put_away_is_put_away_later(desk: DropDesk) -> None:
    """C28"""
    desk.leave("people.csv", row("Ada"))
    (desk.drop / "processed").write_text("in the way")

    with pytest.raises(ProviderUnavailable, match=r"cannot write into .*processed"):
        desk.work_off()
    assert desk.names() == ["Ada"]
    (desk.drop / "processed").unlink()

    assert desk.work_off() == []
    assert desk.lying() == ["processed/people.csv", "processed/people.result.csv"]


def test_what_is_written_to_a_file_after_it_was_claimed_is_not_lost(desk: DropDesk) -> None:
    path = desk.leave("people.csv", row("Ada"))
    with path.open("a") as late:
        failpoints.arm("read.ended", 1, lambda: print(*row("Bo"), sep=",", file=late, flush=True))
        desk.work_off()
    assert desk.names() == ["Ada"]
    assert "people.csv" in desk.lying()

    os.utime(desk.drop / "people.csv", (1_790_000_060,) * 2)
    desk.work_off()
    assert desk.names() == ["Ada", "Bo"]


# -- headings --------------------------------------------------------------------------------------


def test_a_column_that_the_last_file_had_must_not_be_missing(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada", phone="1"))
    desk.work_off()
    desk.leave("people2.csv", ["Ada", "ada@acme.example", "Acme"], headings=HEADINGS[:3], at=1)

    outcome = desk.only()

    assert outcome.code == "refused"
    assert 'lacks the columns "site_name", "phonenumber"' in str(outcome.reason)
    assert "people.csv (run 1)" in str(outcome.reason)

    desk.configure(headings={"Site": "", "Phone": ""})
    desk.leave("people3.csv", ["Ada", "ada@acme.example", "Acme"], headings=HEADINGS[:3], at=2)
    assert desk.only().state == "succeeded"


def test_a_column_may_be_called_something_else_that_means_the_same(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    desk.work_off()
    headings = ["Full name", "E-mail", "Company", "Office", "Telephone"]
    desk.leave("people2.csv", row("Ada", phone="7"), headings=headings, at=1)

    assert desk.only().counts["update user"] == 1


def test_another_sender_may_have_other_columns(desk: DropDesk) -> None:
    desk.leave("staff 2027-03.csv", row("Ada", phone="1"))
    desk.leave("mill.csv", ["Bo", "bo@mill.example", "Mill"], headings=HEADINGS[:3], at=1)
    assert [one.state for one in desk.work_off()] == ["succeeded"] * 2
    desk.leave("staff 2027-04.csv", ["Cy", "c@acme.example", "Acme"], headings=HEADINGS[:3], at=2)
    assert desk.only().code == "refused"


def test_the_key_cannot_change_unnoticed(desk: DropDesk) -> None:
    headings = [*HEADINGS, "Staff no"]
    desk.leave("people.csv", [*row("Ada"), "1"], headings=headings)
    desk.work_off()
    desk.configure(key="Staff no")
    desk.leave("people.csv", [*row("Ada"), "1"], [*row("Bo"), "2"], headings=headings, at=1)

    outcome = desk.only()

    assert outcome.code == "refused"
    assert 'identified by "Email" since people.csv (run 1)' in str(outcome.reason)
    assert desk.names(active=True) == ["Ada"]


def test_the_key_can_change_by_a_relink(desk: DropDesk) -> None:
    headings = [*HEADINGS, "Staff no"]
    desk.leave("people.csv", [*row("Ada"), "1"], [*row("Bo"), "2"], headings=headings)
    desk.work_off()
    desk.configure(key="Staff no")

    relinking.relink(desk.engine, relinking.Wanted("people", None, (), "boss"))
    other = ["Ada", "ada.reid@acme.example", *row("Ada")[2:], "1"]
    desk.leave("people.csv", other, [*row("Bo"), "2"], headings=headings, at=1)

    outcome = desk.only()
    assert (outcome.state, outcome.counts["update user"]) == ("succeeded", 1)
    assert desk.names(active=True) == ["Ada", "Bo"]


def test_what_looks_like_a_secret_is_nowhere(desk: DropDesk) -> None:
    headings = [*HEADINGS, "Password", "PIN", "API token"]
    canary = "c4n4ry"
    desk.leave("people.csv", [*row("Ada"), *[canary] * 3], ["Bo", *[""] * 4, canary, "", ""],
               headings=headings)  # fmt: skip
    outcome = desk.only()

    assert any('"Password", "PIN", "API token" look like secrets' in one for one in outcome.notices)
    kept = [path.read_bytes() for path in desk.drop.rglob("*") if path.is_file()]
    assert len(kept) == 3
    assert not [data for data in kept if b"Password" in data or canary.encode() in data]
    assert canary not in desk.dump()


# -- held files ------------------------------------------------------------------------------------


def held(desk: DropDesk) -> int:
    desk.leave("people.csv", *staff(20))
    desk.work_off()
    desk.leave("people.csv", *staff(3), at=1)
    return desk.only().holds[0]


def test_an_approved_file_is_applied_and_answered(desk: DropDesk) -> None:
    hold = held(desk)

    outcome = desk.approve(hold)
    told = dropping.follow(desk.engine, "people", outcome.run)

    assert told is not None
    assert told.went == "processed/people~2.csv"
    assert len(desk.names(active=True)) == 3
    assert len(desk.answers("processed/people~2.result.csv")) == 3


def test_a_rejected_file_says_why(desk: DropDesk) -> None:
    hold = held(desk)

    desk.reject(hold)
    told = dropping.follow(desk.engine, "people", 2)

    assert told is not None
    assert told.went == "rejected/people.csv"
    assert "rejected" in (desk.drop / "rejected/people.csv.why.txt").read_text()
    assert len(desk.names(active=True)) == 20


def test_a_decision_is_followed_by_the_next_sync_if_the_process_ended(desk: DropDesk) -> None:
    desk.approve(held(desk))
    assert "held/people.csv" in desk.lying()

    assert desk.work_off() == []

    assert "processed/people~2.csv" in desk.lying()
    assert not (desk.drop / "held/people.csv").exists()


def test_a_newer_list_of_the_same_name_takes_the_place_of_a_held_one(desk: DropDesk) -> None:
    held(desk)
    desk.leave("people.csv", *staff(20), row("New"), at=2)

    outcome = desk.only()

    assert outcome.counts["create user"] == 1
    assert "a newer list took its place" in (desk.drop / "rejected/people.csv.why.txt").read_text()


def test_other_files_wait_behind_a_held_one(desk: DropDesk) -> None:
    hold = held(desk)
    desk.leave("more.csv", row("New"), at=2)

    (outcome,) = desk.work_off()

    assert outcome.code == "waits"
    assert "waits behind people.csv" in str(outcome.reason)
    desk.reject(hold)
    assert desk.only().counts["create user"] == 1


# -- other kinds, other formats --------------------------------------------------------------------


def test_clients_and_users_may_come_in_files_of_their_own(desk: DropDesk) -> None:
    desk.leave("b.csv", ["Acme", "A1", "acme.example"], headings=["name", "ref", "website"], at=2)
    desk.leave("c.csv", ["Bath", "Acme", "1 Mill Lane"],
               headings=["name", "client_name", "delivery_address_line1"], at=3)  # fmt: skip
    desk.leave("d.csv", row("Ada", site="Bath"), at=4)

    outcomes = desk.work_off()

    assert [one.state for one in outcomes] == ["succeeded"] * 3
    assert "read people" not in outcomes[0].counts
    (user,) = desk.users()
    assert (user.client, user.site) == ("Acme", "Bath")
    assert desk.client_values("Acme")["website"] == "acme.example", "users only mention the client"
    assert desk.site_values("Bath")["address_line1"] == "1 Mill Lane"


def test_who_waits_for_a_client_is_healed_by_the_file_that_brings_it(desk: DropDesk) -> None:
    desk.mapping("[client]\ncreate = false")
    desk.leave("people.csv", row("Ada"), at=1)
    desk.work_off()
    assert set(desk.quarantine().values()) >= {"unknown_client"}
    desk.mapping("[client]\ncreate = true")
    desk.leave("clients.csv", ["Acme", "A1", "acme.example"],
               headings=["name", "ref", "website"], at=2)  # fmt: skip

    outcome = desk.only()

    assert outcome.state == "succeeded"
    assert desk.names(active=True) == ["Ada"]


def test_who_waits_is_forgotten_only_by_a_list_that_would_have_named_them(desk: DropDesk) -> None:
    desk.mapping("[client]\ncreate = false")
    desk.leave("people.csv", row("Ada"), row("Bo", "Beta"), at=1)
    desk.work_off()
    assert {"ada@acme.example", "bo@beta.example"} <= set(desk.quarantine())

    desk.leave("people.csv", row("Cy"), at=2)
    desk.work_off()

    waiting = {key for key in desk.quarantine() if "@" in key}
    assert waiting == {"cy@acme.example", "bo@beta.example"}


def test_who_was_kept_by_hand_leaves_only_by_a_list_that_would_have_named_them(
    desk: DropDesk,
) -> None:
    desk.mapping('[gone]\nabsent = { action = "deactivate", after = [] }\n')
    beta = staff(9, "Beta")
    desk.leave("people.csv", row("Ada"), row("Bo", "Beta"), *beta, at=1)
    desk.work_off()
    desk.set("Bo", keep_active="yes")
    desk.leave("people.csv", *beta, at=2)
    desk.work_off()
    desk.release("Bo", "keep_active")

    desk.leave("people.csv", row("Ada", phone="1"), at=3)
    desk.work_off()
    assert "Bo" in desk.names(active=True)
    desk.leave("people.csv", *beta[:-1], row("P8", "Beta", phone="1"), at=4)
    desk.work_off()

    assert "Bo" in desk.names(active=False)


def test_a_workbook_is_answered_by_a_workbook(desk: DropDesk) -> None:
    path = desk.drop / "people.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, [*HEADINGS, "Password"])
        sheet.write_row(1, 0, ["Ada", "ada@acme.example", "Acme", "", 441_234, "hunter2"])
        sheet.write_row(3, 0, ["=cmd", "", "Acme"])

    outcome = desk.only()

    assert outcome.state == "partial"
    assert desk.user("Ada").values["phone"] == "441234"
    result = WorkbookSheet(
        "r", io.BytesIO((desk.drop / "processed/people.result.xlsx").read_bytes()), None
    )
    (batch,) = result.batches(10)
    assert [cells[5] for cells in batch.rows] == ["created", "failed"]
    for kept in (desk.drop / "processed").iterdir():
        assert b"hunter2" not in _unpacked(kept)
    assert (desk.drop / "processed/people.failed.xlsx").exists()


def test_a_worksheet_that_is_named_keeps_its_name_in_copies_and_answers(desk: DropDesk) -> None:
    desk.configure(worksheet="Staff")
    path = desk.drop / "people.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("Notes").write_row(0, 0, ["Anything"])
        sheet = book.add_worksheet("Staff")
        sheet.write_row(0, 0, [*HEADINGS, "Password"])
        sheet.write_row(1, 0, ["Ada", "ada@acme.example", "Acme", "", "", "hunter2"])
        sheet.write_row(2, 0, ["Bo", "", "Acme"])

    assert desk.only().state == "partial"
    (desk.drop / "processed/people.failed.xlsx").rename(desk.drop / "again.xlsx")

    assert desk.only().code != "refused"


@pytest.mark.parametrize("hidden", [True, False])
def test_secrets_of_worksheets_that_are_not_read_are_not_kept_either(
    desk: DropDesk, hidden: bool
) -> None:
    path = desk.drop / "people.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("Staff")
        sheet.write_row(0, 0, HEADINGS)
        sheet.write_row(1, 0, ["Ada", "ada@acme.example", "Acme"])
        other = book.add_worksheet("Accounts")
        other.write_row(2, 0, ["Login", "Password"])
        other.write_row(3, 0, ["ada", "hunter2"])
        if hidden:
            other.hide()

    outcome = desk.only()

    assert outcome.state == "succeeded"
    assert any('"Password"' in notice for notice in outcome.notices)
    for kept in (desk.drop / "processed").iterdir():
        assert b"hunter2" not in _unpacked(kept)


def _unpacked(path: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


def test_formulas_are_text_and_escaped_in_answers(desk: DropDesk) -> None:
    desk.leave("people.csv", ["=1+1", "a@acme.example", "Acme", "", "-5"])

    desk.only()

    text = (desk.drop / "processed/people.result.csv").read_text(encoding="utf-8-sig")
    assert "'=1+1,a@acme.example,Acme,,'-5," in text
    assert not re.search(r"(^|,)[=+@-]", text.replace("\n", ",\n"))
    assert desk.users()[0].name == "=1+1"
    assert (desk.drop / "processed/people.csv").read_text().splitlines()[1].startswith("=1+1")


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_answer_reads_like_the_file(desk: DropDesk, encoding: str, delimiter: str) -> None:
    desk.leave("people.csv", row("Jürgen"), encoding=encoding, delimiter=delimiter)
    desk.only()
    text = (desk.drop / "processed/people.result.csv").read_text(encoding="utf-8-sig")
    assert text.startswith(delimiter.join(HEADINGS) + delimiter + "syncd_outcome")
    assert "Jürgen" in text


# -- other tools -----------------------------------------------------------------------------------


def test_an_export_of_microsoft_365_is_read_as_it_is(desk: DropDesk) -> None:
    desk.configure(key=None)
    desk.leave(
        "Contoso/users.csv",
        ["False", "Ada Byron", "Ada", "Byron", "2020", "E3+Visio", "17", "ada@contoso.example"],
        ["True", "Old Hand", "Old", "Hand", "2019", "Unlicensed", "18", "old@contoso.example"],
        headings=["Block credential", "Display name", "First name", "Last name",
                  "Last password change time stamp", "Licenses", "Object Id",
                  "User principal name"],
    )  # fmt: skip

    outcome = desk.only()

    assert outcome.state == "succeeded", outcome
    assert [(one.name, one.client, one.active) for one in desk.users()] == [
        ("Ada Byron", "Contoso", True),
        ("Old Hand", "Contoso", False),
    ]


def test_an_export_of_google_workspace_is_read_as_it_is(desk: DropDesk) -> None:
    desk.configure(key=None, client="Harbor School")
    desk.leave(
        "users.csv",
        ["Ada", "Byron", "ada@harbor.example", "****", "/Staff", "Active", "Never logged in"],
        headings=["First Name [Required]", "Last Name [Required]", "Email Address [Required]",
                  "Password [Required]", "Org Unit Path [Required]", "Status [READ ONLY]",
                  "Last Sign In [READ ONLY]"],
    )  # fmt: skip

    outcome = desk.only()

    assert outcome.state == "succeeded", outcome
    assert not [one for one in outcome.notices if "not known" in one]
    assert desk.users()[0].name == "Ada Byron"


def test_an_export_of_xero_is_a_list_of_clients(desk: DropDesk) -> None:
    desk.configure(key=None)
    desk.leave(
        "Contacts.csv",
        ["Acme Ltd", "A-1", "accounts@acme.example", "Ada", "Byron", "Bath", "Bath", "AB123"],
        headings=["*ContactName", "AccountNumber", "EmailAddress", "FirstName", "LastName",
                  "POCity", "SACity", "TaxNumber"],
    )  # fmt: skip

    outcome = desk.only()

    assert outcome.state == "succeeded", outcome
    assert desk.client_values("Acme Ltd")["accounts_id"] == "A-1"
    assert desk.users() == []


def test_a_run_is_interrupted_and_goes_on_with_its_file(desk: DropDesk) -> None:
    desk.leave("people.csv", row("Ada"))
    desk.engine.stop.set()
    assert desk.work_off() == []
    desk.engine.stop.clear()
    assert desk.only().state == "succeeded"


def test_a_drop_folder_cannot_be_synced_as_if_it_were_one_read(desk: DropDesk) -> None:
    """`flow.sync` makes one run of a connection, and of a folder there is none."""
    desk.leave("people.csv", row("Ada"))
    outcome = flow.sync(desk.engine, "people")
    assert "create user" not in outcome.counts
    assert desk.lying() == ["people.csv"]
