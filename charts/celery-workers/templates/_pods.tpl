{{/* Parts of pods that several templates need. */}}

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
serviceAccountName: {{ include "celery-workers.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
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
