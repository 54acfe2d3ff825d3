{{/* The alerts, by what they look at. docs/reference/alerts.md shows them all, docs/runbook.md has a section for each. */}}

{{/* Argument: context. */}}
{{- define "celery-workers.alertsQueues" -}}
{{- range $name, $class := .classes -}}
{{- range $queue, $settings := $class.queues -}}
{{- $labels := dict "class" $name "queue" $queue -}}
{{- $own := printf "%s,queue=%q" $.own $queue -}}
{{- if $settings.limit -}}
  {{- range $alert := list "QueueNearlyFull" "QueueFilling" -}}
    {{- $above := (index $.alerts (untitle $alert)).abovePercent -}}
    {{- $expr := printf "celery_workers:queue_fill:ratio{%s} > %s" $own (include "celery-workers.ratio" $above) -}}
    {{- $summary := printf "Queue %s is %s" $queue (ternary "nearly full" "filling" (eq $alert "QueueNearlyFull")) -}}
    {{- $description := printf "%s of the %d messages that queue %s may hold are waiting, more than %s%%. A full queue %s, until workers of class %s catch up." "{{ $value | humanizePercentage }}" (int $settings.limit) $queue (toJson $above) (ternary "stores what is published as dead letters" "refuses what is published" $settings.stores) $name -}}
    {{- include "celery-workers.alert" (list $ $alert $expr $labels $summary $description) -}}
  {{- end -}}
{{- end -}}
{{- $waiting := printf "celery_workers:queue_ready:messages{%s} > 0" $own -}}
{{- $nobody := printf "max by (queue) (rabbitmq_detailed_queue_consumers{queue=%q%s}) == 0" $queue $.broker -}}
{{- $paused := printf "celery_workers_queue_paused{%s,queue=%q} == 1" $.seen $queue -}}
{{- include "celery-workers.alert" (list $ "NoConsumer" (printf "%s\nand on (queue)\n%s\nunless on (queue)\n%s" $waiting $nobody $paused) $labels
  (printf "Nobody takes from queue %s" $queue)
  (printf "%s tasks wait in queue %s, no worker consumes it, and it is not paused." "{{ $value | humanize }}" $queue)) -}}
{{- if $settings.dead -}}
  {{- $letters := printf "celery_workers:dead_letters:messages{%s}" $own -}}
  {{- $expr := printf "%s - min_over_time(%s[15m]) >= %d" $letters $letters (int $.alerts.deadLettersGrowing.messages) -}}
  {{- $reasons := printf "{{ range query \"topk(3, sum by (reason) (increase(celery_workers_dead_letters_total{queue=~'%s|%s'}[15m])) > 0)\" }} {{ .Labels.reason }} {{ .Value | printf \"%%.0f\" }},{{ else }} none,{{ end }}" $queue $settings.dead -}}
  {{- include "celery-workers.alert" (list $ "DeadLettersGrowing" $expr $labels
    (printf "Dead letters of queue %s grow" $queue)
    (printf "%s more tasks are in %s than at some moment of the last 15 minutes. Most frequent reasons:%s as the exporter counted." "{{ $value | humanize }}" $settings.dead $reasons)) -}}
{{- end -}}
{{- if $settings.ttl -}}
  {{- $above := $.alerts.oldestNearTtl.abovePercent -}}
  {{- $limit := mulf $settings.ttl (divf $above 100) | printf "%.6g" -}}
  {{- include "celery-workers.alert" (list $ "OldestNearTtl" (printf "max by (queue) (celery_workers_queue_oldest_seconds{%s,queue=%q}) > %s" $.seen $queue $limit) $labels
    (printf "Tasks of queue %s are about to expire" $queue)
    (printf "The oldest task of queue %s has waited for %s; after %d s it expires and becomes a dead letter." $queue "{{ $value | humanizeDuration }}" (int $settings.ttl))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Argument: context. */}}
{{- define "celery-workers.alertsTasks" -}}
{{- $failure := .alerts.failureRatio -}}
{{- $above := include "celery-workers.ratio" $failure.abovePercent -}}
{{- $failures := printf "sum by (class, queue) (increase(celery_workers_tasks_total{%s,outcome=\"failed\"}[%%s]))" .seen -}}
{{- $soon := printf "celery_workers:task_failures:ratio5m{%s} > %s\nand on (class, queue)\n%s >= %d" .own $above (printf $failures "5m") (int $failure.leastFailures) -}}
{{- $late := printf "celery_workers:task_failures:ratio1h{%s} > %s\nand on (class, queue)\n%s >= %d\nand on (class, queue)\n%s > 0" .own $above (printf $failures "1h") (int $failure.leastFailures) (printf $failures "15m") -}}
{{- $worst := printf "{{ range query (printf \"topk(3, sum by (task) (increase(celery_workers_tasks_total{%s,queue='%%s',outcome='failed'}[5m])) > 0)\" $labels.queue) }} {{ .Labels.task }} {{ .Value | printf \"%%.0f\" }}{{ else }} none{{ end }}" (.seen | replace "\"" "'") -}}
{{- include "celery-workers.alert" (list . "FailureRatio" (printf "(\n%s\n)\nor\n(\n%s\n)" $soon $late) dict
  "Tasks of queue {{ $labels.queue }} fail"
  (printf "{{ $value | humanizePercentage }} of the tasks of class {{ $labels.class }} that ended in queue {{ $labels.queue }} failed, more than %s%%. Failures of the last 5 minutes:%s. Retries and refusals are not counted." (toJson $failure.abovePercent) $worst)) -}}
{{- $latency := .alerts.latencyHigh -}}
{{- $normal := printf "{{ range query (printf \"celery_workers:latency_normal:seconds{%s,queue='%%s'}\" $labels.queue) }}{{ .Value | humanizeDuration }}{{ end }}" (.own | replace "\"" "'") -}}
{{- $average := printf "celery_workers:latency_seconds:avg_5m{%s}" .own -}}
{{- include "celery-workers.alert" (list . "LatencyHigh" (printf "%s > %s * celery_workers:latency_normal:seconds{%s}\nand\n%s > %s" $average (toJson $latency.timesNormal) .own $average (toJson $latency.floorSeconds)) dict
  "Tasks of queue {{ $labels.queue }} take long"
  (printf "From publication to completion tasks of queue {{ $labels.queue }} take {{ $value | humanizeDuration }} on average, more than %s times what is normal (%s)." (toJson $latency.timesNormal) $normal)) -}}
{{- include "celery-workers.alert" (list . "BreakerOpen" (printf "max by (breaker) (celery_workers_breaker_open{%s}) == 1" .seen) dict
  "Circuit breaker {{ $labels.breaker }} is open"
  "Calls to what breaker {{ $labels.breaker }} guards failed in a row; until it closes they are refused at once, and tasks that need them are retried.") -}}
{{- end -}}

{{/* Argument: context. */}}
{{- define "celery-workers.alertsPods" -}}
{{- range $name, $class := .classes -}}
{{- $labels := dict "class" $name -}}
{{- $own := printf "%s,class=%q" $.own $name -}}
{{- $growing := printf "max by (class) (celery_workers:queue_growth:per_second{%s} > 0 and celery_workers:queue_ready:messages{%s} > %%d)" $own $own -}}
{{- if $class.cpuLimit -}}
  {{- $above := $.alerts.cpuNearLimit.abovePercent -}}
  {{- include "celery-workers.alert" (list $ "CpuNearLimit" (printf "celery_workers:cpu_of_limit:ratio{%s} > %s\nand on (class)\n%s" $own (include "celery-workers.ratio" $above) (printf $growing (int $class.concurrency))) $labels
    (printf "Workers of class %s are at their CPU limit while their queue grows" $name)
    (printf "The pods of class %s use %s of their CPU limit, more than %s%%, and their queue grows: they do not keep up." $name "{{ $value | humanizePercentage }}" (toJson $above))) -}}
{{- end -}}
{{- if $class.memoryLimit -}}
  {{- $above := $.alerts.memoryHigh.abovePercent -}}
  {{- include "celery-workers.alert" (list $ "MemoryHigh" (printf "celery_workers:memory_of_limit:ratio{%s} > %s" $own (include "celery-workers.ratio" $above)) $labels
    (printf "A worker of class %s is near its memory limit" $name)
    (printf "A pod of class %s uses %s of its memory limit, more than %s%%. At the limit the kernel kills it, and its tasks start again." $name "{{ $value | humanizePercentage }}" (toJson $above))) -}}
{{- end -}}
{{- $all := printf "max(kube_deployment_status_replicas{%s,deployment=%q}) >= %d" (printf "namespace=%q" $.labels.namespace) $class.deployment (int $class.max) -}}
{{- if $class.scaled -}}
  {{- /* Not the values' figure: whoever is on call may have raised it. */ -}}
  {{- $all = printf "max(kube_horizontalpodautoscaler_status_current_replicas{%s}) >= max(kube_horizontalpodautoscaler_spec_max_replicas{%s})" $class.autoscaler $class.autoscaler -}}
{{- end -}}
{{- include "celery-workers.alert" (list $ "AtMaxReplicasAndGrowing" (printf "%s\nand on ()\n%s" (printf $growing (int $class.slots)) $all) $labels
  (printf "Class %s has all its pods, and its queue grows" $name)
  (printf "Class %s has all the pods it may have (%d by the values), more tasks wait than their %d slots take at once, and the queue grows by %s a second." $name (int $class.max) (int $class.slots) "{{ $value | humanize }}")) -}}
{{- end -}}
{{- $scaling := .alerts.scalingEvents -}}
{{- $counted := ternary "scaling_changes" "scaling_events" $scaling.literal -}}
{{- $what := ternary "changes" "scale-ups and turns" $scaling.literal -}}
{{- include "celery-workers.alert" (list . "ScalingEvents" (printf "celery_workers:%s:count1h{%s} > %d" $counted .own (int $scaling.perHour)) dict
  "Class {{ $labels.class }} scales to and fro"
  (printf "The number of pods of class {{ $labels.class }} had {{ $value | printf \"%%.0f\" }} %s in an hour, more than %d." $what (int $scaling.perHour))) -}}
{{- end -}}

{{/* Whether what the others read is there. Argument: context. */}}
{{- define "celery-workers.alertsWatching" -}}
{{- include "celery-workers.alert" (list . "PolicyMissing" (printf "max by (class, queue) (celery_workers_queue_policy_missing{%s}) == 1" .seen) dict
  "Queue {{ $labels.queue }} has no policy"
  "RabbitMQ applies no policy of this release to queue {{ $labels.queue }}: it has no limit and no expiry, and what is rejected is gone.") -}}
{{- if .exporter -}}
  {{- include "celery-workers.alert" (list . "ExporterDown" (printf "max(celery_workers_exporter_up{%s}) == 0\nor\nabsent(celery_workers_exporter_up{%s})" .seen .seen) dict
    "What the workers do is not seen"
    "The exporter is not read, or has no connection to its broker: alerts on failures, latency, age and completion sleep.") -}}
{{- end -}}
{{- range $name, $class := .classes -}}
  {{- if $class.keda -}}
    {{- include "celery-workers.alertScalerFailing" (list $ $name $class) -}}
  {{- end -}}
  {{- range $queue, $settings := $class.queues -}}
    {{- $series := printf "rabbitmq_detailed_queue_messages_ready{queue=%q%s}" $queue $.broker -}}
    {{- include "celery-workers.seriesMissing" (list $ $series (dict "class" $name "queue" $queue "source" "rabbitmq") (printf "queue %s" $queue)) -}}
  {{- end -}}
  {{- if $class.scaled -}}
    {{- $series := printf "kube_horizontalpodautoscaler_status_desired_replicas{%s}" $class.autoscaler -}}
    {{- include "celery-workers.seriesMissing" (list $ $series (dict "class" $name "source" "kube-state-metrics") (printf "the autoscaler of class %s" $name)) -}}
  {{- end -}}
  {{- if gt (int $class.min) 0 -}}
    {{- $series := printf "container_cpu_usage_seconds_total{%s}" $class.container -}}
    {{- include "celery-workers.seriesMissing" (list $ $series (dict "class" $name "source" "cadvisor") (printf "the pods of class %s" $name)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/*
Whether KEDA has answers. Its operator is scraped with the release's namespace in exported_namespace, unless it is
scraped with honorLabels. Arguments: context, class name, class.
*/}}
{{- define "celery-workers.alertScalerFailing" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $failed := printf "increase(keda_scaled_object_errors_total{%%s=%q,scaledObject=%q}[3m])" $context.labels.namespace (index . 2).deployment -}}
{{- $expr := printf "max(\n%s\nor\n%s\n) > 0" (printf $failed "exported_namespace") (printf $failed "namespace") -}}
{{- include "celery-workers.alert" (list $context "ScalerFailing" $expr (dict "class" $name)
  (printf "KEDA cannot read what class %s is scaled by" $name)
  (printf "KEDA failed %s times in 3 minutes to read what class %s is scaled by. Until it can, no more pods come for what waits." "{{ $value | printf \"%.0f\" }}" $name)) -}}
{{- end -}}

{{/* Arguments: context, series, labels, of what. */}}
{{- define "celery-workers.seriesMissing" -}}
{{- $source := (index . 2).source -}}
{{- include "celery-workers.alert" (list (index . 0) "SeriesMissing" (printf "absent(max(%s))" (index . 1)) (index . 2)
  (printf "Prometheus has no series of %s from %s" (index . 3) $source)
  (printf "Nothing tells about %s: alerts that read %s sleep. Either it is not scraped, or what it tells about is not there." (index . 3) $source)) -}}
{{- end -}}
