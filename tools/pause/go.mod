module celery-workers.example/tools/pause

go 1.26.8
