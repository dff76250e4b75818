"""A trace goes on from a job to its messages; open batches are counted by an index"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels = None
depends_on = None

OPEN = sa.text("completed_at IS NULL")


def upgrade() -> None:
    """Workers of before go on meanwhile: what they write has no trace."""
    op.add_column("jobs", sa.Column("traceparent", sa.String(), nullable=True))
    op.add_column("webhook_messages", sa.Column("traceparent", sa.String(), nullable=True))
    op.create_index("batches_open", "batches", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade() -> None:
    op.drop_index("batches_open", table_name="batches")
    op.drop_column("webhook_messages", "traceparent")
    op.drop_column("jobs", "traceparent")
