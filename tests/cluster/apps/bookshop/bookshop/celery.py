"""The project's Celery application."""

import contextlib
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bookshop.settings")

app = Celery("bookshop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Where the chart's ConfigMap is mounted, tasks go where its workers listen.
with contextlib.suppress(ImportError):
    import celeryconfig

    app.conf.update(celeryconfig.make_settings(celeryconfig.load_topology(), os.environ))
