"""Remember the files that were dropped: which content was applied when, and what it promised."""

import sqlalchemy as sa
from alembic import op

from syncd.store.types import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table of dropped files."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "dropped_file",
        sa.Column("id", serial, nullable=False),
        sa.Column("connection_id", serial, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("series", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_id", serial, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified", sa.Float, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("copy_digest", sa.Text),
        sa.Column("meaning", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("contents", sa.Text),
        sa.Column("declared", sa.JSON),
        sa.Column("identified_by", sa.JSON),
        sa.Column("headings", sa.JSON),
        sa.Column("clients", sa.JSON),
        sa.Column("is_answer", sa.Boolean, nullable=False),
        sa.Column("away", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("claimed_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dropped_file")),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_dropped_file_connection_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_dropped_file_run_id")),
    )
    op.create_index(op.f("ix_dropped_file_run_id"), "dropped_file", ["run_id"])
    op.create_index("ix_dropped_file_digest", "dropped_file", ["connection_id", "digest"])
    op.create_index("ix_dropped_file_copy", "dropped_file", ["connection_id", "copy_digest"])
    op.create_index("ix_dropped_file_state", "dropped_file", ["connection_id", "state"])
