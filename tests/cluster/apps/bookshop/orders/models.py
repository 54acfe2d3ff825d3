"""What the shop keeps."""

from django.db import models


class Order(models.Model):
    """An order and what was done for it."""

    title = models.CharField(max_length=100)
    invoice = models.CharField(max_length=100, blank=True)
    invoiced_by = models.CharField(max_length=200, blank=True)
    mailed_by = models.CharField(max_length=200, blank=True)
