"""Find the licenses that a user holds, and the records that nobody was made of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Index the ledger of licenses by user, and links that are skipped."""
    op.create_index(op.f("ix_license_ledger_user_id"), "license_ledger", ["user_id"], unique=False)
    skipped = sa.text("state = 'skipped'")
    op.create_index(
        "ix_link_skipped",
        "link",
        ["partition_id", "stream"],
        sqlite_where=skipped,
        postgresql_where=skipped,
    )
