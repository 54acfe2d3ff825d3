{{/*
The chart's own rules: recorded series that alerts and dashboards share, and the alerts. `context` is what they are made
of: the root's names, the model's classes and queues, and the thresholds of monitoring.alerts.
*/}}

{{/* The groups of the PrometheusRule. Arguments: root, model. */}}
{{- define "celery-workers.ruleGroups" -}}
{{- $root := index . 0 -}}
{{- $context := include "celery-workers.ruleContext" . | fromJson -}}
- name: {{ $context.name }}.recorded
  interval: {{ $context.interval }}
  rules:
    {{- include "celery-workers.recordedQueues" $context | nindent 4 }}
    {{- include "celery-workers.recordedTasks" $context | nindent 4 }}
    {{- include "celery-workers.recordedPods" $context | nindent 4 }}
    {{- include "celery-workers.recordedScaling" $context | nindent 4 }}
- name: {{ $context.name }}.recorded-slowly
  interval: 1m
  rules:
    {{- include "celery-workers.recordedNormal" $context | nindent 4 }}
    {{- include "celery-workers.recordedTaskCost" $context | nindent 4 }}
    {{- include "celery-workers.recordedCompletion" $context | nindent 4 }}
{{- $alerts := list -}}
{{- range $part := list "alertsQueues" "alertsTasks" "alertsPods" "alertsCompletion" "alertsWatching" -}}
  {{- with include (printf "celery-workers.%s" $part) $context | trim -}}
    {{- $alerts = append $alerts . -}}
  {{- end -}}
{{- end -}}
{{- with $alerts }}
- name: {{ $context.name }}.alerts
  interval: {{ $context.interval }}
  rules:
    {{- join "\n" . | nindent 4 }}
{{- end }}
{{- with $root.Values.monitoring.prometheusRule.groups }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
What every rule is made of, as JSON. `own` selects recorded series of this release, `seen` those of the exporter,
`broker` goes on with what selects RabbitMQ's: who scrapes adds namespace and release, or leaves them out where there is
but one. Arguments: root, model.
*/}}
{{- define "celery-workers.ruleContext" -}}
{{- $root := index . 0 -}}
{{- $monitoring := $root.Values.monitoring -}}
{{- $rule := $monitoring.prometheusRule -}}
{{- $classes := dict -}}
{{- range $name, $class := (index . 1).classes -}}
  {{- $_ := set $classes $name (include "celery-workers.ruleClass" (list $root $name $class) | fromJson) -}}
{{- end -}}
{{- $labels := dict "namespace" $root.Release.Namespace "release" $root.Release.Name -}}
{{- dict
  "name" (include "celery-workers.objectName" (list $root "workers"))
  "interval" $rule.interval
  "window" $rule.rateWindow
  "alerts" $monitoring.alerts
  "prices" $monitoring.prices
  "exporter" $root.Values.exporter.enabled
  "labels" $labels
  "own" (printf "namespace=%q,release=%q" $labels.namespace $labels.release)
  "seen" (printf "namespace=~\"|%s\",release=~\"|%s\"" $labels.namespace $labels.release)
  "broker" (printf ",release=~\"|%s\"%s" $labels.release (ternary "" (print "," $rule.brokerMatchers) (empty $rule.brokerMatchers)))
  "classes" $classes
  | toJson -}}
{{- end -}}

{{/* What rules need of a class, as JSON; patterns are regular expressions. Arguments: root, class name, class of the model. */}}
{{- define "celery-workers.ruleClass" -}}
{{- $root := index . 0 -}}
{{- $class := index . 2 -}}
{{- $namespace := printf "namespace=%q" $root.Release.Namespace -}}
{{- $dead := $root.Values.deadLetters -}}
{{- $names := keys $class.queues | sortAlpha | join "|" | replace "." "[.]" -}}
{{- $queues := dict -}}
{{- range $name, $queue := $class.queues -}}
  {{- $deadName := print $name $dead.suffix -}}
  {{- $_ := set $queues $name (dict "limit" $queue.maxLength "ttl" $queue.messageTtlSeconds "stores" (eq ($queue.overflow | default "") "reject-publish-dlx") "dead" (ternary $deadName nil $dead.enabled)) -}}
{{- end -}}
{{- $limits := $class.resources.limits | default dict -}}
{{- $most := ternary $class.replicas.min $class.replicas.max (eq $class.scaler "none") -}}
{{- dict
  "deployment" $class.objectName
  "container" (printf "%s,pod=~%q,container=\"worker\"" $namespace (include "celery-workers.podPattern" $class.objectName))
  "pods" (printf "%s,pod=~%q" $namespace (include "celery-workers.podPattern" $class.objectName))
  "autoscaler" (printf "%s,horizontalpodautoscaler=~\"(keda-hpa-)?%s\"" $namespace $class.objectName)
  "scaled" (ne $class.scaler "none")
  "keda" (eq $class.scaler "keda")
  "min" $class.replicas.min
  "max" $most
  "slots" (mul $class.concurrency $most)
  "concurrency" $class.concurrency
  "expectedTaskSeconds" $class.expectedTaskSeconds
  "cpuLimit" (hasKey $limits "cpu")
  "memoryLimit" (hasKey $limits "memory")
  "queues" $queues
  "queueNames" $names
  | toJson -}}
{{- end -}}

{{/* A Deployment's pods by name: its own, then a ReplicaSet's and a pod's part. Kubernetes cuts what is too long. */}}
{{- define "celery-workers.podPattern" -}}
{{- if le (len .) 46 }}{{ . }}-[a-z0-9]+-[a-z0-9]+{{ else }}{{ trunc 57 . }}[a-z0-9-]*{{ end -}}
{{- end -}}

{{/* One recorded series. Arguments: context, name, expression; where there are any, labels. */}}
{{- define "celery-workers.record" -}}
{{- $labels := deepCopy (index . 0).labels -}}
{{- if gt (len .) 3 }}{{ $labels = mergeOverwrite $labels (index . 3) }}{{ end }}
{{ list (dict "record" (print "celery_workers:" (index . 1)) "expr" (index . 2 | trim) "labels" $labels) | toYaml }}
{{- end -}}

{{/*
One alert, where its block of monitoring.alerts says so. Arguments: context, name, expression, labels, summary,
description.
*/}}
{{- define "celery-workers.alert" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $settings := index $context.alerts (untitle $name) -}}
{{- if $settings.enabled }}
{{- $labels := mergeOverwrite (deepCopy $context.alerts.labels) $context.labels (index . 3) (dict "severity" $settings.severity "app" "celery-workers") -}}
{{- $annotations := dict "summary" (index . 4) "description" (index . 5) "runbook_url" (printf "%s#%s" $context.alerts.runbookUrl (lower $name)) }}
{{ list (dict "alert" $name "expr" (index . 2 | trim) "for" (index $settings "for") "labels" $labels "annotations" $annotations) | toYaml }}
{{- end -}}
{{- end -}}

{{/* A percentage as the ratio PromQL compares with. */}}
{{- define "celery-workers.ratio" -}}
{{- divf . 100 | toJson -}}
{{- end -}}
