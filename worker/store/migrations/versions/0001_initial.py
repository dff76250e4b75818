"""Jobs, batches, attempts, known targets, quotas, quarantines, pauses"""

import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels = None
depends_on = None


INSTANT = sa.DateTime(timezone=True)
ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")
ROWID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _index_where(name: str, columns: list[str], *, where: str, unique: bool) -> None:
    op.create_index(name, "jobs", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempts_remote_time", "attempts", ["remote", "started_at"], unique=False)
    op.create_index("ix_attempts_job_id", "attempts", ["job_id"], unique=False)

    op.create_table(
        "batches",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("touched_at", INSTANT, nullable=False),
        sa.Column("sealed_at", INSTANT, nullable=True),
        sa.Column("abandoned", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("completed_at", INSTANT, nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("superseded", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    installation = op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(installation, [{"id": 1, "salt": secrets.token_hex(16)}])
    op.create_table(
        "jobs",
        sa.Column("id", ROWID, autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("request_key", sa.String(), nullable=True),
        sa.Column("forced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("published_until", INSTANT, nullable=True),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("crashes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("round", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("read_first", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("first_sent_at", INSTANT, nullable=True),
        sa.Column("baseline", sa.Float(), nullable=True),
        sa.Column("result", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("superseded_by", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("repairs", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    _index_where("jobs_due", ["remote", "lane", "due_at", "id"], where="state = 'pending'", unique=False)
    _index_where("jobs_failed", ["error_code", "id"], where="state = 'failed'", unique=False)
    _index_where("jobs_leases", ["lease_until"], where="state = 'running'", unique=False)
    _index_where("jobs_one_pending", ["resource"], where="state = 'pending'", unique=True)
    _index_where("jobs_one_running", ["resource"], where="state = 'running'", unique=True)
    _index_where(
        "jobs_published", ["published_until"], where="state = 'pending' AND published_until IS NOT NULL", unique=False
    )
    _index_where("jobs_request_key", ["request_key"], where="request_key IS NOT NULL", unique=True)
    op.create_index("jobs_resource", "jobs", ["resource", "id"], unique=False)

    op.create_table(
        "pauses",
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("remote", "lane"),
    )
    op.create_table(
        "quarantines",
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("probe_due_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("remote"),
    )
    op.create_table(
        "quota_answers",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("scorecard_template_name", sa.String(), nullable=False),
        sa.Column("usecase_name", sa.String(), nullable=True),
        sa.Column("total_agent_quota", sa.Integer(), nullable=False),
        sa.Column("total_active_agents_count", sa.Integer(), nullable=False),
        sa.Column("answered_at", INSTANT, nullable=False),
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quota_answers_resource", "quota_answers", ["resource", "id"], unique=False)

    op.create_table(
        "rejections",
        sa.Column("job_id", ROWID, autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("ix_rejections_batch_id", "rejections", ["batch_id"], unique=False)

    op.create_table(
        "resources",
        sa.Column("name", ORDERED, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("newest_job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "targets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scorecard_template_name", sa.Text(), nullable=False),
        sa.Column("criterion_or_chapter_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Float(), nullable=False),
        sa.Column("usecase_name", sa.Text(), nullable=False),
        sa.Column("coaching_plan_name", sa.Text(), nullable=False),
        sa.Column("qa_score", sa.Float(), nullable=True),
        sa.Column("update_time", INSTANT, nullable=True),
        sa.Column("uncertain", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("known_at", INSTANT, nullable=False),
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("targets")
    op.drop_table("resources")

    op.drop_table("rejections")

    op.drop_table("quota_answers")
    op.drop_table("quarantines")
    op.drop_table("pauses")

    op.drop_table("jobs")
    op.drop_table("installation")
    op.drop_table("heartbeats")
    op.drop_table("batches")

    op.drop_table("attempts")
