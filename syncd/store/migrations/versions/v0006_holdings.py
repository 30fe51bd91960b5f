"""Keep licenses and subscriptions as what they are: entities with sources, owners and a history."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from syncd.store.types import Id

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Widen pools of licenses, and make the table of subscriptions anew: nothing ever wrote one."""
    _widen_pools()
    op.drop_table("subscription")
    op.create_table(
        "subscription",
        sa.Column("id", Id, nullable=False),
        sa.Column("client_id", Id, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        *_texts("name", "sku", "part_number", "status", "quantity", "unit", "term"),
        *_texts("billing_cycle", "parent", "offer", "order_reference", "seen_by"),
        *_texts("started_on", "ends_on"),
        sa.Column("auto_renew", sa.Boolean),
        sa.Column("trial", sa.Boolean),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("custom", sa.JSON),
        sa.Column("provenance", sa.JSON, nullable=False),
        sa.Column("overrides", sa.JSON),
        sa.Column("retired", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_subscription_client_id")
        ),
        sa.UniqueConstraint(
            "client_id",
            "provider",
            "reference",
            name=op.f("uq_subscription_client_id_provider_reference"),
        ),
    )


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text) for name in names]


def _widen_pools() -> None:
    """Column by column: rows of the ledger refer to the table, so that it cannot be made anew. What
    was bought was never told, and becomes a decimal text.
    """
    op.drop_column("license_pool", "bought")
    op.drop_column("license_pool", "flags")
    columns: list[sa.Column[Any]] = [
        *_texts("part_number", "status", "applies_to", "bought", "consumed"),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("custom", sa.JSON),
        sa.Column("provenance", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("overrides", sa.JSON),
        sa.Column("retired", sa.Boolean, nullable=False, server_default=sa.false()),
    ]
    for column in columns:
        op.add_column("license_pool", column)
    pool = sa.table("license_pool", sa.column("provenance", sa.JSON), sa.column("provider"))
    providers = sa.select(pool.c.provider).distinct()
    for provider in op.get_bind().execute(providers).scalars().all():  # a connection's name
        owned = sa.update(pool).where(pool.c.provider == provider)
        op.execute(owned.values(provenance={"*": provider}))
