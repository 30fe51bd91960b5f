"""The schema: what syncd keeps, where it came from, what was decided about it, and who is at work.

Only migrations create these tables; this is the description that queries are written against.
Entities are never deleted: a creation that was undone leaves a *retired* row that can come back.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from syncd.entities import FIELDS, KEY_FIELDS, REFERENCE_OF, Field, Kind
from syncd.store.types import Id, Moment

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


# -- what we keep ----------------------------------------------------------------------------------


def _field_column(kind: Kind, field: Field) -> sa.Column[Any]:
    if field.name == "active":
        return sa.Column("active", sa.Boolean, nullable=False)
    if kind in REFERENCE_OF and field.name in ("provider", REFERENCE_OF[kind]):
        return sa.Column(field.name, sa.Text, nullable=False)
    if field.type == "bool":
        return sa.Column(field.name, sa.Boolean)
    return sa.Column(field.name, sa.Text)


def _entity_columns(kind: Kind) -> list[sa.Column[Any]]:
    fields = [_field_column(kind, field) for field in FIELDS[kind].values()]
    keys = [sa.Column(f"key_{name}", sa.Text) for name in KEY_FIELDS[kind]]
    return [
        *fields,
        *keys,
        sa.Column("custom", sa.JSON),  # {name: text}
        sa.Column("provenance", sa.JSON, nullable=False),  # {field or "*": connection}
        sa.Column("overrides", sa.JSON),  # {field: value set by a person}
        sa.Column("retired", sa.Boolean, nullable=False),
    ]


def _key_indexes(table: sa.Table, kind: Kind, *more: str) -> None:
    """`more`: columns that are always asked for as well and make the key rare."""
    for name in KEY_FIELDS[kind]:
        column = table.c[f"key_{name}"]
        where = column.is_not(None)  # queries say so too, or PostgreSQL will not use the index
        sa.Index(
            f"ix_{table.name}_{column.name}",
            column,
            *(table.c[other] for other in more),
            postgresql_where=where,
            sqlite_where=where,
        )


client = sa.Table(
    "client",
    metadata,
    sa.Column("id", Id, primary_key=True),
    *_entity_columns(Kind.CLIENT),
    sqlite_with_rowid=False,
)
_key_indexes(client, Kind.CLIENT)

site = sa.Table(
    "site",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("client_id", Id, sa.ForeignKey("client.id"), nullable=False, index=True),
    sa.Column("role", sa.Text),  # main, holding or null
    *_entity_columns(Kind.SITE),
    sqlite_with_rowid=False,
)
_key_indexes(site, Kind.SITE, "client_id")  # a name such as Main is in every client

user = sa.Table(
    "user_account",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("client_id", Id, sa.ForeignKey("client.id"), nullable=False, index=True),
    sa.Column("site_id", Id, sa.ForeignKey("site.id"), nullable=False),
    *_entity_columns(Kind.USER),
)
_key_indexes(user, Kind.USER)

identity = sa.Table(
    "identity",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("user_id", Id, nullable=False, index=True),
    sa.Column("connection", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# Licenses: providers tell what was bought, and each person's record who has which.

license_pool = sa.Table(
    "license_pool",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("client_id", Id, sa.ForeignKey("client.id"), nullable=False),
    *_entity_columns(Kind.LICENSE),
    sa.Column("assigned", sa.Numeric),  # what the ledger comes to
    sa.UniqueConstraint("client_id", "provider", "sku"),
)

subscription = sa.Table(
    "subscription",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("client_id", Id, sa.ForeignKey("client.id"), nullable=False),
    *_entity_columns(Kind.SUBSCRIPTION),
    sa.UniqueConstraint("client_id", "provider", "reference"),
)

TABLE_OF: dict[Kind, sa.Table] = {
    Kind.CLIENT: client,
    Kind.SITE: site,
    Kind.USER: user,
    Kind.LICENSE: license_pool,
    Kind.SUBSCRIPTION: subscription,
}

license_ledger = sa.Table(
    "license_ledger",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("pool_id", Id, sa.ForeignKey("license_pool.id"), nullable=False, index=True),
    sa.Column("user_id", Id, index=True),
    sa.Column("bought_delta", sa.Numeric),
    sa.Column("assigned_delta", sa.Integer),
    sa.Column("step_id", Serial),
    sa.Column("effective_at", Moment, nullable=False),
    sa.Column("recorded_at", Moment, nullable=False),
)

# -- where it came from ----------------------------------------------------------------------------

connection = sa.Table(
    "connection",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("connector", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # active, paused, retired
    sa.Column("state_reason", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
)

grant = sa.Table(
    "stored_grant",
    metadata,
    sa.Column("connection_id", Serial, sa.ForeignKey("connection.id"), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),  # grows whenever it is replaced
    sa.Column("sealed_by", sa.Text, nullable=False),  # the name of the key that opens it
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("renewing_until", Moment),  # some process asks for a new one until then
    sa.Column("obtained_at", Moment, nullable=False),
    sa.Column("obtained_by", sa.Text, nullable=False),
    sa.Column("renewed_at", Moment, nullable=False),
)

partition = sa.Table(
    "partition",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("connection_id", Serial, sa.ForeignKey("connection.id"), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # listed, unlisted, retired
    sa.Column("health", sa.JSON),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", Moment),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("connection_id", "key"),
)

cursor = sa.Table(
    "cursor",
    metadata,
    sa.Column("partition_id", Serial, sa.ForeignKey("partition.id"), primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("full_at", Moment),  # when a full read last led to it
)

link = sa.Table(
    "link",
    metadata,
    sa.Column("partition_id", Serial, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary),  # of item and mapping version; null: not settled
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("entity_id", Id),
    sa.Column("matched_by", sa.Text, nullable=False),
    sa.Column("misses", sa.Integer, nullable=False),
    sa.Column("missed_at", sa.Float),  # the first miss
    sa.Column("counted_at", sa.Float),  # the last miss that counted
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("pinned", sa.Boolean, nullable=False),
    sa.Column("step_id", Serial, nullable=False),  # the step that wrote it last
    sa.Index("ix_link_entity_id", "entity_id"),
    sqlite_with_rowid=False,
)

for _name, _chosen in (
    ("ix_link_clock", link.c.state.in_(("missed", "leaving"))),  # a clock runs
    ("ix_link_skipped", link.c.state == "skipped"),
):
    _place = link.c.partition_id, link.c.stream
    sa.Index(_name, *_place, sqlite_where=_chosen, postgresql_where=_chosen)

item = sa.Table(
    "item",
    metadata,
    sa.Column("partition_id", Serial, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)

item_history = sa.Table(
    "item_history",
    metadata,
    sa.Column("step_id", Serial, primary_key=True),
    sa.Column("partition_id", Serial, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("link", sa.JSON),  # the link as it was before the step
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("partition_id", Serial, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("fields", sa.JSON, nullable=False),
    sa.Column("suggestion", sa.Text, nullable=False),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("step_id", Serial, nullable=False),
    sa.Column("since", Moment, nullable=False),
)

decision = sa.Table(
    "decision",
    metadata,
    sa.Column("partition_id", Serial, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("verdict", sa.Text, nullable=False),  # link, create or ignore
    sa.Column("entity_id", Id),  # whom to link
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("step_id", Serial, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
)

merged = sa.Table(
    "merged",
    metadata,
    sa.Column("entity_id", Id, primary_key=True),  # the one that is retired now
    sa.Column("into_id", Id, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("step_id", Serial, nullable=False),
)

dropped_file = sa.Table(
    "dropped_file",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("connection_id", Serial, sa.ForeignKey("connection.id"), nullable=False),
    sa.Column("root", sa.Text, nullable=False),  # the drop-folder
    sa.Column("folder", sa.Text, nullable=False),  # the sub-folder, "" for none
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("series", sa.Text, nullable=False),  # what files of one sender share
    sa.Column("place", sa.Text, nullable=False),  # where it lies while it is in work
    sa.Column("state", sa.Text, nullable=False),  # claimed, held, processed, rejected, returned
    sa.Column("run_id", Serial, sa.ForeignKey("run.id"), nullable=False, index=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("modified", sa.Float, nullable=False),  # when the list was right, in epoch seconds
    sa.Column("digest", sa.Text),  # of all bytes as they were dropped
    sa.Column("copy_digest", sa.Text),  # of the copy without secrets, which is kept
    sa.Column("meaning", sa.Text),  # of the settings and mapping that it was read with
    sa.Column("kind", sa.Text),  # what its rows are: client, site, user
    sa.Column("contents", sa.Text),  # full or changes
    sa.Column("declared", sa.JSON),  # what was said of it
    sa.Column("identified_by", sa.JSON),  # [heading] that identify users
    sa.Column("headings", sa.JSON),  # [heading]
    sa.Column("clients", sa.JSON),  # [key] of the clients that it names; null: too many to list
    sa.Column("is_answer", sa.Boolean, nullable=False),  # it was one of our own, repaired
    sa.Column("away", sa.Text),  # its name in the folder that its state names
    sa.Column("reason", sa.Text),
    sa.Column("claimed_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Index("ix_dropped_file_digest", "connection_id", "digest"),
    sa.Index("ix_dropped_file_copy", "connection_id", "copy_digest"),
    sa.Index("ix_dropped_file_state", "connection_id", "state"),
)

# -- what was decided ------------------------------------------------------------------------------

run = sa.Table(
    "run",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("connection_id", Serial, sa.ForeignKey("connection.id")),  # null: a local edit
    sa.Column("trigger", sa.Text, nullable=False),  # manual, schedule, webhook
    sa.Column("mode", sa.Text, nullable=False),  # plan, apply, undo, edit, review, merge, relink…
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("undoes", Serial),
    sa.Column("undone_by", Serial),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
)
sa.Index(
    "uq_run_open",
    run.c.connection_id,
    unique=True,
    sqlite_where=run.c.state == "open",
    postgresql_where=run.c.state == "open",
)

step = sa.Table(
    "run_step",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("run_id", Serial, sa.ForeignKey("run.id"), nullable=False, index=True),
    sa.Column("partition_id", Serial, sa.ForeignKey("partition.id")),
    sa.Column("phase", sa.Text, nullable=False),  # read, apply
    sa.Column("state", sa.Text, nullable=False),  # due, done, held, failed, cancelled, poison
    sa.Column("code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("mapping_version", sa.Text),
    sa.Column("proven", sa.Boolean, nullable=False),
    sa.Column("plan_digest", sa.Text),
    sa.Column("base_cursor", sa.JSON),  # the cursors that the plan was read from
    sa.Column("next_cursor", sa.JSON),  # the cursors to commit with the last batch
    sa.Column("is_full", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("pages", sa.Integer, nullable=False),  # draft pages to apply
    sa.Column("applied", sa.Integer, nullable=False),  # draft pages applied
    sa.Column("applied_seq", sa.BigInteger, nullable=False),  # changes below this are in force
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("notices", sa.JSON, nullable=False),
    sa.Column("gone_confirmed", sa.Boolean, nullable=False),
)

change = sa.Table(
    "change",
    metadata,
    sa.Column("step_id", Serial, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("effects", sa.Integer, nullable=False),
    sa.Column("entity_id", Id, nullable=False),
    sa.Column("client_id", Id),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("before", sa.JSON, nullable=False),
    sa.Column("after", sa.JSON, nullable=False),
    sa.Column("outcome", sa.Text),  # null: as decided; stale, partly: (some) left out, see `reason`
    sa.Index("ix_change_entity_id", "entity_id"),
    sqlite_with_rowid=False,
)


def in_force(changes: sa.FromClause) -> sa.ColumnElement[bool]:
    """Of changes that were applied: whether anything of them was done."""
    return sa.or_(changes.c.outcome.is_(None), changes.c.outcome == "partly")


hold = sa.Table(
    "hold",
    metadata,
    sa.Column("id", Serial, primary_key=True),
    sa.Column("partition_id", Serial, sa.ForeignKey("partition.id"), nullable=False, index=True),
    sa.Column("step_id", Serial, sa.ForeignKey("run_step.id"), nullable=False),
    sa.Column("plan_digest", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # waiting, approved, rejected, superseded
    sa.Column("overruns", sa.JSON, nullable=False),
    sa.Column("held_at", Moment, nullable=False),
    sa.Column("decided_at", Moment),
    sa.Column("decided_by", sa.Text),
)

# -- scratch: the draft of a step, gone when the step closes ---------------------------------------

draft_page = sa.Table(
    "draft_page",
    metadata,
    sa.Column("step_id", Serial, primary_key=True),
    sa.Column("page", sa.Integer, primary_key=True),
    sa.Column("first_seq", sa.BigInteger, nullable=False),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("source_page", sa.Integer, nullable=False),  # the read page it came from, -1 for none
    sa.Column("weight", sa.Integer, nullable=False),  # links in it
    sa.Column("claims", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # the page's decisions; see store/draft.py
)

draft_seen = sa.Table(
    "draft_seen",
    metadata,
    sa.Column("step_id", Serial, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("page", sa.Integer, primary_key=True),
    sa.Column("hashes", sa.LargeBinary, nullable=False),  # 8-byte hashes in item order
    sa.Column("newcomers", sa.LargeBinary, nullable=False),  # items without a link, to plan last
)

draft_key = sa.Table(
    "draft_key",
    metadata,
    sa.Column("step_id", Serial, primary_key=True),
    sa.Column("entity_id", Id, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("client_id", Id),
    sa.Column("new_key", sa.Text),
    sa.Index("ix_draft_key_new", "step_id", "field", "new_key"),
)
