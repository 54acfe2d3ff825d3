"""`manage.py order COUNT` takes orders as the shop's web process does; `--wait SECONDS` prints what became of them."""

import json
import time

from django.core.management.base import BaseCommand
from django.db import transaction

from orders.models import Order
from orders.tasks import write_invoice


class Command(BaseCommand):
    """Takes orders."""

    def add_arguments(self, parser):
        """Take how many, and how long to look."""
        parser.add_argument("count", type=int)
        parser.add_argument("--wait", type=float, default=60.0)

    def handle(self, *, count, wait, **options):
        """Store the orders, hand each to a worker once it is committed, and wait for the invoices' mails."""
        keys = []
        for number in range(count):
            with transaction.atomic():
                order = Order.objects.create(title=f"volume {number}")
                write_invoice.delay_on_commit(order.pk)
            keys.append(order.pk)
        deadline = time.monotonic() + wait
        orders = Order.objects.filter(pk__in=keys)
        while orders.filter(mailed_by="").exists() and time.monotonic() < deadline:
            time.sleep(0.5)
        self.stdout.write(json.dumps(list(orders.values("id", "invoice", "invoiced_by", "mailed_by"))))
