"""The core: entities, links and items, runs and changes, leases, and the scratch of drafts."""

import sqlalchemy as sa
from alembic import op

from syncd.store.types import Id, Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table and index."""
    op.create_table(
        "change",
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("effects", sa.Integer(), nullable=False),
        sa.Column("entity_id", Id(), nullable=False),
        sa.Column("client_id", Id(), nullable=True),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("step_id", "seq", name=op.f("pk_change")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_change_entity_id", "change", ["entity_id"], unique=False)
    op.create_table(
        "client",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Text(), nullable=True),
        sa.Column("accounts_id", sa.Text(), nullable=True),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("top_level", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("accounts_email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("tax_number", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("country_code", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("customer_type", sa.Text(), nullable=True),
        sa.Column("colour", sa.Text(), nullable=True),
        sa.Column("trading_name", sa.Text(), nullable=True),
        sa.Column("main_contact_name", sa.Text(), nullable=True),
        sa.Column("main_contact_email", sa.Text(), nullable=True),
        sa.Column("main_site_name", sa.Text(), nullable=True),
        sa.Column("is_vip", sa.Boolean(), nullable=True),
        sa.Column("exclude_from_invoice_sync", sa.Boolean(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("key_ref", sa.Text(), nullable=True),
        sa.Column("key_tenant_id", sa.Text(), nullable=True),
        sa.Column("key_accounts_id", sa.Text(), nullable=True),
        sa.Column("key_domain", sa.Text(), nullable=True),
        sa.Column("custom", sa.JSON(), nullable=True),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("overrides", sa.JSON(), nullable=True),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_client_key_accounts_id",
        "client",
        ["key_accounts_id"],
        unique=False,
        postgresql_where=sa.text("key_accounts_id IS NOT NULL"),
        sqlite_where=sa.text("key_accounts_id IS NOT NULL"),
    )
    op.create_index(
        "ix_client_key_domain",
        "client",
        ["key_domain"],
        unique=False,
        postgresql_where=sa.text("key_domain IS NOT NULL"),
        sqlite_where=sa.text("key_domain IS NOT NULL"),
    )
    op.create_index(
        "ix_client_key_name",
        "client",
        ["key_name"],
        unique=False,
        postgresql_where=sa.text("key_name IS NOT NULL"),
        sqlite_where=sa.text("key_name IS NOT NULL"),
    )
    op.create_index(
        "ix_client_key_ref",
        "client",
        ["key_ref"],
        unique=False,
        postgresql_where=sa.text("key_ref IS NOT NULL"),
        sqlite_where=sa.text("key_ref IS NOT NULL"),
    )
    op.create_index(
        "ix_client_key_tenant_id",
        "client",
        ["key_tenant_id"],
        unique=False,
        postgresql_where=sa.text("key_tenant_id IS NOT NULL"),
        sqlite_where=sa.text("key_tenant_id IS NOT NULL"),
    )
    op.create_table(
        "connection",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("name", name=op.f("uq_connection_name")),
    )
    op.create_table(
        "draft_key",
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("entity_id", Id(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("client_id", Id(), nullable=True),
        sa.Column("new_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("step_id", "entity_id", "field", name=op.f("pk_draft_key")),
    )
    op.create_index("ix_draft_key_new", "draft_key", ["step_id", "field", "new_key"], unique=False)
    op.create_table(
        "draft_page",
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("source_page", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("claims", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("step_id", "page", name=op.f("pk_draft_page")),
    )
    op.create_table(
        "draft_seen",
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("newcomers", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("step_id", "stream", "page", name=op.f("pk_draft_seen")),
    )
    if op.get_bind().dialect.name == "postgresql":  # compressing them takes longer than they live
        op.execute("alter table draft_page alter column body set storage external")
        op.execute("alter table draft_seen alter column newcomers set storage external")
    op.create_table(
        "identity",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identity")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_identity_user_id"), "identity", ["user_id"], unique=False)
    op.create_table(
        "item",
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partition_id", "stream", "key", name=op.f("pk_item")),
    )
    op.create_table(
        "item_history",
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("link", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint(
            "step_id", "partition_id", "stream", "key", name=op.f("pk_item_history")
        ),
    )
    op.create_table(
        "link",
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entity_id", Id(), nullable=True),
        sa.Column("matched_by", sa.Text(), nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("missed_at", sa.Float(), nullable=True),
        sa.Column("counted_at", sa.Float(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("partition_id", "stream", "key", name=op.f("pk_link")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_link_entity_id", "link", ["entity_id"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("suggestion", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("since", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("partition_id", "stream", "key", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "license_pool",
        sa.Column("id", Id(), nullable=False),
        sa.Column("client_id", Id(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("bought", sa.Numeric(), nullable=True),
        sa.Column("assigned", sa.Numeric(), nullable=True),
        sa.Column("flags", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_license_pool_client_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_license_pool")),
        sa.UniqueConstraint(
            "client_id", "provider", "sku", name=op.f("uq_license_pool_client_id_provider_sku")
        ),
    )
    op.create_table(
        "partition",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("health", sa.JSON(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", Moment(timezone=True), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_partition_connection_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partition")),
        sa.UniqueConstraint("connection_id", "key", name=op.f("uq_partition_connection_id_key")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "connection_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("undoes", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("undone_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("started_at", Moment(timezone=True), nullable=False),
        sa.Column("ended_at", Moment(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_run_connection_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index(
        "uq_run_open",
        "run",
        ["connection_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "site",
        sa.Column("id", Id(), nullable=False),
        sa.Column("client_id", Id(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("email_domain", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("country_code", sa.Text(), nullable=True),
        sa.Column("region_code", sa.Text(), nullable=True),
        sa.Column("main_contact_name", sa.Text(), nullable=True),
        sa.Column("address_line1", sa.Text(), nullable=True),
        sa.Column("address_line2", sa.Text(), nullable=True),
        sa.Column("address_line3", sa.Text(), nullable=True),
        sa.Column("address_line4", sa.Text(), nullable=True),
        sa.Column("address_line5", sa.Text(), nullable=True),
        sa.Column("is_invoice_site", sa.Boolean(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("key_ref", sa.Text(), nullable=True),
        sa.Column("key_email_domain", sa.Text(), nullable=True),
        sa.Column("custom", sa.JSON(), nullable=True),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("overrides", sa.JSON(), nullable=True),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("fk_site_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_site_client_id"), "site", ["client_id"], unique=False)
    op.create_index(
        "ix_site_key_email_domain",
        "site",
        ["key_email_domain", "client_id"],
        unique=False,
        postgresql_where=sa.text("key_email_domain IS NOT NULL"),
        sqlite_where=sa.text("key_email_domain IS NOT NULL"),
    )
    op.create_index(
        "ix_site_key_name",
        "site",
        ["key_name", "client_id"],
        unique=False,
        postgresql_where=sa.text("key_name IS NOT NULL"),
        sqlite_where=sa.text("key_name IS NOT NULL"),
    )
    op.create_index(
        "ix_site_key_ref",
        "site",
        ["key_ref", "client_id"],
        unique=False,
        postgresql_where=sa.text("key_ref IS NOT NULL"),
        sqlite_where=sa.text("key_ref IS NOT NULL"),
    )
    op.create_table(
        "cursor",
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("updated_at", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["partition_id"], ["partition.id"], name=op.f("fk_cursor_partition_id")
        ),
        sa.PrimaryKeyConstraint("partition_id", "stream", name=op.f("pk_cursor")),
    )
    op.create_table(
        "license_ledger",
        sa.Column("id", Id(), nullable=False),
        sa.Column("pool_id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=True),
        sa.Column("bought_delta", sa.Numeric(), nullable=True),
        sa.Column("assigned_delta", sa.Integer(), nullable=True),
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("effective_at", Moment(timezone=True), nullable=False),
        sa.Column("recorded_at", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["license_pool.id"], name=op.f("fk_license_ledger_pool_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_license_ledger")),
    )
    op.create_index(op.f("ix_license_ledger_pool_id"), "license_ledger", ["pool_id"], unique=False)
    op.create_table(
        "run_step",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment(timezone=True), nullable=False),
        sa.Column("mapping_version", sa.Text(), nullable=True),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("plan_digest", sa.Text(), nullable=True),
        sa.Column("base_cursor", sa.JSON(), nullable=True),
        sa.Column("next_cursor", sa.JSON(), nullable=True),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.Column("applied_seq", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.Column("gone_confirmed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["partition_id"], ["partition.id"], name=op.f("fk_run_step_partition_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_step_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_step")),
    )
    op.create_index(op.f("ix_run_step_run_id"), "run_step", ["run_id"], unique=False)
    op.create_table(
        "subscription",
        sa.Column("id", Id(), nullable=False),
        sa.Column("client_id", Id(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("pool_id", Id(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_subscription_client_id")
        ),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["license_pool.id"], name=op.f("fk_subscription_pool_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
        sa.UniqueConstraint(
            "client_id",
            "provider",
            "reference",
            name=op.f("uq_subscription_client_id_provider_reference"),
        ),
    )
    op.create_table(
        "user_account",
        sa.Column("id", Id(), nullable=False),
        sa.Column("client_id", Id(), nullable=False),
        sa.Column("site_id", Id(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("login", sa.Text(), nullable=True),
        sa.Column("employee_id", sa.Text(), nullable=True),
        sa.Column("third_party_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("mobile", sa.Text(), nullable=True),
        sa.Column("given_name", sa.Text(), nullable=True),
        sa.Column("family_name", sa.Text(), nullable=True),
        sa.Column("job_title", sa.Text(), nullable=True),
        sa.Column("email2", sa.Text(), nullable=True),
        sa.Column("email3", sa.Text(), nullable=True),
        sa.Column("home_phone", sa.Text(), nullable=True),
        sa.Column("sam_account_name", sa.Text(), nullable=True),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("manager_email", sa.Text(), nullable=True),
        sa.Column("access_level", sa.Text(), nullable=True),
        sa.Column("other1", sa.Text(), nullable=True),
        sa.Column("other2", sa.Text(), nullable=True),
        sa.Column("other3", sa.Text(), nullable=True),
        sa.Column("other4", sa.Text(), nullable=True),
        sa.Column("other5", sa.Text(), nullable=True),
        sa.Column("is_important_contact", sa.Boolean(), nullable=True),
        sa.Column("is_service_account", sa.Boolean(), nullable=True),
        sa.Column("never_send_emails", sa.Boolean(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("contract_end_date", sa.Text(), nullable=True),
        sa.Column("keep_active", sa.Boolean(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("key_email", sa.Text(), nullable=True),
        sa.Column("key_login", sa.Text(), nullable=True),
        sa.Column("key_employee_id", sa.Text(), nullable=True),
        sa.Column("key_third_party_id", sa.Text(), nullable=True),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("key_phone", sa.Text(), nullable=True),
        sa.Column("key_mobile", sa.Text(), nullable=True),
        sa.Column("custom", sa.JSON(), nullable=True),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.Column("overrides", sa.JSON(), nullable=True),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_user_account_client_id")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_user_account_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
    )
    op.create_index(op.f("ix_user_account_client_id"), "user_account", ["client_id"], unique=False)
    op.create_index(
        "ix_user_account_key_email",
        "user_account",
        ["key_email"],
        unique=False,
        postgresql_where=sa.text("key_email IS NOT NULL"),
        sqlite_where=sa.text("key_email IS NOT NULL"),
    )
    op.create_index(
        "ix_user_account_key_employee_id",
        "user_account",
        ["key_employee_id"],
        unique=False,
        postgresql_where=sa.text("key_employee_id IS NOT NULL"),
        sqlite_where=sa.text("key_employee_id IS NOT NULL"),
    )
    op.create_index(
        "ix_user_account_key_login",
        "user_account",
        ["key_login"],
        unique=False,
        postgresql_where=sa.text("key_login IS NOT NULL"),
        sqlite_where=sa.text("key_login IS NOT NULL"),
    )
    op.create_index(
        "ix_user_account_key_mobile",
        "user_account",
        ["key_mobile"],
        unique=False,
        postgresql_where=sa.text("key_mobile IS NOT NULL"),
        sqlite_where=sa.text("key_mobile IS NOT NULL"),
    )
    op.create_index(
        "ix_user_account_key_name",
        "user_account",
        ["key_name"],
        unique=False,
        postgresql_where=sa.text("key_name IS NOT NULL"),
        sqlite_where=sa.text("key_name IS NOT NULL"),
    )
    op.create_index(
        "ix_user_account_key_phone",
        "user_account",
        ["key_phone"],
        unique=False,
        postgresql_where=sa.text("key_phone IS NOT NULL"),
        sqlite_where=sa.text("key_phone IS NOT NULL"),
    )
    op.create_index(
        "ix_user_account_key_third_party_id",
        "user_account",
        ["key_third_party_id"],
        unique=False,
        postgresql_where=sa.text("key_third_party_id IS NOT NULL"),
        sqlite_where=sa.text("key_third_party_id IS NOT NULL"),
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "partition_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("step_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("plan_digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("overruns", sa.JSON(), nullable=False),
        sa.Column("held_at", Moment(timezone=True), nullable=False),
        sa.Column("decided_at", Moment(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["partition_id"], ["partition.id"], name=op.f("fk_hold_partition_id")
        ),
        sa.ForeignKeyConstraint(["step_id"], ["run_step.id"], name=op.f("fk_hold_step_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index(op.f("ix_hold_partition_id"), "hold", ["partition_id"], unique=False)
    # ### end Alembic commands ###
