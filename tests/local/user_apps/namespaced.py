"""An application with its settings in a module, under a prefix, as Django projects have them."""

from __future__ import annotations

from celery import Celery, Task

from tests.local.user_apps.plain import note

app = Celery("namespaced")
app.config_from_object("tests.local.user_apps.settings", namespace="CELERY")


@app.task(bind=True)
def send_mail(self: Task) -> None:
    note(self, acks_late=self.acks_late, timezone=str(self.app.conf.timezone))
