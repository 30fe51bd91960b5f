"""Names and places of dropped files: contained in their folder, and safe to show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from syncd.connectors.drops.config import FolderConfig, Manifest, read_manifest
from syncd.connectors.drops.places import MAX_NAME, Places, safe_name, safe_text
from syncd.errors import BadResponse, ProviderUnavailable


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("people.csv", "people.csv"),
        ("a\nb.csv", "a_b.csv"),
        (".hidden.csv", "hidden.csv"),
        ("..", "file"),
        ("\x1b[2J.csv", "_[2J.csv"),
        (os.fsdecode(b"caf\xe9.csv"), "caf_.csv"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert safe_text(name).isprintable()


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "é" * 200 + ".csv", "a." + "b" * 300])
def test_a_long_name_leaves_room_for_what_is_added(name: str) -> None:
    assert len(safe_name(name).encode()) <= MAX_NAME


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    places = Places(tmp_path)
    for number in range(3):
        source = tmp_path / "people.csv"
        source.write_text(str(number))
        name = places.free_name("processed", "Acme", "people.csv")
        assert places.put(source, "processed", name)
    found = sorted(path.name for path in (tmp_path / "processed" / "Acme").iterdir())
    assert found == ["people.csv", "people~2.csv", "people~3.csv"]
    assert (tmp_path / "processed" / "Acme" / "people.csv").read_text() == "0"


def test_a_folder_that_is_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "drop").write_text("")
    with pytest.raises(ProviderUnavailable, match="cannot be read"):
        Places(tmp_path / "drop").folders()


def test_our_own_folders_are_no_sub_folders(tmp_path: Path) -> None:
    for name in ("processed", "held", "rejected", ".syncd", "Acme", ".git"):
        (tmp_path / name).mkdir()
    assert Places(tmp_path).folders() == ["", "Acme"]


def config(**more: object) -> FolderConfig:
    return FolderConfig.model_validate({"folder": "drop", **more})


def test_the_more_particular_declaration_wins() -> None:
    rules = [{"name": "*changes*", "contents": "changes"}, {"name": "Acme/*", "key": "login"}]
    chosen = config(contents="full", key="email", files=rules)
    assert chosen.declared("", "x.csv", None).said() == {"contents": "full", "key": ("email",)}
    assert chosen.declared("", "My Changes.csv", None).contents == "changes"
    assert chosen.declared("acme", "x.csv", None).key == ("login",)
    said = chosen.declared("", "x.csv", Manifest(contents="changes", client="Beta"))
    assert (said.contents, said.client) == ("changes", "Beta")


@pytest.mark.parametrize(
    ("name", "series"),
    [("staff 2027-03.csv", "staff"), ("Staff_2027.xlsx", "staff"), ("0815.csv", "")],
)
def test_files_of_one_sender_share_a_series(name: str, series: str) -> None:
    assert config().series("", name) == series


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'contents = "some"', "contents"),
        (b"contents", "TOML|Expected"),
        (b"\xff\xfe", "not TOML"),
        (b'folder = "x"', "folder"),
        (b"as_of = 2027-03-01", "as_of"),
    ],
)
def test_a_manifest_with_a_mistake_says_which(data: bytes, said: str) -> None:
    with pytest.raises(BadResponse, match=said):
        read_manifest("its manifest", data)
