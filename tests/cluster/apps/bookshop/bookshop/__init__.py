"""A book shop: a Django project with Celery as Celery's "First steps with Django" has it."""

# So that shared_task uses this app whenever Django starts.
from .celery import app as celery_app

__all__ = ("celery_app",)
