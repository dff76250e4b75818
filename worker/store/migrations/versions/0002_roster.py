"""The roster, the policy, approvals, reconciliations; a debounce for jobs, a period for quotas"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels = None
depends_on = None


INSTANT = sa.DateTime(timezone=True)
ORDERED = sa.String().with_variant(sa.String(collation="C"), "postgresql")
ROWID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _index_where(name: str, table: str, columns: list[str], *, where: str, unique: bool) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    """Old workers go on meanwhile: what is new may be absent in what they write."""
    op.add_column("jobs", sa.Column("debounced_since", INSTANT, nullable=True))
    op.add_column("quota_answers", sa.Column("period_start", INSTANT, nullable=True))
    op.add_column("quota_answers", sa.Column("period_end", INSTANT, nullable=True))
    with op.batch_alter_table("targets") as targets:
        targets.alter_column("job_id", existing_type=sa.BigInteger(), nullable=True)
    op.create_index(
        "targets_identity",
        "targets",
        ["coaching_plan_name", "scorecard_template_name", "criterion_or_chapter_id"],
        unique=False,
    )

    op.create_table(
        "agents",
        sa.Column("profile", ORDERED, nullable=False),
        sa.Column("agent", ORDERED, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("coaching_plan_name", sa.String(), nullable=False),
        sa.Column("policy_id", sa.BigInteger(), nullable=True),
        sa.Column("review_at", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("profile", "agent"),
    )
    op.create_index("agents_policy", "agents", ["policy_id"], unique=False)
    op.create_index("agents_plan", "agents", ["coaching_plan_name"], unique=False)
    _index_where("agents_review", "agents", ["review_at"], where="review_at IS NOT NULL", unique=False)

    op.create_table(
        "approvals",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("approvals_digest", "approvals", ["digest"], unique=False)

    op.create_table(
        "asks",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("asks_event", "asks", ["event_seq"], unique=False)
    op.create_index("asks_job", "asks", ["job_id"], unique=False)
    _index_where("asks_open", "asks", ["resource"], where="job_id IS NULL", unique=False)

    op.create_table(
        "cadences",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("pause", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )

    op.create_table(
        "drifts",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("reconciliation_id", sa.BigInteger(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    _index_where("drifts_open", "drifts", ["resource", "field"], where="closed_at IS NULL", unique=True)
    op.create_index("drifts_run", "drifts", ["reconciliation_id"], unique=False)

    op.create_table(
        "policies",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("adopted_at", INSTANT, nullable=True),
        sa.Column("approval_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )

    op.create_table(
        "reconciliations",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("reads", sa.String(), nullable=False),
        sa.Column("page_token", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("resent", sa.Integer(), nullable=False),
        sa.Column("adopted", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("reconciliations_profile", "reconciliations", ["profile", "id"], unique=False)

    op.create_table(
        "roster_events",
        sa.Column("seq", ROWID, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("time", INSTANT, nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("guarded", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("approval_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("planned_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("roster_events_agent", "roster_events", ["profile", "agent", "seq"], unique=False)
    _index_where("roster_events_held", "roster_events", ["approval_id"], where="state = 'held'", unique=False)
    op.create_index("roster_events_once", "roster_events", ["source", "event_id"], unique=True)
    op.create_index("roster_events_time", "roster_events", ["profile", "time"], unique=False)
    _index_where("roster_events_waiting", "roster_events", ["seq"], where="state = 'waiting'", unique=False)

    op.create_table(
        "set_aside",
        sa.Column("id", ROWID, nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("entry", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

    op.create_table(
        "wants",
        sa.Column("identity", ORDERED, nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("scorecard_template_name", sa.String(), nullable=False),
        sa.Column("usecase_name", sa.String(), nullable=False),
        sa.Column("criterion_or_chapter_id", sa.String(), nullable=False),
        sa.Column("coaching_plan_name", sa.String(), nullable=False),
        sa.Column("target", sa.Float(), nullable=False),
        sa.Column("as_of", INSTANT, nullable=False),
        sa.Column("wanted_at", INSTANT, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("creates", sa.Boolean(), nullable=False),
        sa.Column("drift", sa.String(), nullable=True),
        sa.Column("event_seq", sa.BigInteger(), nullable=True),
        sa.Column("asked", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("obstacle", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("identity"),
    )
    op.create_index("wants_agent", "wants", ["profile", "agent"], unique=False)
    _index_where("wants_hindered", "wants", ["profile"], where="NOT asked AND obstacle IS NOT NULL", unique=False)
    op.create_index("wants_plan", "wants", ["coaching_plan_name"], unique=False)
    op.create_index("wants_job", "wants", ["job_id"], unique=False)
    _index_where("wants_unasked", "wants", ["identity"], where="NOT asked AND obstacle IS NULL", unique=False)


def downgrade() -> None:
    for table in (
        "wants",
        "set_aside",
        "roster_events",
        "reconciliations",
        "policies",
        "drifts",
        "cadences",
        "asks",
        "approvals",
        "agents",
    ):
        op.drop_table(table)
    op.drop_index("targets_identity", "targets")
    op.drop_column("quota_answers", "period_end")
    op.drop_column("quota_answers", "period_start")
    op.drop_column("jobs", "debounced_since")
