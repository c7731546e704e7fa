"""A shop on SQLAlchemy whose orders start tasks in their own transaction, sync and async."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgtasker import AsyncClient, Client, Workflow

fulfil = Workflow("fulfil_order", namespace="shop", version="1.0.0")


@fulfil.step
def charge(context: dict[str, Any]) -> str:
    """A step; `pgtasker run shop.py` executes it."""
    return f"order {context['order_id']} is paid"


class Base(DeclarativeBase):
    """The tables of the application."""


class Order(Base):
    """An order of the shop."""

    __tablename__ = "orders"

    order_id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]


def place_order(session: Session, customer: str) -> int:
    """Store an order and start its task; the caller commits both, or neither."""
    order = Order(customer=customer)
    session.add(order)
    session.flush()
    client = Client(session.connection().connection.driver_connection)
    return client.start(fulfil, {"order_id": order.order_id})


async def place_order_async(session: AsyncSession, customer: str) -> int:
    """The same with an asynchronous session."""
    order = Order(customer=customer)
    session.add(order)
    await session.flush()
    raw = await (await session.connection()).get_raw_connection()
    client = AsyncClient(raw.driver_connection)
    return await client.start(fulfil, {"order_id": order.order_id})
