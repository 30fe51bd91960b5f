"""What people decide about records, and which entities turned out to be one."""

import sqlalchemy as sa
from alembic import op

from syncd.store.types import Id, Moment

revision = "0002"
down_revision = "0001"

_serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the two tables, and an index of links whose clock runs."""
    runs = sa.text("state in ('missed', 'leaving')")
    op.create_index(
        "ix_link_clock",
        "link",
        ["partition_id", "stream"],
        sqlite_where=runs,
        postgresql_where=runs,
    )
    op.create_table(
        "decision",
        sa.Column("partition_id", _serial, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("entity_id", Id(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("step_id", _serial, nullable=False),
        sa.Column("decided_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("partition_id", "stream", "key", name=op.f("pk_decision")),
    )
    op.create_table(
        "merged",
        sa.Column("entity_id", Id(), nullable=False),
        sa.Column("into_id", Id(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("step_id", _serial, nullable=False),
        sa.PrimaryKeyConstraint("entity_id", name=op.f("pk_merged")),
    )
    op.create_index("ix_merged_into_id", "merged", ["into_id"], unique=False)
