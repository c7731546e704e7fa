"""The steps of sell.yaml that Python executes."""

from __future__ import annotations

from typing import Any


def pack(context: dict[str, Any]) -> dict[str, Any]:
    """Put the order into a box."""
    return {"weight": 300 + len(context["items"]) * 250}


def notify(ship: dict[str, Any]) -> str:
    """Tell the customer what Node.js answered."""
    return f"parcel {ship['parcel']} is on its way"
