{{/* Recorded series, prefix celery_workers:, with labels namespace, release, class and, where it is of one, queue. */}}

{{/* Argument: context. */}}
{{- define "celery-workers.recordedQueues" -}}
{{- range $name, $class := .classes -}}
{{- $labels := dict "class" $name -}}
{{- range $name, $metric := dict "queue_ready:messages" "messages_ready" "queue_unacked:messages" "messages_unacked" "queue_consumers:count" "consumers" -}}
  {{- $told := printf "max by (queue) (rabbitmq_detailed_queue_%s{queue=~%q%s})" $metric $class.queueNames $.broker -}}
  {{- include "celery-workers.record" (list $ $name $told $labels) -}}
{{- end -}}
{{- range $queue, $settings := $class.queues -}}
  {{- if $settings.limit -}}
    {{- $fill := printf "celery_workers:queue_ready:messages{%s,queue=%q} / %d" $.own $queue (int $settings.limit) -}}
    {{- include "celery-workers.record" (list $ "queue_fill:ratio" $fill (dict "class" $name "queue" $queue)) -}}
  {{- end -}}
  {{- if $settings.dead -}}
    {{- $dead := printf "max(rabbitmq_detailed_queue_messages_ready{queue=%q%s})" $settings.dead $.broker -}}
    {{- include "celery-workers.record" (list $ "dead_letters:messages" $dead (dict "class" $name "queue" $queue)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
{{- include "celery-workers.record" (list . "queue_growth:per_second" (printf "deriv(celery_workers:queue_ready:messages{%s}[5m])" .own)) -}}
{{- end -}}

{{/* Argument: context. */}}
{{- define "celery-workers.recordedTasks" -}}
{{- $ended := printf "celery_workers_tasks_total{%s,outcome=~\"succeeded|failed\"}" .seen -}}
{{- $failed := printf "celery_workers_tasks_total{%s,outcome=\"failed\"}" .seen -}}
{{- $rate := "sum by (class, queue) (rate(%s[%s]))" -}}
{{- include "celery-workers.record" (list . "throughput:per_second" (printf $rate $ended .window)) -}}
{{- range $window := list "5m" "1h" -}}
  {{- $all := printf $rate $ended $window -}}
  {{- /* A queue without failures has no such series yet: then it is 0. */ -}}
  {{- $ratio := printf "(%s or 0 * %s)\n/\n(%s > 0)" (printf $rate $failed $window) $all $all -}}
  {{- include "celery-workers.record" (list $ (print "task_failures:ratio" $window) $ratio) -}}
{{- end -}}
{{- $latency := "celery_workers_task_latency_seconds" -}}
{{- $sum := printf "sum by (class, queue) (rate(%s_sum{%s}[5m]))" $latency .seen -}}
{{- $count := printf "sum by (class, queue) (rate(%s_count{%s}[5m]))" $latency .seen -}}
{{- include "celery-workers.record" (list . "latency_seconds:avg_5m" (printf "%s\n/\n(%s > 0)" $sum $count)) -}}
{{- $p95 := printf "histogram_quantile(0.95, sum by (class, queue, le) (rate(%s_bucket{%s}[5m]))) >= 0" $latency .seen -}}
{{- include "celery-workers.record" (list . "latency_seconds:p95_5m" $p95) -}}
{{- end -}}

{{/* Use and price of a class's pods. Argument: context. */}}
{{- define "celery-workers.recordedPods" -}}
{{- range $name, $class := .classes -}}
{{- $labels := dict "class" $name -}}
{{- /* A pod that has ended keeps its limit for a while; only those that are measured count. */ -}}
{{- if $class.cpuLimit -}}
  {{- $used := printf "container_cpu_usage_seconds_total{%s}" $class.container -}}
  {{- $limit := printf "max by (pod) (kube_pod_container_resource_limits{%s,resource=\"cpu\"})" $class.container -}}
  {{- $cpu := printf "sum(rate(%s[%s]))\n/\nsum(%s and on (pod) %s)" $used $.window $limit $used -}}
  {{- include "celery-workers.record" (list $ "cpu_of_limit:ratio" $cpu $labels) -}}
{{- end -}}
{{- if $class.memoryLimit -}}
  {{- $used := printf "max by (pod) (container_memory_working_set_bytes{%s})" $class.container -}}
  {{- $limit := printf "max by (pod) (kube_pod_container_resource_limits{%s,resource=\"memory\"})" $class.container -}}
  {{- /* The fullest pod: the kernel kills one at a time. */ -}}
  {{- include "celery-workers.record" (list $ "memory_of_limit:ratio" (printf "max(%s / on (pod) %s)" $used $limit) $labels) -}}
{{- end -}}
{{- $requested := "sum(max by (pod, container) (kube_pod_container_resource_requests{%s,resource=%q}))" -}}
{{- $cost := printf "%s * %s\n+\n%s / 2^30 * %s" (printf $requested $class.pods "cpu") (toJson $.prices.cpuCoreHour) (printf $requested $class.pods "memory") (toJson $.prices.memoryGibHour) -}}
{{- include "celery-workers.record" (list $ "requested_cost:per_hour" $cost $labels) -}}
{{- end -}}
{{- end -}}

{{/*
What the autoscaler did. A turn is a change in the other direction than the last one: the direction is kept by a series
that repeats itself until the next change. Argument: context.
*/}}
{{- define "celery-workers.recordedScaling" -}}
{{- range $name, $class := .classes -}}
{{- if $class.scaled -}}
{{- $labels := dict "class" $name -}}
{{- $desired := printf "max(kube_horizontalpodautoscaler_status_desired_replicas{%s})" $class.autoscaler -}}
{{- include "celery-workers.record" (list $ "replicas_desired:count" $desired $labels) -}}
{{- end -}}
{{- end -}}
{{- $replicas := printf "celery_workers:replicas_desired:count{%s}" .own -}}
{{- $direction := printf "celery_workers:scaling_direction:sign{%s}" .own -}}
{{- $sign := printf "sgn(%s - %s offset %s) != 0\nor\n%s" $replicas $replicas .interval $direction -}}
{{- include "celery-workers.record" (list . "scaling_direction:sign" $sign) -}}
{{- include "celery-workers.record" (list . "scaling_changes:count1h" (printf "changes(%s[1h])" $replicas)) -}}
{{- $reversals := printf "changes(%s[1h])\nor\n0 * %s" $direction $replicas -}}
{{- include "celery-workers.record" (list . "scaling_reversals:count1h" $reversals) -}}
{{- /* resets() counts the changes downwards: what is left are those upwards. */ -}}
{{- $events := printf "changes(%s[1h]) - resets(%s[1h])\n+\ncelery_workers:scaling_reversals:count1h{%s}" $replicas $replicas .own -}}
{{- include "celery-workers.record" (list . "scaling_events:count1h" $events) -}}
{{- end -}}

{{/*
What latency is normal: the median of a day of five-minute averages, which a bad hour does not move; not the last half
hour, which may be the trouble. Before there is a day, the figure of the values. Argument: context.
*/}}
{{- define "celery-workers.recordedNormal" -}}
{{- $given := .alerts.latencyHigh.normalSeconds -}}
{{- range $name, $class := .classes -}}
{{- $own := printf "%s,class=%q" $.own $name -}}
{{- $ready := printf "celery_workers:queue_ready:messages{%s}" $own -}}
{{- $day := printf "quantile_over_time(0.5, celery_workers:latency_seconds:avg_5m{%s}[1d] offset 30m)\nand on (queue) %s offset 1d" $own $ready -}}
{{- $figure := index $given $name | default $class.expectedTaskSeconds -}}
{{- if $figure -}}
  {{- $day = printf "(%s)\nor\n0 * %s + %s" $day $ready (toJson $figure) -}}
{{- end -}}
{{- include "celery-workers.record" (list $ "latency_normal:seconds" $day (dict "class" $name)) -}}
{{- end -}}
{{- end -}}

{{/*
What a task costs: of what its class cost in an hour, the part that is its part of the time in which the class's workers
ran tasks, over how many were done. Pods that idle are paid for too. Argument: context.
*/}}
{{- define "celery-workers.recordedTaskCost" -}}
{{- $time := printf "sum by (class%%s) (increase(celery_workers_task_run_seconds_sum{%s}[1h]))" .seen -}}
{{- $spent := printf "sum_over_time(celery_workers:requested_cost:per_hour{%s}[1h:1m]) / 60" .own -}}
{{- $done := printf "sum by (class, task) (increase(celery_workers_tasks_total{%s,outcome=\"succeeded\"}[1h]))" .seen -}}
{{- $cost := printf "%s\n/ on (class) group_left ()\n(%s > 0)\n* on (class) group_left ()\n(%s)\n/\n(%s > 0)" (printf $time ", task") (printf $time "") $spent $done -}}
{{- include "celery-workers.record" (list . "task_cost:per_task1h" $cost) -}}
{{- end -}}
