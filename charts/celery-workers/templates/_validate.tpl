{{/*
Rules between settings, which the schema cannot see. All problems are collected, then reported at once; each says where,
what and how to mend it.
*/}}
{{- define "celery-workers.validate" -}}
{{- $model := index . 1 -}}
{{- $values := (index . 0).Values -}}
{{- include "celery-workers.validateBroker" . -}}
{{- include "celery-workers.validateNetwork" . -}}
{{- include "celery-workers.validateMonitoring" . -}}
{{- include "celery-workers.validateAlerts" . -}}
{{- include "celery-workers.validateEnv" (list $model "beat.env" $values.beat.env) -}}
{{- range $key := list "podAnnotations" "podLabels" -}}
  {{- include "celery-workers.validateMetadata" (list $model (printf "beat.%s" $key) $key (index $values.beat $key)) -}}
{{- end -}}
{{- include "celery-workers.validateCommand" (list $model "beat.command" $values.beat.command) -}}
{{- range $key := list "commonLabels" "commonAnnotations" -}}
  {{- include "celery-workers.validateMetadata" (list $model $key $key (index $values $key)) -}}
{{- end -}}
{{- include "celery-workers.validateImage" . -}}
{{- include "celery-workers.validateDatabase" . -}}
{{- include "celery-workers.validateEnv" (list $model "env" $values.env) -}}
{{- range $name, $class := $model.classes -}}
  {{- $context := list $model $class (printf "workers.%s" $name) -}}
  {{- include "celery-workers.validatePool" $context -}}
  {{- include "celery-workers.validateGrace" $context -}}
  {{- include "celery-workers.validateScaling" $context -}}
  {{- include "celery-workers.validateQueueDepth" $context -}}
  {{- include "celery-workers.validateHeadroom" $context -}}
  {{- include "celery-workers.validateEnv" (list $model (printf "workers.%s.env" $name) $class.env) -}}
  {{- include "celery-workers.validateContainers" $context -}}
  {{- range $key := list "annotations" "podAnnotations" "podLabels" -}}
    {{- include "celery-workers.validateMetadata" (list $model (printf "workers.%s.%s" $name $key) $key (index $class $key)) -}}
  {{- end -}}
{{- end -}}
{{- include "celery-workers.validateQueues" . -}}
{{- include "celery-workers.validateRoutes" . -}}
{{- with $model.problems -}}
  {{- fail (printf "\n\nthe values cannot work, %d %s:\n  - %s\n" (len .) (ternary "problem" "problems" (eq (len .) 1)) (uniq . | join "\n  - ")) -}}
{{- end -}}
{{- end -}}

{{/* Arguments: root, model. */}}
{{- define "celery-workers.validateBroker" -}}
{{- $values := (index . 0).Values -}}
{{- $model := index . 1 -}}
{{- if and (eq $model.brokerMode "embedded") (ne $values.environment "dev") -}}
  {{- include "celery-workers.problem" (list $model (printf "broker.mode: the embedded broker has a public password and no storage, so environment %s may not use it; set external and make the Secret broker.existingSecret names" $values.environment)) -}}
{{- end -}}
{{- range $path, $secret := dict "broker.scalerSecret" $values.broker.scalerSecret "exporter.existingSecret" $values.exporter.existingSecret -}}
  {{- if and $secret (eq $model.brokerMode "embedded") -}}
    {{- include "celery-workers.problem" (list $model (printf "%s: the embedded broker has one user, which the release knows; set null" $path)) -}}
  {{- end -}}
{{- end -}}
{{- $tls := $values.broker.tls -}}
{{- if and $tls.caSecret $tls.caConfigMap -}}
  {{- include "celery-workers.problem" (list $model "broker.tls.caConfigMap: caSecret says where the CA is already; set one of them to null") -}}
{{- end -}}
{{- if and (include "celery-workers.brokerCa" (index . 0)) (ne $model.brokerMode "external") -}}
  {{- include "celery-workers.problem" (list $model (printf "broker.tls: the %s broker of this chart has no TLS; set caSecret and caConfigMap to null" $model.brokerMode)) -}}
{{- end -}}
{{- $configured := "(?im)^\\s*[\\w.]*(pass|password|passwd|secret|token)\\s*=\\s*\\S" -}}
{{- $shown := or (regexMatch $configured $values.broker.cluster.config) (regexMatch (include "celery-workers.urlWithPassword" .) $values.broker.cluster.config) -}}
{{- if and (eq $model.brokerMode "operator") $shown (ne $values.environment "dev") -}}
  {{- include "celery-workers.problem" (list $model "broker.cluster.config: a password in plain text ends up in helm's history; leave it to the operator, or to a definition of your own with a Secret") -}}
{{- end -}}
{{- if and $values.broker.topologyJob.deleteOnUninstall (or (ne $model.brokerMode "external") (ne $values.broker.topology "job")) -}}
  {{- include "celery-workers.problem" (list $model "broker.topologyJob.deleteOnUninstall: only what the Job made on an external broker is deleted; set false, or broker.mode external and broker.topology job") -}}
{{- end -}}
{{- if and $values.broker.topologyJob.deleteOnUninstall $values.delayedDelivery.enabled -}}
  {{- include "celery-workers.problem" (list $model "broker.topologyJob.deleteOnUninstall: RabbitMQ does not say of the quorum queues of delayedDelivery whether they are empty; set one of both false") -}}
{{- end -}}
{{- if $values.broker.topologyJob.deleteOnUninstall -}}
  {{- range $class, $settings := $model.classes -}}
    {{- range $name, $queue := $settings.queues -}}
      {{- if eq $queue.type "quorum" -}}
        {{- include "celery-workers.problem" (list $model (printf "broker.topologyJob.deleteOnUninstall: RabbitMQ does not say of a quorum queue (workers.%s.queues.%s) whether it is empty; set false" $class $name)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $operator := $values.broker.topologyOperator -}}
{{- if eq $values.broker.topology "operator" -}}
  {{- if eq $model.brokerMode "embedded" -}}
    {{- include "celery-workers.problem" (list $model "broker.topology: no operator knows the embedded broker; set job, or broker.mode operator") -}}
  {{- else if and (eq $model.brokerMode "external") (eq (empty $operator.clusterName) (empty $operator.connectionSecret)) -}}
    {{- include "celery-workers.problem" (list $model "broker.topologyOperator: the operator needs clusterName or connectionSecret, and one of them only; set it, or broker.topology job") -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $model.brokerMode "operator") (gt (int $values.broker.cluster.nodes) 1) -}}
  {{- range $class, $settings := $model.classes -}}
    {{- range $name, $queue := $settings.queues -}}
      {{- if ne $queue.type "quorum" -}}
        {{- include "celery-workers.problem" (list $model (printf "workers.%s.queues.%s.type: a classic queue lives on one of the %d nodes and is away with it; set quorum, or broker.cluster.nodes 1" $class $name (int $values.broker.cluster.nodes))) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $model.brokerMode "external") (not $values.broker.existingSecret) -}}
  {{- include "celery-workers.problem" (list $model "broker.existingSecret: an external broker needs the name of the Secret that says where it is; set it") -}}
{{- end -}}
{{- end -}}

{{/* What runs in production can be told. Arguments: root, model. */}}
{{- define "celery-workers.validateImage" -}}
{{- $values := (index . 0).Values -}}
{{- $model := index . 1 -}}
{{- if eq $values.environment "prod" -}}
  {{- if and (eq ($values.image.tag | default "") "latest") (not $values.image.digest) -}}
    {{- include "celery-workers.problem" (list $model "image.tag: latest is another image tomorrow, and a rollback finds it too; set a tag that is never moved, or image.digest") -}}
  {{- end -}}
  {{- $headroom := false -}}
  {{- range $model.classes }}{{ $headroom = or $headroom (gt (int .headroom.replicas) 0) }}{{ end -}}
  {{- if and $headroom (eq $values.headroom.image.tag "latest") -}}
    {{- include "celery-workers.problem" (list $model "headroom.image.tag: latest is another image tomorrow, and a rollback finds it too; set a tag that is never moved") -}}
  {{- end -}}
  {{- $image := $values.broker.cluster.image | default "" -}}
  {{- $moves := or (hasSuffix ":latest" $image) (not (regexMatch "[:@]" (base $image))) -}}
  {{- if and (eq $model.brokerMode "operator") $image $moves -}}
    {{- include "celery-workers.problem" (list $model (printf "broker.cluster.image: %s is another image tomorrow, and a rollback finds it too; set a tag that is never moved, or a digest" $image)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* All workers together leave the database its connections. Arguments: root, model. */}}
{{- define "celery-workers.validateDatabase" -}}
{{- $pool := (index . 0).Values.databasePool -}}
{{- if $pool -}}
  {{- $wanted := 0 -}}
  {{- $parts := list -}}
  {{- range $name, $class := (index . 1).classes -}}
    {{- $pods := int (ternary $class.replicas.min $class.replicas.max (eq $class.scaler "none")) -}}
    {{- $each := int (ternary $class.concurrency $class.databaseConnections (kindIs "invalid" $class.databaseConnections)) -}}
    {{- $wanted = add $wanted (mul $pods $each) -}}
    {{- $parts = append $parts (printf "%s %d x %d" $name $pods $each) -}}
  {{- end -}}
  {{- if gt (int $wanted) (int $pool) -}}
    {{- include "celery-workers.problem" (list (index . 1) (printf "databasePool: %d connections are less than the %d that all workers may open (pods by connections: %s); lower concurrency, replicas.max or databaseConnections, or raise it" (int $pool) (int $wanted) (join ", " $parts))) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What the alerts are told must have an effect. Arguments: root, model. */}}
{{- define "celery-workers.validateAlerts" -}}
{{- $model := index . 1 -}}
{{- $alerts := (index . 0).Values.monitoring.alerts -}}
{{- range $name, $seconds := $alerts.latencyHigh.normalSeconds -}}
  {{- if not (hasKey $model.classes $name) -}}
    {{- include "celery-workers.problem" (list $model (printf "monitoring.alerts.latencyHigh.normalSeconds.%s: there is no class %s; use %s" $name $name (keys $model.classes | sortAlpha | join ", "))) -}}
  {{- end -}}
{{- end -}}
{{- range $label := list "alertname" "app" "breaker" "class" "namespace" "queue" "release" "severity" "source" "window" -}}
  {{- if hasKey $alerts.labels $label -}}
    {{- include "celery-workers.problem" (list $model (printf "monitoring.alerts.labels.%s: the alerts set it themselves; use another name" $label)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What is watched must be there. Arguments: root, model. */}}
{{- define "celery-workers.validateMonitoring" -}}
{{- $values := (index . 0).Values -}}
{{- if and $values.monitoring.podMonitor.enabled (not $values.exporter.enabled) -}}
  {{- include "celery-workers.problem" (list (index . 1) "monitoring.podMonitor.enabled: there is no exporter to read; turn exporter.enabled on, or this off") -}}
{{- end -}}
{{- $rabbitmq := $values.monitoring.rabbitmq -}}
{{- if and $rabbitmq.enabled (not $rabbitmq.selector) (eq (index . 1).brokerMode "external") -}}
  {{- include "celery-workers.problem" (list (index . 1) "monitoring.rabbitmq.selector: which pods an external broker has, the chart cannot know; give their labels, or turn monitoring.rabbitmq.enabled off") -}}
{{- end -}}
{{- $dashboards := $values.monitoring.dashboards -}}
{{- range $name, $text := $dashboards.files -}}
  {{- if hasKey (fromJson $text) "Error" -}}
    {{- $key := ternary (print "." $name) (printf "[%q]" $name) (regexMatch "^[A-Za-z0-9_-]+$" $name) -}}
    {{- include "celery-workers.problem" (list (index $ 1) (printf "monitoring.dashboards.files%s: is no JSON object, which Grafana would pass over; give what it exports" $key)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What is listed must have an effect. Arguments: root, model. */}}
{{- define "celery-workers.validateNetwork" -}}
{{- $policy := (index . 0).Values.networkPolicy -}}
{{- range $key := list "egress" "broker" -}}
  {{- if and $policy.enabled $policy.allowExternal (index $policy $key) -}}
    {{- include "celery-workers.problem" (list (index $ 1) (printf "networkPolicy.%s: has no effect while allowExternal lets the pods connect to anything; set allowExternal false, or remove it" $key)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What the chart sets itself may not be set again: Kubernetes would take the later one. Arguments: model, path, env. */}}
{{- define "celery-workers.validateEnv" -}}
{{- $model := index . 0 -}}
{{- $path := index . 1 -}}
{{- $own := list "PYTHONPATH" "PYTHONUNBUFFERED" "PYTHONDONTWRITEBYTECODE" "POD_NAME" "CELERY_BROKER_URL" "CELERY_BROKER_CA_FILE" "CELERY_WORKERS_APP" "CELERY_WORKERS_CLASS" "CELERY_WORKERS_CONFIG_DIR" "CELERY_WORKERS_STATE_DIR" "CELERY_WORKERS_BEAT_DIR" "CELERY_WORKERS_OPS_DIR" "CELERY_WORKERS_REDIS_URL" -}}
{{- range $position, $variable := index . 2 -}}
  {{- if has $variable.name $own -}}
    {{- include "celery-workers.problem" (list $model (printf "%s[%d].name: the chart itself sets %s; remove it" $path $position $variable.name)) -}}
  {{- end -}}
{{- end -}}
{{- include "celery-workers.validateSecrets" . -}}
{{- end -}}

{{/* Passwords come by reference. Arguments: model, path, env. */}}
{{- define "celery-workers.validateSecrets" -}}
{{- $model := index . 0 -}}
{{- $path := index . 1 -}}
{{- range $position, $variable := index . 2 -}}
  {{- $named := regexMatch "PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY" (upper (toString $variable.name)) -}}
  {{- $inside := regexMatch (include "celery-workers.urlWithPassword" .) ($variable.value | default "" | toString) -}}
  {{- if and $variable.value (or $named $inside) (ne $model.environment "dev") -}}
    {{- include "celery-workers.problem" (list $model (printf "%s[%d].value: a password in plain text ends up in helm's history; make a Secret and take %s from it with valueFrom.secretKeyRef" $path $position $variable.name)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* The same for arguments of a program. Arguments: model, path, arguments. */}}
{{- define "celery-workers.validateArguments" -}}
{{- $model := index . 0 -}}
{{- $option := "(?i)^-[^=]*(password|passwd|secret|token|api-?key|private-?key)=([^$]|[$][^(])" -}}
{{- range $position, $word := index . 2 -}}
  {{- $shown := or (regexMatch $option (toString $word)) (regexMatch (include "celery-workers.urlWithPassword" $) (toString $word)) -}}
  {{- if and $shown (ne $model.environment "dev") -}}
    {{- include "celery-workers.problem" (list $model (printf "%s[%d]: a password in plain text ends up in helm's history; take it from a Secret as a variable" (index $ 1) $position)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* A URL with a password that is no variable, as a regular expression. */}}
{{- define "celery-workers.urlWithPassword" -}}
[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@$][^/\s@]*@
{{- end -}}

{{/* The same for labels and annotations; a selector would no longer match. Arguments: model, path, kind, map. */}}
{{- define "celery-workers.validateMetadata" -}}
{{- $own := index (include "celery-workers.ownMetadata" . | fromJson) (index . 2) -}}
{{- range $key, $value := index . 3 -}}
  {{- if has $key $own -}}
    {{- include "celery-workers.problem" (list (index $ 0) (printf "%s: the chart itself sets %s; remove it" (index $ 1) $key)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Celery gets the signal to stop. Arguments: model, path, command. */}}
{{- define "celery-workers.validateCommand" -}}
{{- if has (base (first (index . 2))) (list "sh" "bash" "ash" "dash") -}}
  {{- include "celery-workers.problem" (list (index . 0) (printf "%s: a shell as process 1 keeps SIGTERM from celery; start celery itself, or a wrapper that execs it" (index . 1))) -}}
{{- end -}}
{{- end -}}

{{/* The command starts celery; containers beside the worker have names and, for a share, requests. Arguments: model, class, path. */}}
{{- define "celery-workers.validateContainers" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := index . 2 -}}
{{- include "celery-workers.validateCommand" (list $model (printf "%s.command" $path) $class.command) -}}
{{- $names := list "worker" -}}
{{- range $key := list "initContainers" "sidecars" -}}
  {{- range $position, $container := index $class $key -}}
    {{- $where := printf "%s.%s[%d]" $path $key $position -}}
    {{- if has $container.name $names -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.name: the pod has a container %s already; rename it" $where $container.name)) -}}
    {{- end -}}
    {{- $names = append $names $container.name -}}
    {{- $variables := list -}}
    {{- range $container.env }}{{ $variables = append $variables (ternary . dict (kindIs "map" .)) }}{{ end -}}
    {{- include "celery-workers.validateSecrets" (list $model (printf "%s.env" $where) $variables) -}}
    {{- range $list := list "command" "args" -}}
      {{- include "celery-workers.validateArguments" (list $model (printf "%s.%s" $where $list) (index $container $list)) -}}
    {{- end -}}
    {{- $stays := or (eq $key "sidecars") (eq ($container.restartPolicy | default "") "Always") -}}
    {{- range $resource, $target := dict "cpu" "cpuUtilization" "memory" "memoryUtilization" -}}
      {{- if and $stays (ne $class.scaler "none") (index $class.targets $target) (not (dig "resources" "requests" $resource nil $container)) -}}
        {{- include "celery-workers.problem" (list $model (printf "%s.resources.requests.%s: targets.%s is a share of what the whole pod requests, which is unknown without it; set it" $where $resource $target)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What a pool cannot do. Arguments: model, class, path. */}}
{{- define "celery-workers.validatePool" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := index . 2 -}}
{{- $pool := $class.pool -}}
{{- if ne $pool "prefork" -}}
  {{- if not (kindIs "invalid" $class.softSeconds) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.timeLimits.soft: a %s pool has no soft limit; remove it%s" $path $pool (ternary " and keep timeLimits.hard, or use pool prefork" ", or use pool prefork" (eq $pool "gevent")))) -}}
  {{- end -}}
  {{- range $key := list "maxTasksPerChild" "maxMemoryPerChild" -}}
    {{- if not (kindIs "invalid" (index $class $key)) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.%s: a %s pool has no child processes to replace; remove it, or use pool prefork" $path $key $pool)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (has $pool (list "threads" "solo")) (not (kindIs "invalid" $class.hardSeconds)) -}}
  {{- include "celery-workers.problem" (list $model (printf "%s.timeLimits.hard: a %s pool cannot stop a task; remove it and set drainSeconds, or use pool prefork or gevent" $path $pool)) -}}
{{- end -}}
{{- if and (eq $pool "solo") (ne (int $class.concurrency) 1) -}}
  {{- include "celery-workers.problem" (list $model (printf "%s.concurrency: a solo pool works on one task, not %d; set 1" $path (int $class.concurrency))) -}}
{{- end -}}
{{- if not (or (kindIs "invalid" $class.softSeconds) (kindIs "invalid" $class.hardSeconds)) -}}
  {{- if and (ge (int $class.softSeconds) (int $class.hardSeconds)) (gt (int $class.hardSeconds) 0) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.timeLimits.soft: %s is not below the hard limit %s, so no task could clean up; lower it" $path $class.timeLimits.soft $class.timeLimits.hard)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* No pod may be killed in the middle of a task, nor lose its connection over one. Arguments: model, class, path. */}}
{{- define "celery-workers.validateGrace" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := index . 2 -}}
{{- if lt (int $class.terminationGracePeriodSeconds) (int $class.neededGraceSeconds) -}}
  {{- include "celery-workers.problem" (list $model (printf "%s.terminationGracePeriodSeconds: %d ends tasks that may still run for %d s, after %d s of preStop and with %d s of margin; set at least %d, or null to have it derived" $path (int $class.terminationGracePeriodSeconds) (int $class.longestSeconds) (int $class.preStopSeconds) (int $class.graceMarginSeconds) (int $class.neededGraceSeconds))) -}}
{{- end -}}
{{- range $name, $queue := $class.queues -}}
  {{- if and $queue.consumerTimeoutSeconds (le (int $queue.consumerTimeoutSeconds) (int $class.longestSeconds)) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.queues.%s.consumerTimeout: %d s would end the worker over a task that may run for %d s; set it above that" $path $name (int $queue.consumerTimeoutSeconds) (int $class.longestSeconds))) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Bounds and targets the chosen scaler can use. Arguments: model, class, path. */}}
{{- define "celery-workers.validateScaling" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := index . 2 -}}
{{- $targets := $class.targets -}}
{{- $least := int $class.replicas.min -}}
{{- if gt $least (int $class.replicas.max) -}}
  {{- include "celery-workers.problem" (list $model (printf "%s.replicas.min: %d is more than replicas.max %d; raise max or lower min" $path $least (int $class.replicas.max))) -}}
{{- end -}}
{{- if ne $class.scaler "none" -}}
  {{- if lt (int $class.replicas.max) 1 -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.replicas.max: a scaler needs room for one pod; set at least 1" $path)) -}}
  {{- end -}}
  {{- if and (lt $least 1) (or (eq $class.scaler "hpa") (not (or $targets.queueDepth $targets.prometheus))) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.replicas.min: nothing would wake %d pods, since only a queue or a query shows work without a pod; set at least 1, or scaler keda with targets.queueDepth" $path $least)) -}}
  {{- end -}}
  {{- range $resource, $target := dict "cpu" "cpuUtilization" "memory" "memoryUtilization" -}}
    {{- if and (index $targets $target) (not (dig "requests" $resource nil $class.resources)) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.targets.%s: a share of the request needs resources.requests.%s; set it" $path $target $resource)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if eq $class.scaler "hpa" -}}
  {{- range $target := list "queueDepth" "latency" -}}
    {{- if index $targets $target -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.targets.%s: only scaler keda reads queues; remove it, or set scaler keda" $path $target)) -}}
    {{- end -}}
  {{- end -}}
  {{- range $key, $set := dict "targets.prometheus" $targets.prometheus "schedule" $class.schedule "fallback.replicas" (not (kindIs "invalid" $class.fallback.replicas)) -}}
    {{- if $set -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.%s: only scaler keda knows it; remove it, or set scaler keda" $path $key)) -}}
    {{- end -}}
  {{- end -}}
  {{- if not (or $targets.cpuUtilization $targets.memoryUtilization) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.targets: scaler hpa needs cpuUtilization or memoryUtilization; set one, or scaler none" $path)) -}}
  {{- end -}}
{{- end -}}
{{- if eq $class.scaler "keda" -}}
  {{- if not (or $targets.cpuUtilization $targets.memoryUtilization $targets.queueDepth $targets.prometheus $class.schedule) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.targets: scaler keda needs queueDepth, cpuUtilization, memoryUtilization, prometheus or a schedule; set one, or scaler none" $path)) -}}
  {{- end -}}
  {{- include "celery-workers.validateTriggers" (append . (index . 0).prometheusAddress) -}}
  {{- if and $targets.latency (not $targets.queueDepth) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.targets.latency: a queue nobody takes from shows no latency; set targets.queueDepth as well" $path)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* What KEDA would refuse, or silently cap. Arguments: model, class, path, default address of Prometheus. */}}
{{- define "celery-workers.validateTriggers" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := index . 2 -}}
{{- $address := index . 3 -}}
{{- $most := int $class.replicas.max -}}
{{- $names := list -}}
{{- range $key, $entries := dict "targets.prometheus" $class.targets.prometheus "schedule" $class.schedule -}}
  {{- range $position, $entry := $entries -}}
    {{- $where := printf "%s.%s[%d]" $path $key $position -}}
    {{- if has $entry.name $names -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.name: another trigger of the class is called %s, which KEDA refuses; rename one" $where $entry.name)) -}}
    {{- end -}}
    {{- $names = append $names $entry.name -}}
    {{- if and (eq $key "targets.prometheus") (not (or $entry.serverAddress $address)) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.serverAddress: nothing says where Prometheus is; set it, or keda.prometheusAddress" $where)) -}}
    {{- end -}}
    {{- if eq $key "schedule" -}}
      {{- if gt (int $entry.replicas) $most -}}
        {{- include "celery-workers.problem" (list $model (printf "%s.replicas: %d is more than replicas.max %d, which caps it; lower it or raise max" $where (int $entry.replicas) $most)) -}}
      {{- end -}}
      {{- if eq $entry.start $entry.end -}}
        {{- include "celery-workers.problem" (list $model (printf "%s.end: is the start, which KEDA refuses; set when the window closes" $where)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if not (kindIs "invalid" $class.fallback.replicas) -}}
  {{- if gt (int $class.fallback.replicas) $most -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.fallback.replicas: %d is more than replicas.max %d; lower it or raise max" $path (int $class.fallback.replicas) $most)) -}}
  {{- end -}}
  {{- if not (or $class.targets.queueDepth $class.targets.prometheus $class.schedule) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s.fallback.replicas: CPU and memory have no fallback, which KEDA then refuses; remove it, or set targets.queueDepth" $path)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* concurrency <= depth <= 0.8 * maxLength / max replicas. Arguments: model, class, path. */}}
{{- define "celery-workers.validateQueueDepth" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := printf "%s.targets.queueDepth" (index . 2) -}}
{{- $depth := int $class.targets.queueDepth -}}
{{- if and (eq $class.scaler "keda") $depth -}}
  {{- if lt $depth (int $class.concurrency) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s: %d is less than the %d tasks one pod works on, which are counted too; set at least %d" $path $depth (int $class.concurrency) (int $class.concurrency))) -}}
  {{- end -}}
  {{- range $name, $queue := $class.queues -}}
    {{- $most := div (mul 4 (int $queue.maxLength)) (mul 5 (max 1 (int $class.replicas.max))) -}}
    {{- if and $queue.maxLength (gt $depth (int $most)) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s: %d a pod asks for the last of %d pods only when queue %s is more than 80 %% full; set at most %d, or raise its maxLength" $path $depth (int $class.replicas.max) $name $most)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Placeholders keep room for pods that may come. Arguments: model, class, path. */}}
{{- define "celery-workers.validateHeadroom" -}}
{{- $model := index . 0 -}}
{{- $class := index . 1 -}}
{{- $path := printf "%s.headroom.replicas" (index . 2) -}}
{{- $wanted := int $class.headroom.replicas -}}
{{- $most := sub (int $class.replicas.max) (int $class.replicas.min) -}}
{{- if $wanted -}}
  {{- if eq $class.scaler "none" -}}
    {{- include "celery-workers.problem" (list $model (printf "%s: scaler none adds no pods, so nobody needs their room; set 0, or a scaler" $path)) -}}
  {{- else if gt $wanted (int $most) -}}
    {{- include "celery-workers.problem" (list $model (printf "%s: %d is more than the %d pods that can come (replicas.max less min); set at most that" $path $wanted (int $most))) -}}
  {{- end -}}
  {{- if not $class.resources.requests -}}
    {{- include "celery-workers.problem" (list $model (printf "%s: without resources.requests a placeholder keeps no room; set them, or 0" $path)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Every queue has one class and a type that can do what it is asked. Arguments: root, model. */}}
{{- define "celery-workers.validateQueues" -}}
{{- $values := (index . 0).Values -}}
{{- $model := index . 1 -}}
{{- $owners := dict -}}
{{- range $class, $settings := $model.classes -}}
  {{- if not $settings.queues -}}
    {{- include "celery-workers.problem" (list $model (printf "workers.%s.queues: the class works on no queue; name one, or set workers.%s to null" $class $class)) -}}
  {{- end -}}
  {{- range $name, $queue := $settings.queues -}}
    {{- $path := printf "workers.%s.queues.%s" $class $name -}}
    {{- if hasKey $owners $name -}}
      {{- include "celery-workers.problem" (list $model (printf "%s: the queue belongs to class %s already; give each class its own" $path (index $owners $name))) -}}
    {{- end -}}
    {{- $_ := set $owners $name $class -}}
    {{- /* Of a name's 255 characters "<release>_celery_delayed_due_" takes some, of a routing key's the 56 of the wait. */ -}}
    {{- $longest := min 199 (sub 235 (len (index $ 0).Release.Name)) | int -}}
    {{- if and $values.delayedDelivery.enabled (gt (len $name) $longest) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s: with delayedDelivery a queue's name has at most %d characters here, beside which RabbitMQ has the wait and the release's name; shorten it" $path $longest)) -}}
    {{- end -}}
    {{- $version := printf "%s.0" ($values.broker.version | default "3.10") -}}
    {{- if and (eq $queue.type "quorum") $queue.maxPriority (semverCompare "<4.3-0" $version) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.maxPriority: a quorum queue refuses x-max-priority before RabbitMQ 4.3; set it to null, or type classic, or broker.version where it is 4.3 or newer" $path)) -}}
    {{- end -}}
    {{- if and (eq ($queue.overflow | default "") "reject-publish-dlx") (not $values.deadLetters.enabled) -}}
      {{- include "celery-workers.problem" (list $model (printf "%s.overflow: reject-publish-dlx needs deadLetters.enabled; turn it on, or set reject-publish" $path)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $name, $class := $owners -}}
  {{- if and $values.deadLetters.enabled (hasKey $owners (print $name $values.deadLetters.suffix)) -}}
    {{- include "celery-workers.problem" (list $model (printf "deadLetters.suffix: %s%s would be the dead-letter queue of %s and is a queue of its own; rename one" $name $values.deadLetters.suffix $name)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Every route leads to a queue that knows its priority. Arguments: root, model. */}}
{{- define "celery-workers.validateRoutes" -}}
{{- $values := (index . 0).Values -}}
{{- $model := index . 1 -}}
{{- $queues := dict -}}
{{- range $class := $model.classes -}}{{- range $name, $queue := $class.queues -}}{{- $_ := set $queues $name $queue -}}{{- end -}}{{- end -}}
{{- $known := keys $queues | sortAlpha | join ", " -}}
{{- if not (hasKey $queues $values.defaultQueue) -}}
  {{- include "celery-workers.problem" (list $model (printf "defaultQueue: no class has a queue %q; use one of %s" $values.defaultQueue $known)) -}}
{{- end -}}
{{- range $position, $route := $values.routes -}}
  {{- if not (hasKey $queues $route.queue) -}}
    {{- include "celery-workers.problem" (list $model (printf "routes[%d].queue: no class has a queue %q; use one of %s" $position $route.queue $known)) -}}
  {{- end -}}
{{- end -}}
{{- range $position, $route := $values.routes -}}
  {{- with $route.rollout -}}
    {{- if not (hasKey $queues .queue) -}}
      {{- include "celery-workers.problem" (list $model (printf "routes[%d].rollout.queue: no class has a queue %q; use one of %s" $position .queue $known)) -}}
    {{- else if eq .queue $route.queue -}}
      {{- include "celery-workers.problem" (list $model (printf "routes[%d].rollout.queue: %s is the route's queue already; name the one to move to, or remove rollout" $position .queue)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $route := $model.routes -}}
  {{- range $queue := compact (list $route.queue ($route.rollout | default dict).queue) -}}
    {{- $most := (index $queues $queue | default dict).maxPriority -}}
    {{- if and $most $route.priority (gt (int $route.priority) (int $most)) -}}
      {{- include "celery-workers.problem" (list $model (printf "routes: task %s has priority %d, above maxPriority %d of queue %s, which would count it as %d; raise one or lower the other" $route.task (int $route.priority) (int $most) $queue (int $most))) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}
