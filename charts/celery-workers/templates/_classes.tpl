{{/*
The model: the values with every default merged in, every duration in seconds and every name resolved. Every template
renders from it, none from the values of a class. Building it refuses settings that cannot work (_validate.tpl).
Numbers come back from JSON as floats: print them through `int`.
*/}}
{{- define "celery-workers.model" -}}
{{- $model := dict "problems" list -}}
{{- include "celery-workers.normalise" (list . $model) -}}
{{- include "celery-workers.validate" (list . $model) -}}
{{- omit $model "problems" | toJson -}}
{{- end -}}

{{/* Note a problem. Arguments: model, message as "<value path>: <rule>; <fix>". */}}
{{- define "celery-workers.problem" -}}
{{- $model := index . 0 -}}
{{- $_ := set $model "problems" (append $model.problems (index . 1)) -}}
{{- end -}}

{{/* Lay a map over another, in place, at every depth. Null leaves what is there; lists replace. Arguments: base, over. */}}
{{- define "celery-workers.overlay" -}}
{{- $base := index . 0 -}}
{{- range $key, $value := index . 1 -}}
  {{- if and (kindIs "map" $value) (kindIs "map" (index $base $key)) -}}
    {{- include "celery-workers.overlay" (list (index $base $key) $value) -}}
  {{- else if not (kindIs "invalid" $value) -}}
    {{- $_ := set $base $key $value -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Set into[key] to the seconds of a duration, null where it is unset. Arguments: model, path, value, into, key. */}}
{{- define "celery-workers.setSeconds" -}}
{{- $value := index . 2 -}}
{{- $seconds := index . 2 -}}
{{- if kindIs "invalid" $value -}}
{{- else if regexMatch "^[1-9][0-9]*[smhd]$" (toString $value) -}}
  {{- $unit := index (dict "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]$" $value) -}}
  {{- $seconds = mul (regexFind "^[0-9]+" $value | int) $unit -}}
{{- else -}}
  {{- $seconds = 0 -}}
  {{- include "celery-workers.problem" (list (index . 0) (printf "%s: %q is not a duration; write a whole number and s, m, h or d, as in 90s or 30m" (index . 1) (toString $value))) -}}
{{- end -}}
{{- $_ := set (index . 3) (index . 4) $seconds -}}
{{- end -}}

{{/* Set into[key] to the KiB of a memory quantity, null where it is unset. Arguments: model, path, value, into, key. */}}
{{- define "celery-workers.setKibibytes" -}}
{{- $value := index . 2 -}}
{{- $kibibytes := index . 2 -}}
{{- if kindIs "invalid" $value -}}
{{- else if regexMatch "^[1-9][0-9]*[KMG]i$" (toString $value) -}}
  {{- $unit := index (dict "Ki" 1 "Mi" 1024 "Gi" 1048576) (regexFind "[KMG]i$" $value) -}}
  {{- $kibibytes = mul (regexFind "^[0-9]+" $value | int) $unit -}}
{{- else -}}
  {{- $kibibytes = 0 -}}
  {{- include "celery-workers.problem" (list (index . 0) (printf "%s: %q is not an amount of memory; write a whole number and Ki, Mi or Gi, as in 512Mi" (index . 1) (toString $value))) -}}
{{- end -}}
{{- $_ := set (index . 3) (index . 4) $kibibytes -}}
{{- end -}}

{{/* Set into[key] to the number of a priority given by name or number. Arguments: root, model, path, value, into, key. */}}
{{- define "celery-workers.setPriority" -}}
{{- $value := index . 3 -}}
{{- $names := (index . 0).Values.priorities -}}
{{- $priority := $value -}}
{{- if kindIs "string" $value -}}
  {{- $priority = index $names $value -}}
  {{- if kindIs "invalid" $priority -}}
    {{- include "celery-workers.problem" (list (index . 1) (printf "%s: no priority is called %q; use a number from 1 to 9 or one of %s" (index . 2) $value (keys $names | sortAlpha | join ", "))) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set (index . 4) (index . 5) $priority -}}
{{- end -}}

{{/* Some text where a class has this scaler, else none. Arguments: model, scaler. */}}
{{- define "celery-workers.hasScaler" -}}
{{- $wanted := index . 1 -}}
{{- range (index . 0).classes }}{{ if eq .scaler $wanted }}x{{ end }}{{ end -}}
{{- end -}}

{{/* Fill the model from the values. Arguments: root, model. */}}
{{- define "celery-workers.normalise" -}}
{{- $root := index . 0 -}}
{{- $model := index . 1 -}}
{{- $values := $root.Values -}}
{{- $_ := set $model "brokerMode" ($values.broker.mode | default (ternary "embedded" "external" (eq $values.environment "dev"))) -}}
{{- $_ := set $model "environment" $values.environment -}}
{{- $_ := set $model "prometheusAddress" $values.keda.prometheusAddress -}}
{{- $_ := set $model "classes" dict -}}
{{- range $name, $class := $values.workers -}}
  {{- include "celery-workers.normaliseClass" (list $root $model $name $class) -}}
{{- end -}}
{{- include "celery-workers.setPriority" (list $root $model "defaultPriority" $values.defaultPriority $model "defaultPriority") -}}
{{- include "celery-workers.normaliseRoutes" . -}}
{{- end -}}

{{/* Add one class to the model. Arguments: root, model, class name, class values. */}}
{{- define "celery-workers.normaliseClass" -}}
{{- $root := index . 0 -}}
{{- $model := index . 1 -}}
{{- $name := index . 2 -}}
{{- $path := printf "workers.%s" $name -}}
{{- $class := deepCopy $root.Values.workerDefaults -}}
{{- include "celery-workers.overlay" (list $class (index . 3)) -}}
{{- $limits := $class.timeLimits -}}
{{- include "celery-workers.setSeconds" (list $model (printf "%s.timeLimits.soft" $path) $limits.soft $class "softSeconds") -}}
{{- include "celery-workers.setSeconds" (list $model (printf "%s.timeLimits.hard" $path) $limits.hard $class "hardSeconds") -}}
{{- include "celery-workers.setSeconds" (list $model (printf "%s.targets.latency" $path) $class.targets.latency $class "latencySeconds") -}}
{{- include "celery-workers.setKibibytes" (list $model (printf "%s.maxMemoryPerChild" $path) $class.maxMemoryPerChild $class "maxMemoryPerChildKib") -}}
{{- $longest := $class.hardSeconds -}}
{{- if kindIs "invalid" $longest -}}
  {{- $longest = max ($class.softSeconds | default 0) $class.drainSeconds -}}
{{- end -}}
{{- $_ := set $class "longestSeconds" $longest -}}
{{- $_ := set $class "preStopSeconds" (dig "preStop" "sleep" "seconds" 0 ($class.lifecycle | default dict)) -}}
{{- $_ := set $class "neededGraceSeconds" (add $longest $class.graceMarginSeconds $class.preStopSeconds) -}}
{{- if kindIs "invalid" $class.terminationGracePeriodSeconds -}}
  {{- $_ := set $class "terminationGracePeriodSeconds" $class.neededGraceSeconds -}}
{{- end -}}
{{- $_ := set $class "objectName" (include "celery-workers.workerName" (list $root $name)) -}}
{{- $_ := set $class "headroomName" (include "celery-workers.objectName" (list $root (printf "%s-headroom" $name))) -}}
{{- include "celery-workers.setLastingContainers" $class -}}
{{- range $queue, $settings := $class.queues -}}
  {{- include "celery-workers.normaliseQueue" (list $root $model (printf "%s.queues.%s" $path $queue) $class $queue $settings) -}}
{{- end -}}
{{- $_ := set $model.classes $name $class -}}
{{- end -}}

{{/* Note names and requests of the containers that run as long as the pod: worker, native sidecars, sidecars. Argument: class. */}}
{{- define "celery-workers.setLastingContainers" -}}
{{- $found := list (dict "name" "worker" "requests" .resources.requests) -}}
{{- range $container := concat .initContainers .sidecars -}}
  {{- if or (has $container $.sidecars) (eq ($container.restartPolicy | default "") "Always") -}}
    {{- $found = append $found (dict "name" $container.name "requests" (dig "resources" "requests" nil $container)) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set . "lastingContainers" $found -}}
{{- end -}}

{{/* Replace a queue's values in its class by the resolved ones. Arguments: root, model, path, class, queue name, queue values. */}}
{{- define "celery-workers.normaliseQueue" -}}
{{- $root := index . 0 -}}
{{- $model := index . 1 -}}
{{- $path := index . 2 -}}
{{- $class := index . 3 -}}
{{- $queue := deepCopy $root.Values.queueDefaults -}}
{{- include "celery-workers.overlay" (list $queue (index . 5 | default dict)) -}}
{{- include "celery-workers.setSeconds" (list $model (printf "%s.messageTtl" $path) $queue.messageTtl $queue "messageTtlSeconds") -}}
{{- include "celery-workers.setSeconds" (list $model (printf "%s.consumerTimeout" $path) $queue.consumerTimeout $queue "consumerTimeoutSeconds") -}}
{{- if and (kindIs "invalid" $queue.consumerTimeout) (not (kindIs "invalid" $class.hardSeconds)) -}}
  {{- $_ := set $queue "consumerTimeoutSeconds" (max 1800 $class.neededGraceSeconds) -}}
{{- end -}}
{{- if kindIs "invalid" $queue.maxLength -}}
  {{- $_ := set $queue "overflow" nil -}}
{{- end -}}
{{- $_ := set $class.queues (index . 4) $queue -}}
{{- end -}}

{{/* One route a task, in the order of the values. Arguments: root, model. */}}
{{- define "celery-workers.normaliseRoutes" -}}
{{- $root := index . 0 -}}
{{- $model := index . 1 -}}
{{- $routes := list -}}
{{- range $position, $route := $root.Values.routes -}}
  {{- $resolved := dict "priority" $model.defaultPriority -}}
  {{- if not (kindIs "invalid" $route.priority) -}}
    {{- include "celery-workers.setPriority" (list $root $model (printf "routes[%d].priority" $position) $route.priority $resolved "priority") -}}
  {{- end -}}
  {{- range $task := $route.tasks -}}
    {{- $one := dict "task" $task "queue" $route.queue "priority" $resolved.priority -}}
    {{- with $route.rollout }}{{ $_ := set $one "rollout" . }}{{ end -}}
    {{- $routes = append $routes $one -}}
  {{- end -}}
{{- end -}}
{{- $_ := set $model "routes" $routes -}}
{{- end -}}
