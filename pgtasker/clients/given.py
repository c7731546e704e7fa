"""What a client may be given as its database.

Responsible for telling a DSN, a connection and a pool apart, and for refusing at once what cannot
be used, with words that say what to give instead. psycopg_pool is optional: whoever has a pool has
imported it. What is done with each is left to `access` and `async_access`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal

from psycopg import AsyncConnection, Connection
from psycopg.conninfo import conninfo_to_dict

from pgtasker.errors import ConfigurationError

Kind = Literal["dsn", "connection", "pool"]

SHORTEST_CONNECT_TIMEOUT = 2  # seconds: libpq takes less for this


def kind_of(database: object, *, awaited: bool) -> Kind:
    """What it is; raises ConfigurationError if a client that is (not) awaited cannot use it."""
    if database is None or isinstance(database, str):
        return "dsn"
    if isinstance(database, Connection | AsyncConnection):
        _require_twin(database, isinstance(database, AsyncConnection), awaited)
        if database.closed:
            raise ConfigurationError("the connection is closed: give an open one")
        return "connection"
    pools: Any = sys.modules.get("psycopg_pool")
    if pools and isinstance(database, pools.ConnectionPool | pools.AsyncConnectionPool):
        _require_twin(database, isinstance(database, pools.AsyncConnectionPool), awaited)
        if getattr(database, "_opened", False):  # one not yet open is given to many a client
            require_open(database)
        return "pool"
    kind = f"{type(database).__module__}.{type(database).__qualname__}"
    raise ConfigurationError(
        f"a client cannot use {kind}: give it a DSN, a psycopg connection or a psycopg_pool pool"
    )


def require_open(pool: Any) -> None:
    """Refuse a pool that gives no connections."""
    if pool.closed:
        raise ConfigurationError(
            f"the pool {pool.name!r} is not open: open it, or give another if it was closed"
        )


def hurried(conninfo: str, parameters: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The parameters of a connection, with no longer a connect_timeout than so many seconds."""
    given = parameters.get("connect_timeout", conninfo_to_dict(conninfo).get("connect_timeout"))
    longest = max(SHORTEST_CONNECT_TIMEOUT, int(min(seconds, int(given or 10) or 10)))
    return {**parameters, "connect_timeout": longest}


def _require_twin(database: object, is_async: bool, awaited: bool) -> None:
    if is_async != awaited:
        wrong, right = ("AsyncClient", "Client") if awaited else ("Client", "AsyncClient")
        raise ConfigurationError(
            f"{wrong} cannot use a {type(database).__name__}: give it to {right}"
        )
