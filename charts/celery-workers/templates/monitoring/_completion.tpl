{{/*
The error budget of completion (https://sre.google/workbook/alerting-on-slos/, multiwindow and multi-burn-rate). A task
that ended is lost to it when it failed, or when it became a dead letter without a failure of its own: it expired, killed
its workers, or was rejected. Refused messages (maxlen) are the publisher's to send again.
*/}}

{{/* Windows of the budget's alerts: how fast it burns, over which long and short window. As JSON. */}}
{{- define "celery-workers.burnRates" -}}
{{- dict
  "errorBudgetBurningFast" (list (dict "times" 14.4 "long" "1h" "short" "5m") (dict "times" 6 "long" "6h" "short" "30m"))
  "errorBudgetBurningSlowly" (list (dict "times" 3 "long" "1d" "short" "2h") (dict "times" 1 "long" "3d" "short" "6h"))
  | toJson -}}
{{- end -}}

{{/* Tasks of a class that were not completed in a window. Arguments: context, class name, window. */}}
{{- define "celery-workers.uncompleted" -}}
{{- $context := index . 0 -}}
{{- $failed := printf "sum(increase(celery_workers_tasks_total{%s,class=%q,outcome=\"failed\"}[%s])) or vector(0)" $context.seen (index . 1) (index . 2) -}}
{{- $dead := printf "sum(increase(celery_workers_dead_letters_total{%s,class=%q,reason=~\"expired|poison|delivery_limit|rejected|unknown\"}[%s])) or vector(0)" $context.seen (index . 1) (index . 2) -}}
{{- printf "(%s)\n+\n(%s)" $failed $dead -}}
{{- end -}}

{{/* Argument: context. */}}
{{- define "celery-workers.recordedCompletion" -}}
{{- range $name, $class := .classes -}}
  {{- $labels := dict "class" $name -}}
  {{- range $window := list "5m" "30m" "1h" "2h" "6h" "1d" "3d" -}}
    {{- include "celery-workers.record" (list $ (print "completion_errors:count" $window) (include "celery-workers.uncompleted" (list $ $name $window)) $labels) -}}
    {{- $lost := printf "celery_workers:completion_errors:count%s{%s,class=%q}" $window $.own $name -}}
    {{- $done := printf "sum(increase(celery_workers_tasks_total{%s,class=%q,outcome=\"succeeded\"}[%s])) or vector(0)" $.seen $name $window -}}
    {{- include "celery-workers.record" (list $ (print "completion_errors:ratio" $window) (printf "%s\n/ on ()\n((%s + on () (%s)) > 0)" $lost $lost $done) $labels) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Argument: context. */}}
{{- define "celery-workers.alertsCompletion" -}}
{{- $completion := .alerts.completion -}}
{{- $budget := divf (subf 100 $completion.objectivePercent) 100 -}}
{{- range $key, $rates := include "celery-workers.burnRates" . | fromJson -}}
  {{- range $rate := $rates -}}
    {{- range $name, $class := $.classes -}}
      {{- $over := "celery_workers:completion_errors:ratio%s{%s,class=%q} > %s" -}}
      {{- $limit := mulf $rate.times $budget | printf "%.6g" -}}
      {{- $expr := printf "%s\nand\n%s\nand\ncelery_workers:completion_errors:count%s{%s,class=%q} >= %d" (printf $over $rate.long $.own $name $limit) (printf $over $rate.short $.own $name $limit) $rate.long $.own $name (int $completion.leastFailures) -}}
      {{- $summary := printf "Class %s burns its error budget more than %s times as fast as it may" $name (toJson $rate.times) | replace "more than 1 times as fast as" "faster than" -}}
      {{- $description := printf "%s of the tasks of class %s were not completed in %s, and too many in the last %s as well; %s%% are allowed." "{{ $value | humanizePercentage }}" $name $rate.long $rate.short (subf 100 $completion.objectivePercent | printf "%.4g") -}}
      {{- include "celery-workers.alert" (list $ (title $key) $expr (dict "class" $name "window" $rate.long) $summary $description) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
