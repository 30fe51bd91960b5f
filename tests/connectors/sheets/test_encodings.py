"""Which encoding a file is in, and what is said where nobody can know."""

from __future__ import annotations

import io

import pytest

from syncd.connectors.sheets.encodings import AsUtf8, Encoding, detect, line_of_misfit, named

HEADINGS = "client_name,name,emailaddress,city\n"
GERMAN = "Müller & Söhne,Jürgen Groß,juergen@mueller.example,Köln\n"


@pytest.mark.parametrize(
    ("codec", "shown", "guessed"),
    [
        ("utf-8", "UTF-8", False),
        ("utf-8-sig", "UTF-8 with a byte order mark", False),
        ("utf-16", "UTF-16", False),
        ("utf-32", "UTF-32", False),
        ("utf-16-le", "UTF-16 (little endian)", True),
        ("utf-16-be", "UTF-16 (big endian)", True),
        ("cp1252", "Windows-1252", True),
        ("latin-1", "Windows-1252", True),
        ("cp850", "DOS 850", True),
    ],
)
def test_a_file_is_read_in_its_encoding(codec: str, shown: str, guessed: bool) -> None:
    data = (HEADINGS + GERMAN).encode(codec)
    found = detect(io.BytesIO(data))
    assert (found.shown, found.guessed) == (shown, guessed)
    text = AsUtf8(io.BytesIO(data), found.codec).readall().decode("utf-8-sig")
    assert text == HEADINGS + GERMAN


@pytest.mark.parametrize(
    ("codec", "row"),
    [
        ("cp1250", "Łódź Spółka,Żaneta Wiśniewska,z@lodz.example,Łódź"),
        ("cp1251", "Ромашка ООО,Иван Петров,i@romashka.example,Москва"),
        ("cp1253", "Ελλάς ΑΕ,Γιώργος Παπαδόπουλος,g@ellas.example,Αθήνα"),
        ("cp932", "株式会社,山田太郎,t@yamada.example,東京"),
        ("gb18030", "北京公司,王伟,w@beijing.example,北京"),
        ("big5", "台北公司,陳大文,c@taipei.example,台北"),
        ("euc_kr", "서울회사,김철수,k@seoul.example,서울"),
        ("cp1252", "Société Générale,François Lefèvre,f@sg.example,Orléans"),
        ("cp1252", "Acme “Ltd” – €,O’Neil,o@acme.example,Bath"),
    ],
)
def test_an_older_encoding_is_guessed_by_its_letters(codec: str, row: str) -> None:
    found = detect(io.BytesIO((HEADINGS + f"{row}\r\n" * 20).encode(codec)))
    assert (found.codec, found.guessed) == (codec, True)


def test_a_character_that_is_cut_by_a_block_is_still_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.connectors.sheets.encodings._STEP", 5)
    assert detect(io.BytesIO(("name\n" + "é€𝄞" * 40).encode())).codec == "utf-8"


def test_an_encoding_can_be_pinned_by_any_of_its_names() -> None:
    assert named("Windows-1252") == Encoding("cp1252", "Windows-1252")
    assert named("UTF-8-SIG").codec == "utf-8"


@pytest.mark.parametrize("name", ["rot13", "idna", "unicode_escape", "utf-7", "nonsense", "a\0b"])
def test_what_is_no_encoding_of_text_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no encoding"):
        named(name)


def test_text_that_does_not_fit_names_its_line() -> None:
    data = b"a\r\nb\r\nM\xfcller\r\n"
    assert line_of_misfit(io.BytesIO(data), named("utf-8")) == 3
    with pytest.raises(UnicodeDecodeError):
        AsUtf8(io.BytesIO(data), "utf-8").readall()
