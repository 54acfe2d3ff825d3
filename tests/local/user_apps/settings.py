CELERY_TIMEZONE = "Asia/Kolkata"
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_SERIALIZER = "pickle"
CELERY_BROKER_URL = "amqp://nobody:nothing@127.0.0.1:1//"
