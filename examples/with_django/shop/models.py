"""The tables of the application; pgtasker is in a schema beside them."""

from django.db import models


class Order(models.Model):
    """An order of the shop."""

    customer = models.TextField()
    total = models.IntegerField()
    state = models.TextField(default="new")
