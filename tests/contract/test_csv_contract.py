"""The CSV connector keeps the contract of all connectors, with one sheet and with three."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from syncd.connectors.base import Context
from syncd.connectors.csv_files import Csv, CsvConfig
from syncd.connectors.testkit import ConnectorContract, World

HEADINGS = ["login", "name", "client_name", "site_name", "client_website"]


class CombinedSheet(World):
    """A folder with one sheet."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "all.csv"
        self.headings = list(HEADINGS)
        self.people: dict[str, list[str]] = {}
        for name in ("Ada Byron", "Zoë Müller", "Bob, the builder"):
            self.add_person(name)

    def config(self, page_size: int) -> CsvConfig:
        return CsvConfig(combined="all.csv", contents="full", key=("login",), page_size=page_size)

    def connect(self, page_size: int = 100) -> Csv:
        return Csv(self.config(page_size), Context("sheets", self.path.parent))

    def add_person(self, name: str) -> str:
        key = f"user{len(self.people)}@example.com"
        self.people[key] = [key, name, f"Client {len(self.people) % 2}", "Main", "example.com"]
        self.write()
        return key

    def rename_person(self, key: str, name: str) -> None:
        self.people[key][1] = name
        self.write()

    def remove_person(self, key: str) -> None:
        del self.people[key]
        self.write()

    def truncate(self) -> None:
        whole = self.path.read_bytes()
        self.path.write_bytes(whole + b'last@example.com,"Cut O')

    def plant_secret(self, secret: str) -> None:
        self.headings += ["Password [Required]", "client_PIN", "CFtoken"]
        self.people = {key: [*cells, *[secret] * 3] for key, cells in self.people.items()}
        self.write()

    def tick(self) -> None:
        self.people = dict(reversed(self.people.items()))
        self.write()
        os.utime(self.path, ns=(1, 1))

    def write(self) -> None:
        with self.path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.headings, *self.people.values()])


class ThreeSheets(CombinedSheet):
    """A folder with a sheet for each kind."""

    def config(self, page_size: int) -> CsvConfig:
        folder = self.path.parent
        (folder / "clients.csv").write_text("name,ref\nClient 0,C0\nClient 1,C1\n")
        (folder / "sites.csv").write_text("name,client\nMain,Client 0\nMain,Client 1\n")
        return CsvConfig(
            clients="clients.csv",
            sites="sites.csv",
            users="all.csv",
            contents="full",
            key=("login",),
            page_size=page_size,
        )


class TestCombinedSheet(ConnectorContract):
    def world(self, tmp_path: Path) -> World:
        return CombinedSheet(tmp_path)


class TestThreeSheets(ConnectorContract):
    def world(self, tmp_path: Path) -> World:
        return ThreeSheets(tmp_path)
