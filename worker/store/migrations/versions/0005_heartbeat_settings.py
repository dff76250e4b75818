"""With which settings of the remotes a process runs"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Old loops go on meanwhile, and say nothing of it."""
    op.add_column("heartbeats", sa.Column("settings", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("heartbeats", "settings")
