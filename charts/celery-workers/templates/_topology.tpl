{{/* What workers, publishers, the Job and the harness read: topology.json and the files beside it. */}}

{{/* topology.json as one line. Arguments: root, model. Keys are sorted by the encoder. */}}
{{- define "celery-workers.topology" -}}
{{- $root := index . 0 -}}
{{- $model := index . 1 -}}
{{- $values := $root.Values -}}
{{- $queues := dict -}}
{{- $classes := dict -}}
{{- range $name, $class := $model.classes -}}
  {{- $_ := set $classes $name (include "celery-workers.topologyClass" $class | fromJson) -}}
  {{- range $queue, $settings := $class.queues -}}
    {{- $_ := set $queues $queue (include "celery-workers.topologyQueue" (list $root $name $queue $settings) | fromJson) -}}
  {{- end -}}
{{- end -}}
{{- dict
  "version" 1
  "release" $root.Release.Name
  "environment" $values.environment
  "app" $values.app
  "default_queue" $values.defaultQueue
  "default_priority" $model.defaultPriority
  "dead_letter_exchange" (ternary $values.deadLetters.exchange nil $values.deadLetters.enabled)
  "redis_key_prefix" $values.redis.keyPrefix
  "priorities" $values.priorities
  "queues" $queues
  "classes" $classes
  "routes" $model.routes
  | toJson -}}
{{- end -}}

{{/* A class of topology.json. Argument: class of the model. */}}
{{- define "celery-workers.topologyClass" -}}
{{- $most := ternary .replicas.min .replicas.max (eq .scaler "none") -}}
{{- dict
  "pool" .pool
  "concurrency" .concurrency
  "prefetch_multiplier" .prefetchMultiplier
  "queues" (keys .queues | sortAlpha)
  "soft_time_limit_seconds" .softSeconds
  "hard_time_limit_seconds" .hardSeconds
  "max_tasks_per_child" .maxTasksPerChild
  "max_memory_per_child_kib" .maxMemoryPerChildKib
  "expected_task_seconds" .expectedTaskSeconds
  "database_connections" (ternary .concurrency .databaseConnections (kindIs "invalid" .databaseConnections))
  "replicas" (dict "min" .replicas.min "max" $most)
  "scaler" .scaler
  "termination_grace_period_seconds" .terminationGracePeriodSeconds
  | toJson -}}
{{- end -}}

{{/* A queue of topology.json. Arguments: root, class name, queue name, queue of the model. */}}
{{- define "celery-workers.topologyQueue" -}}
{{- $dead := (index . 0).Values.deadLetters -}}
{{- $queue := index . 3 -}}
{{- $dead := ternary (print (index . 2) $dead.suffix) nil $dead.enabled -}}
{{- /* A quorum queue only refuses; whoever publishes with celery_workers, or is a worker, then stores the task. */ -}}
{{- $byPublisher := and (eq $queue.type "quorum") (eq ($queue.overflow | default "") "reject-publish-dlx") -}}
{{- dict
  "class" (index . 1)
  "type" $queue.type
  "max_priority" $queue.maxPriority
  "max_length_messages" $queue.maxLength
  "overflow" (ternary "reject-publish" $queue.overflow $byPublisher)
  "refused_to" (ternary $dead nil $byPublisher)
  "message_ttl_seconds" $queue.messageTtlSeconds
  "dead_letter_queue" $dead
  "consumer_timeout_seconds" $queue.consumerTimeoutSeconds
  "max_deliveries" (ternary $queue.maxDeliveries nil (not (empty $dead)))
  | toJson -}}
{{- end -}}

{{/* The ConfigMap's data, as JSON. Arguments: root, model. */}}
{{- define "celery-workers.configData" -}}
{{- $root := index . 0 -}}
{{- $data := dict "topology.json" (print (include "celery-workers.topology" . | fromJson | toPrettyJson) "\n") -}}
{{- range $name := list "celeryconfig.py" "celery_workers_shim.py" "celery_workers_connections.py" "celery_workers_letters.py" "celery_workers_ops.py" "celery_workers_redis.py" "celery_workers_sending.py" "celery_workers_stacks.py" "celery_workers_health.py" "celery_workers_check.py" "celery_workers_beat.py" "celery_workers_exporter.py" "celery_workers_feeds.py" "celery_workers_gauges.py" "celery_workers_looks.py" "celery_workers_tally.py" "apply_topology.py" -}}
  {{- $text := $root.Files.Get (printf "files/%s" $name) -}}
  {{- if not $text -}}
    {{- fail (printf "this copy of the chart is incomplete: files/%s is missing or empty; use a whole copy" $name) -}}
  {{- end -}}
  {{- $_ := set $data $name $text -}}
{{- end -}}
{{- if include "celery-workers.brokerCa" $root -}}
  {{- $_ := set $data "keda-broker-tls" "enable" -}}
{{- end -}}
{{- toJson $data -}}
{{- end -}}

{{/* The same for beat, which is a publisher. Arguments: root, model. */}}
{{- define "celery-workers.beatChecksum" -}}
{{- $beat := index (include "celery-workers.configData" . | fromJson) "celery_workers_beat.py" -}}
{{- list (include "celery-workers.workerChecksum" .) $beat | toJson | sha256sum -}}
{{- end -}}

{{/* The same for the exporter, which reads topology.json again by itself. Arguments: root, model. */}}
{{- define "celery-workers.exporterChecksum" -}}
{{- omit (include "celery-workers.configData" . | fromJson) "topology.json" | toJson | sha256sum -}}
{{- end -}}

{{/*
Checksum of what a running worker has read, so that pods are replaced when it changes. It leaves out what acts without
a restart: the numbers of pods, and what a queue's policy changes behind everybody's back. Overflow stays in: who
publishes has to know whether a refused task is stored. Arguments: root, model.
*/}}
{{- define "celery-workers.workerChecksum" -}}
{{- $topology := include "celery-workers.topology" . | fromJson -}}
{{- range $name, $class := $topology.classes -}}
  {{- $_ := set $topology.classes $name (omit $class "expected_task_seconds" "database_connections" "replicas" "scaler" "termination_grace_period_seconds") -}}
{{- end -}}
{{- range $name, $queue := $topology.queues -}}
  {{- $_ := set $topology.queues $name (omit $queue "max_length_messages" "message_ttl_seconds" "consumer_timeout_seconds") -}}
{{- end -}}
{{- $files := omit (include "celery-workers.configData" . | fromJson) "topology.json" "apply_topology.py" "celery_workers_check.py" "celery_workers_beat.py" "celery_workers_exporter.py" "celery_workers_feeds.py" "celery_workers_gauges.py" "celery_workers_looks.py" "celery_workers_tally.py" -}}
{{- list $topology $files | toJson | sha256sum -}}
{{- end -}}
