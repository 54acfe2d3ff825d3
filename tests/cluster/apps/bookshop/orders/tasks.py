"""The shop's tasks; each takes an order's key and writes what it did into its row."""

from celery import shared_task

from orders.models import Order


@shared_task(bind=True)
def write_invoice(self, order_id):
    """Compute the invoice and have it mailed."""
    order = Order.objects.get(pk=order_id)
    Order.objects.filter(pk=order_id).update(invoice=f"invoice for {order.title}", invoiced_by=self.request.hostname)
    mail_invoice.delay(order_id)


@shared_task(bind=True)
def mail_invoice(self, order_id):
    """Mail the invoice."""
    assert Order.objects.get(pk=order_id).invoice
    Order.objects.filter(pk=order_id).update(mailed_by=self.request.hostname)
