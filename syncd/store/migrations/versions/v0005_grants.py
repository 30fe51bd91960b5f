"""Keep what connections are authorized by, sealed."""

import sqlalchemy as sa
from alembic import op

from syncd.store.types import Moment

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table of grants."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "stored_grant",
        sa.Column("connection_id", serial, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sealed_by", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("renewing_until", Moment),
        sa.Column("obtained_at", Moment, nullable=False),
        sa.Column("obtained_by", sa.Text, nullable=False),
        sa.Column("renewed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_stored_grant")),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_stored_grant_connection_id")
        ),
    )
