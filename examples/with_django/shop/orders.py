"""What a view of the shop calls."""

from django.db import connection, transaction

from pgtasker import Client
from shop.models import Order
from shop.workflows import fulfil


def place_order(customer: str, total: int) -> int:
    """Store an order and start its task: both are committed, or neither is."""
    with transaction.atomic():
        order = Order.objects.create(customer=customer, total=total)
        client = Client(connection.connection)
        return client.start(fulfil, {"order_id": order.pk}, idempotency_key=f"order-{order.pk}")
