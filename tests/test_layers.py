"""Imports go downwards only, and each heavy library has one home."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the lowest to the highest; modules in one set are siblings.
LAYERS: list[set[str]] = [
    {"errors", "log", "text", "failpoints"},
    {"records", "entities", "changes", "health", "keys", "toml_file"},
    {"settings"},
    {"sealing", "certificates"},
    {"connectors", "mapping", "store"},
    {"sync"},
    {"jobs", "web"},
    {"cli"},
    {"demo", "demo_files", "tour"},
]
MAY_USE_EACH_OTHER = [LAYERS[0], LAYERS[1], LAYERS[-1]]
SETTINGS_MAY_USE = {"errors", "toml_file"}

HOMES = {
    "alembic": "store",
    "psycopg": "store",
    "sqlalchemy": "store",
    "sqlite3": "store",
    "dramatiq": "jobs",
    "redis": "jobs",
    "cryptography": "sealing certificates",
    "msal": "connectors",
    "msgraph": "connectors",
    "requests": "connectors",
    "tenacity": "connectors",
    "charset_normalizer": "connectors",
    "xlsxwriter": "connectors",
    "rich": "cli",
    "typer": "cli",
}
WORLD = {
    *("asyncio", "ftplib", "http", "httpx", "smtplib", "socket", "ssl", "urllib3"),
    *("io", "os", "pathlib", "shutil", "subprocess", "tempfile"),
}
"""What a pure package does not need."""
LATE = [
    "cryptography",
    "msal",
    "requests",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "phonenumbers",
    "msgraph",
    "structlog",
    "fastapi",
]


def violations(module: str, source: str) -> list[str]:
    """What the imports of `module` break, one sentence each."""
    return [
        f"{module} imports {imported}: {problem}"
        for imported in _imports(source)
        if (problem := _problem(_head(module), imported))
    ]


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            if origin == "syncd":  # `from syncd import settings` names a module
                yield from (f"syncd.{alias.name}" for alias in node.names)
            else:
                yield origin


def _head(module: str) -> str:
    """`store` for `syncd.store.target.write`."""
    return f"{module}.".split(".")[1]


def _problem(importer: str, imported: str) -> str | None:
    library = imported.partition(".")[0]
    if not library:
        return "write the full path"
    if library == "syncd":
        return _layer_problem(importer, _head(imported))
    if library in HOMES and importer not in HOMES[library].split():
        return f"only {HOMES[library]} may"
    if importer == "mapping" and (library in WORLD or imported == "urllib.request"):
        return "mapping is pure"
    return None


def _layer_problem(importer: str, imported: str) -> str | None:
    if importer == imported:
        return None
    if importer in {"settings", "toml_file"} and imported not in SETTINGS_MAY_USE:
        return f"settings use only {', '.join(sorted(SETTINGS_MAY_USE))}"
    here, there = _layer(importer), _layer(imported)
    if there > here:
        return "that is upwards"
    if there == here and LAYERS[here] not in MAY_USE_EACH_OTHER:
        return "siblings do not know each other"
    return None


def _layer(head: str) -> int:
    for number, layer in enumerate(LAYERS):
        if head in layer:
            return number
    raise AssertionError(f"syncd.{head} has no layer yet; give it one in LAYERS")


def _modules() -> list[tuple[str, Path]]:
    files = sorted((ROOT / "syncd").rglob("*.py"))
    return [(".".join(file.relative_to(ROOT).with_suffix("").parts), file) for file in files]


@pytest.mark.parametrize(("module", "file"), _modules(), ids=[name for name, _ in _modules()])
def test_a_module_imports_only_what_is_below_it(module: str, file: Path) -> None:
    assert violations(module, file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("syncd.store.facts", "from syncd.mapping.rules import Mapping", "siblings"),
        ("syncd.mapping.view", "def f():\n    import syncd.store", "siblings"),
        ("syncd.records", "from syncd import sync", "upwards"),
        ("syncd.sync", "import syncd.cli", "upwards"),
        ("syncd.settings", "from syncd.log import get", "settings use only"),
        ("syncd.sync", "import sqlalchemy as sa", "only store may"),
        ("syncd.store.leases", "from redis.client import Redis", "only jobs may"),
        ("syncd.sync", "from rich.progress import Progress", "only cli may"),
        ("syncd.mapping.rules", "from pathlib import Path", "pure"),
        ("syncd.mapping.rules", "import urllib.request", "pure"),
        ("syncd.store.facts", "from .tables import users", "full path"),
    ],
)
def test_the_checker_sees_a_planted_violation(module: str, source: str, problem: str) -> None:
    assert problem in " ".join(violations(module, source))


def test_the_checker_lets_pass_what_goes_downwards() -> None:
    source = "import json\nfrom syncd import settings\nfrom syncd.store.facts import Facts\n"
    assert violations("syncd.sync", source) == []


def test_a_module_without_a_layer_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"syncd\.surprise has no layer yet"):
        violations("syncd.surprise", "import syncd.errors")


@pytest.mark.skipif(not importlib.util.find_spec("syncd.cli"), reason="there is no cli yet")
@pytest.mark.parametrize("arguments", [["--help"], ["sync", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    script = f"""
import sys
from syncd.cli import main
sys.argv = ["syncd", *{arguments!r}]
try:
    main()
finally:
    print(*[name for name in {LATE!r} if name in sys.modules], file=sys.stderr)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "Usage" in ended.stdout
    assert ended.stderr.split() == []
