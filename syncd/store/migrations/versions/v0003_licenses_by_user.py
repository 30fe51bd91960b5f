"""Find the licenses that a user holds."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Index the ledger of licenses by user."""
    op.create_index(op.f("ix_license_ledger_user_id"), "license_ledger", ["user_id"], unique=False)
