{{/* What is allowed and may still be regretted: NOTES.txt says it to whoever installs. */}}

{{/* One sentence a risk, as a JSON list; each names the values that mend it. Arguments: root, model. */}}
{{- define "celery-workers.risks" -}}
{{- $noted := dict "risks" list -}}
{{- include "celery-workers.releaseRisks" (list (index . 0) (index . 1) $noted) -}}
{{- range $name, $class := (index . 1).classes -}}
  {{- include "celery-workers.classRisks" (list (printf "workers.%s" $name) $class $noted) -}}
{{- end -}}
{{- range $position, $route := (index . 0).Values.routes -}}
  {{- if ($route.rollout | default dict).percent -}}
    {{- include "celery-workers.risk" (list $noted (printf "routes[%d].rollout: %s %% go to %s and the others to %s; publishers that started before still send by their own topology.json" $position (toJson $route.rollout.percent) $route.rollout.queue $route.queue)) -}}
  {{- end -}}
{{- end -}}
{{- toJson $noted.risks -}}
{{- end -}}

{{/* Arguments: noted, sentence. */}}
{{- define "celery-workers.risk" -}}
{{- $_ := set (index . 0) "risks" (append (index . 0).risks (index . 1)) -}}
{{- end -}}

{{/* Arguments: root, model, noted. */}}
{{- define "celery-workers.releaseRisks" -}}
{{- $values := (index . 0).Values -}}
{{- $model := index . 1 -}}
{{- $noted := index . 2 -}}
{{- if not $values.deadLetters.enabled -}}
  {{- include "celery-workers.risk" (list $noted "deadLetters.enabled false: a task that expires, fails or is refused is gone, and nobody can look at it") -}}
{{- end -}}
{{- $uncounted := list -}}
{{- range $class := $model.classes -}}
  {{- range $name, $queue := $class.queues -}}
    {{- if and $queue.maxDeliveries (eq $queue.type "classic") }}{{ $uncounted = append $uncounted $name }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if and $uncounted $values.deadLetters.enabled (not $values.redis.existingSecret) -}}
  {{- include "celery-workers.risk" (list $noted (printf "redis.existingSecret null: a task that kills its whole worker comes back for ever, since nobody counts the deliveries of classic queues (%s); maxDeliveries null says that this is known" (join ", " $uncounted))) -}}
{{- end -}}
{{- $fixed := list -}}
{{- $newBroker := semverCompare ">=4.0-0" (printf "%s.0" ($values.broker.version | default "3.10")) -}}
{{- range $class := $model.classes -}}
  {{- range $name, $queue := $class.queues -}}
    {{- if or $newBroker (eq $queue.type "quorum") }}{{ $fixed = append $fixed $name }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- if and $fixed (not $values.delayedDelivery.enabled) -}}
  {{- include "celery-workers.risk" (list $noted (printf "tasks with a countdown or an eta hold their worker's slots until they are due (%s: quorum queues, and every queue from RabbitMQ 4.0); set delayedDelivery.enabled, or route them to a class of their own with a high concurrency" (join ", " $fixed))) -}}
{{- end -}}
{{- $policy := $values.networkPolicy -}}
{{- if not $policy.enabled -}}
  {{- include "celery-workers.risk" (list $noted "networkPolicy.enabled false: whatever runs in the cluster may connect to the pods") -}}
{{- else if and (not $policy.allowExternal) (not $policy.egress) -}}
  {{- include "celery-workers.risk" (list $noted "networkPolicy.egress is empty and allowExternal false: tasks reach DNS, the broker and Redis where it is set, and none of the services they may call") -}}
{{- end -}}
{{- if and (not $values.image.digest) (eq ($values.image.tag | default "") "latest") -}}
  {{- include "celery-workers.risk" (list $noted "image.tag latest: pods of one release may run different code, and a rollback finds no older one") -}}
{{- end -}}
{{- if and $values.beat.enabled (not $values.beat.existingClaim) (not $values.beat.scheduler) -}}
  {{- include "celery-workers.risk" (list $noted "beat.existingClaim null: a new pod has forgotten when each task was sent last, and counts intervals anew") -}}
{{- end -}}
{{- end -}}

{{/* Arguments: path, class of the model, noted. */}}
{{- define "celery-workers.classRisks" -}}
{{- $path := index . 0 -}}
{{- $class := index . 1 -}}
{{- $noted := index . 2 -}}
{{- if and (eq $class.scaler "none") (eq (int $class.replicas.min) 0) -}}
  {{- include "celery-workers.risk" (list $noted (printf "%s.replicas.min 0 with scaler none: nobody works on its queues" $path)) -}}
{{- end -}}
{{- if not $class.podDisruptionBudget.enabled -}}
  {{- include "celery-workers.risk" (list $noted (printf "%s.podDisruptionBudget.enabled false: a drained node may take all of its pods at once" $path)) -}}
{{- end -}}
{{- if not $class.resources.requests -}}
  {{- include "celery-workers.risk" (list $noted (printf "%s.resources.requests are not set: the scheduler reckons with nothing, and its pods are the first to be evicted" $path)) -}}
{{- end -}}
{{- if kindIs "invalid" $class.hardSeconds -}}
  {{- include "celery-workers.risk" (list $noted (printf "%s.timeLimits.hard is not set: a task that hangs keeps its slot; a stopping pod gives tasks %d s (drainSeconds), then they start again elsewhere" $path (int $class.longestSeconds))) -}}
{{- end -}}
{{- $ranked := list -}}
{{- range $name, $queue := $class.queues -}}
  {{- if $queue.maxPriority }}{{ $ranked = append $ranked $name }}{{ end -}}
  {{- $slots := mul $class.concurrency (ternary $class.replicas.min $class.replicas.max (eq $class.scaler "none")) -}}
  {{- if and $class.expectedTaskSeconds $slots $queue.maxLength $queue.messageTtlSeconds -}}
    {{- $wait := divf (mulf $queue.maxLength $class.expectedTaskSeconds) $slots -}}
    {{- if gt $wait (float64 $queue.messageTtlSeconds) -}}
      {{- include "celery-workers.risk" (list $noted (printf "%s.queues.%s.messageTtl %s: less than the %.0f s that a full queue takes on all pods (maxLength x expectedTaskSeconds by %d slots), so its last tasks expire" $path $name $queue.messageTtl $wait (int $slots))) -}}
    {{- end -}}
  {{- end -}}
  {{- if kindIs "invalid" $queue.maxLength -}}
    {{- include "celery-workers.risk" (list $noted (printf "%s.queues.%s.maxLength is not set: it may grow until RabbitMQ stops every publisher" $path $name)) -}}
  {{- end -}}
{{- end -}}
{{- if and $ranked (gt (int $class.prefetchMultiplier) 1) -}}
  {{- include "celery-workers.risk" (list $noted (printf "%s.prefetchMultiplier %d: what a pod holds goes before a more urgent task in %s" $path (int $class.prefetchMultiplier) (join ", " $ranked))) -}}
{{- end -}}
{{- end -}}
