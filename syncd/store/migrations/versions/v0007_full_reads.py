"""Remember when everything was last read, of what is otherwise read by what changed."""

import sqlalchemy as sa
from alembic import op

from syncd.store.types import Moment

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """A cursor that stands already counts as of a full read: there is none older than that."""
    op.add_column("cursor", sa.Column("full_at", Moment))
    op.execute("update cursor set full_at = updated_at")
    column = sa.Column("is_full", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("run_step", column)
