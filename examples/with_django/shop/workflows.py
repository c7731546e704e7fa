"""The shop's workflows. Handlers use the ORM like any other code of the application."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connections

from pgtasker import Workflow
from shop.models import Order

fulfil = Workflow("fulfil_order", namespace="shop", version="1.0.0")


def with_django(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Close what a handler opened: it runs in a thread, and connections belong to a thread."""

    @wraps(handler)
    def wrapped(**arguments: Any) -> Any:
        try:
            return handler(**arguments)
        finally:
            connections.close_all()

    return wrapped


@fulfil.step
@with_django
def charge(context: dict[str, Any]) -> str:
    """Ask the bank; the order is read here, so that the context holds only its id."""
    order = Order.objects.get(pk=context["order_id"])
    return f"{order.total} EUR from {order.customer}"


@fulfil.step(after=[charge])
@with_django
def ship(context: dict[str, Any]) -> None:
    """Repeating an attempt does no harm: the row is what it was."""
    Order.objects.filter(pk=context["order_id"]).update(state="shipped")
