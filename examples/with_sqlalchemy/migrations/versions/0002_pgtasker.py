"""Installs pgtasker: the file beside this one is what `pgtasker sql` printed."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # By the driver's own connection: SQLAlchemy would look for parameters in the text.
    connection = op.get_bind().connection.driver_connection
    connection.execute(Path(__file__).with_name("pgtasker.sql").read_bytes())


def downgrade() -> None:
    op.execute("drop schema pgtasker cascade")
