"""pgflow: its SQL, from its package, in the order of its migrations.

What it needs of its own platform beside pgmq (`realtime.send`) is given as a stub. It has nothing
to be driven by where its SQL does not install.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from bench.peers.drive import telling

psycopg: Any = importlib.import_module("psycopg")

if telling.COMMAND == "setup":
    package = Path(os.environ["PACKAGES"]) / "node_modules/@pgflow/core"
    migrations = sorted(package.glob("dist/supabase/migrations/*.sql"))
    with psycopg.connect(telling.DSN, autocommit=True) as conn:
        for migration in migrations:
            conn.execute(migration.read_text())
raise SystemExit("its SQL installed, but there is no worker for it here")
