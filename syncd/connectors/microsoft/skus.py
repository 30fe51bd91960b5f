"""Names of Microsoft's products by the GUID of their SKU: by the shipped table, or a newer one.

Microsoft publishes the table as a download ("Product names and service plan identifiers for
licensing"); both that form and ours are understood. Part numbers are no keys: two products share
one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from syncd.errors import ConfigError
from syncd.text import clean

_COLUMNS = (("sku_id", "product_name"), ("guid", "product_display_name"))
"""The columns of an id and its name: in our table, and in Microsoft's own."""


@lru_cache(maxsize=8)
def product_names(table: Path | None = None) -> Mapping[str, str]:
    """The name of each SKU, by its GUID in lower case: of a newer table, else of the shipped one;
    ConfigError for a file that is none.
    """
    known = _names(files(__package__).joinpath("skus.csv").read_text("utf-8"))
    if table is None:
        return known
    try:
        text = table.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"the table of SKUs {table} cannot be read: {problem}") from None
    newer = _names(text)
    if not newer:
        wanted = " or ".join(f'"{key}" and "{name}"' for key, name in _COLUMNS)
        raise ConfigError(f"the table of SKUs {table} has no columns {wanted}, or no rows")
    return {**known, **newer}


def _names(text: str) -> dict[str, str]:
    """Of a product that was renamed, the last row tells."""
    rows = csv.DictReader(io.StringIO(text))
    by_name = {clean(heading).casefold(): heading for heading in rows.fieldnames or ()}
    pair = next((pair for pair in _COLUMNS if by_name.keys() >= {*pair}), None)
    if pair is None:
        return {}
    key, name = (by_name[one] for one in pair)
    told = ((clean(row[key] or "").lower(), clean(row[name] or "")) for row in rows)
    return {sku: product for sku, product in told if sku and product}
