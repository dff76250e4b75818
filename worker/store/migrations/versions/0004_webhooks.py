"""Webhooks: endpoints and their secrets, messages, deliveries, attempts"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
ROWID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _index_where(name: str, table: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, table, columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("customers", sa.Text(), nullable=False),
        sa.Column("usecases", sa.Text(), nullable=False),
        sa.Column("batches", sa.Text(), nullable=False),
        sa.Column("ordered", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rate_limit", sa.Integer(), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", INSTANT, nullable=True),
        sa.Column("warned", sa.Integer(), nullable=False),
        sa.Column("held_until", INSTANT, nullable=True),
        sa.Column("disabled_at", INSTANT, nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("owner_until", INSTANT, nullable=True),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("endpoint_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("retires_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_secrets_endpoint_id", "webhook_secrets", ["endpoint_id"], unique=False)
    op.create_table(
        "webhook_messages",
        sa.Column("seq", ROWID, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("customer", sa.String(), nullable=True),
        sa.Column("usecase", sa.String(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("batch_label", sa.String(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("resource", sa.String(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("webhook_messages_created", "webhook_messages", ["created_at"], unique=False)
    _index_where("webhook_messages_job", "webhook_messages", ["job_id"], where="job_id IS NOT NULL")
    _index_where("webhook_messages_batch", "webhook_messages", ["batch_id"], where="batch_id IS NOT NULL")
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("message_seq", sa.BigInteger(), nullable=False),
        sa.Column("endpoint_id", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_seq", "endpoint_id", name="webhook_deliveries_once"),
    )
    pending = "state = 'pending'"
    _index_where("webhook_deliveries_due", "webhook_deliveries", ["endpoint_id", "due_at", "id"], where=pending)
    _index_where(
        "webhook_deliveries_order", "webhook_deliveries", ["endpoint_id", "resource", "message_seq"], where=pending
    )
    _index_where("webhook_deliveries_dead", "webhook_deliveries", ["endpoint_id", "id"], where="state = 'dead'")
    op.create_table(
        "webhook_attempts",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("sender", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_attempts_delivery_id", "webhook_attempts", ["delivery_id"], unique=False)


def downgrade() -> None:
    for table in (
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_messages",
        "webhook_secrets",
        "webhook_endpoints",
    ):
        op.drop_table(table)
