{{/* Parts of pods that several templates need. */}}

{{/* Environment of a process of the application, a worker or beat. Arguments: root, model. */}}
{{- define "celery-workers.applicationEnv" -}}
- {name: PYTHONPATH, value: /etc/celery-workers}
- {name: PYTHONUNBUFFERED, value: "1"}
- {name: PYTHONDONTWRITEBYTECODE, value: "1"}
- {name: CELERY_WORKERS_APP, value: {{ (index . 0).Values.app | quote }}}
- {name: CELERY_WORKERS_CONFIG_DIR, value: /etc/celery-workers}
- {name: CELERY_WORKERS_STATE_DIR, value: /run/celery-workers}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{ include "celery-workers.brokerEnv" . }}
{{- with include "celery-workers.redisEnv" (index . 0) }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Environment of a process that asks Redis, none without one. Argument: root. */}}
{{- define "celery-workers.redisEnv" -}}
{{- with .Values.redis.existingSecret -}}
- name: CELERY_WORKERS_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: redisUrl
{{- end -}}
{{- end -}}

{{/* What every pod specification of the release begins with. Argument: root. */}}
{{- define "celery-workers.podIdentity" -}}
serviceAccountName: {{ include "celery-workers.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{/*
Containers of the user's as JSON, each with the chart's security context under its own, so that Pod Security accepts
them. Arguments: root, containers.
*/}}
{{- define "celery-workers.containers" -}}
{{- $root := index . 0 -}}
{{- $containers := list -}}
{{- range $container := index . 1 -}}
  {{- $security := mergeOverwrite (deepCopy $root.Values.securityContext) ($container.securityContext | default dict) -}}
  {{- $containers = append $containers (set (deepCopy $container) "securityContext" $security) -}}
{{- end -}}
{{- toJson $containers -}}
{{- end -}}

{{/*
Specification of a pod that runs one of the ConfigMap's programs once, with the broker's addresses.
Arguments: root, model, container name, program, further environment variables (YAML text), resources.
*/}}
{{- define "celery-workers.programPod" -}}
{{- $root := index . 0 -}}
{{- $ca := include "celery-workers.brokerCaVolumes" $root | fromJson -}}
restartPolicy: Never
{{ include "celery-workers.podIdentity" $root }}
containers:
  - name: {{ index . 2 }}
    image: {{ include "celery-workers.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    securityContext:
      {{- toYaml $root.Values.securityContext | nindent 6 }}
    command: [python, /etc/celery-workers/{{ index . 3 }}]
    env:
      - {name: PYTHONUNBUFFERED, value: "1"}
      - {name: PYTHONDONTWRITEBYTECODE, value: "1"}
      - {name: CELERY_WORKERS_CONFIG_DIR, value: /etc/celery-workers}
      {{- include "celery-workers.brokerEnv" . | nindent 6 }}
      {{- index . 4 | nindent 6 }}
    resources:
      {{- toYaml (index . 5) | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/celery-workers, readOnly: true}
      - {name: tmp, mountPath: /tmp}
      {{- with $ca.mounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: config
    configMap:
      name: {{ include "celery-workers.objectName" (list $root "config") }}
  - name: tmp
    emptyDir: {}
  {{- with $ca.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
