"""A dropped file keeps the contract of everything that a sync reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from syncd.connectors.drops.config import Declared
from syncd.connectors.drops.reader import Assignment, FileReader
from syncd.connectors.sheets.files import open_sheet
from syncd.connectors.sheets.sheet import Reading
from syncd.connectors.sheets.writing import open_writer
from syncd.connectors.testkit import ConnectorContract, World
from tests.contract.test_csv_contract import CombinedSheet


class DroppedFile(CombinedSheet):
    """One file, read as a drop-folder reads it."""

    def connect(self, page_size: int = 100) -> Any:
        declared = Declared(contents="full", full_for="all", key=("login",))
        return FileReader(declared, Assignment(self.path, "all.csv"), page_size)


class DroppedWorkbook(DroppedFile):
    """The same as XLSX."""

    def connect(self, page_size: int = 100) -> Any:
        workbook = self.path.with_suffix(".xlsx")
        with open_sheet(self.path, Reading(), {}) as sheet, open_writer(workbook, {}) as writer:
            writer.write([sheet.headings])
            for batch in sheet.batches(100):
                writer.write(batch.rows)
        declared = Declared(contents="full", full_for="all", key=("login",))
        return FileReader(declared, Assignment(workbook, "all.xlsx"), page_size)


class TestDroppedFile(ConnectorContract):
    def world(self, tmp_path: Path) -> World:
        return DroppedFile(tmp_path)


class TestDroppedWorkbook(ConnectorContract):
    def world(self, tmp_path: Path) -> World:
        return DroppedWorkbook(tmp_path)
