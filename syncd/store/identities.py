"""Who holds which identity. Issuers and subjects compare exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from syncd.records import Identity
from syncd.store import bulk
from syncd.store import tables as t
from syncd.store.database import Database


def holders(
    database: Database, conn: Connection, wanted: Iterable[tuple[str, str]]
) -> dict[Identity, UUID]:
    """The users of those of the identities, (issuer, subject), that anybody has."""
    c = t.identity.c
    subjects: dict[str, list[str]] = defaultdict(list)
    for issuer, subject in set(wanted):
        subjects[issuer].append(subject)
    return {
        Identity(issuer, row[0]): row[1]
        for issuer, some in subjects.items()
        for chunk in bulk.chunks(some)
        for row in conn.execute(
            sa.select(c.subject, c.user_id).where(
                c.issuer == issuer, database.among(c.subject, chunk)
            )
        )
    }
