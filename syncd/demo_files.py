"""What the tour drops: eight files as people send them, good ones and bad ones."""

from __future__ import annotations

import io
import os
import shutil
import time
import zipfile
from pathlib import Path

from syncd.connectors.sheets.writing import open_writer

_STARTERS = [
    ["Full name", "E-mail", "Company", "Office", "Telephone", "Start"],
    ["Ines Duarte", "ines.duarte@elmstead.example.com", "Elmstead Foods", "Leeds", "441130001", ""],
    ["Kofi Mensah", "kofi.mensah@elmstead.example.com", "Elmstead Foods", "Leeds", "441130002", ""],
    ["=HYPERLINK(1)", "link@elmstead.example.com", "Elmstead Foods", "", "", ""],
]
_GOOGLE = """\
First Name [Required],Last Name [Required],Email Address [Required],Password [Required],\
Org Unit Path [Required],Status [READ ONLY],Last Sign In [READ ONLY]
Ada,Reid,ada.reid@harbor.example.org,****,/Staff,Active,2027/03/01 08:00:00
Omar,Haddad,omar.haddad@harbor.example.org,****,/Staff,Suspended,Never logged in
"""
_MICROSOFT = """\
Block credential,Department,Display name,First name,Last name,Last password change time stamp,\
Licenses,Object Id,Title,User principal name,When created
False,IT,Zoë Brandt,Zoë,Brandt,2026-01-02,Microsoft 365 E3+Visio Plan 2,\
6f1c,Head of IT,zoe.brandt@contoso.example.com,2020-01-01
True,Sales,Leo Park,Leo,Park,2025-01-02,Unlicensed,7a2d,,leo.park@contoso.example.com,2019-01-01
"""
_XERO = """\
*ContactName,AccountNumber,EmailAddress,FirstName,LastName,POCity,SACity,PhoneNumber,TaxNumber
Café Zürich GmbH,A-17,buchhaltung@cafe-zuerich.example,Urs,Müller,Zürich,Zürich,,CHE-1
Fjord & Søn ApS,A-18,post@fjord.example,Søren,Lund,Århus,Århus,,DK-2
"""
_MILL = """\
Name\tEmail\tClient\tSite\tPhone\tInactive
Márta Kovács\tmarta.kovacs@oldmill.example.com\tOld Mill Ltd\tMain\t+36 1 555\tno
Ewan Boyd\tewan.boyd@oldmill.example.com\tOld Mill Ltd\tMain\t+44 131 555\tperhaps
"""
_ACCOUNTS = """\
Username;Name;Email;Company;Password;PIN
pnovak;Petra Novak;petra.novak@quill.example.com;Quill & Co;hunter2;1234
"""
_HALF = """\
name,emailaddress,client_name
Ada Reid,ada.reid@quill.example.com,Quill & Co
Bo Ling,bo.li"""
_BOMB_SIZE = 200 << 20


def drop(folder: Path) -> list[str]:
    """Write the files, the oldest first; their names."""
    texts = {
        "Harbor School/Google users.csv": _GOOGLE.encode(),
        "Contoso Ltd/Microsoft 365 users.csv": _MICROSOFT.encode("utf-8-sig"),
        "Xero contacts.csv": _XERO.encode("cp1252"),
        "mill staff.csv": _MILL.encode("utf-16"),
        "accounts.csv": _ACCOUNTS.encode(),
        "half.csv": _HALF.encode(),
        "bomb.xlsx": _bomb(),
    }
    for name, data in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with open_writer(folder / "new starters.xlsx", {}) as writer:
        writer.write(_STARTERS)
    names = ["new starters.xlsx", *texts]
    for age, name in enumerate(reversed(names)):
        _age(folder / name, age)
    return names


def repair(folder: Path) -> str:
    """Mend the row that failed, as a person would, and drop it again; how that is typed."""
    name, wrong, right = "mill staff.failed.csv", "perhaps", "no"
    failed = (folder / "processed" / name).read_text(encoding="utf-8-sig")
    (folder / name).write_text(failed.replace(wrong, right), encoding="utf-8")
    _age(folder / name, 0)
    return f'sed s/{wrong}/{right}/ "{folder}/processed/{name}" > "{folder}/{name}"'


def drop_again(folder: Path) -> str:
    """Drop a file that was processed; how that is typed."""
    name = "Xero contacts.csv"
    shutil.copy(folder / "processed" / name, folder / name)
    _age(folder / name, 0)
    return f'cp "{folder}/processed/{name}" "{folder}/"'


def _age(path: Path, minutes: int) -> None:
    """Make a file old enough that nobody waits for it to be finished."""
    moment = time.time() - 86_400 - minutes * 60
    os.utime(path, (moment, moment))


def _bomb() -> bytes:
    """A small workbook that would be a very large one."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w") as part,
    ):
        for _ in range(_BOMB_SIZE >> 20):
            part.write(b" " * (1 << 20))
    return buffer.getvalue()
