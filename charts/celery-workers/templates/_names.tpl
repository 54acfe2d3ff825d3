{{/* Names and labels. Selector labels of a released chart never change: a Deployment's selector is immutable. */}}

{{/* A name of at most 63 characters: what is cut off lives on as a hash, so that two long names stay two. */}}
{{- define "celery-workers.fit" -}}
{{- if le (len .) 63 }}{{ . }}{{ else }}{{ trunc 54 . | trimSuffix "-" }}-{{ sha256sum . | trunc 8 }}{{ end -}}
{{- end -}}

{{/* Name of a class's objects. Arguments: root, class name. */}}
{{- define "celery-workers.workerName" -}}
{{- include "celery-workers.fit" (printf "%s-%s-worker" (index . 0).Release.Name (index . 1)) -}}
{{- end -}}

{{/* Name of an object the release has one of. Arguments: root, suffix. */}}
{{- define "celery-workers.objectName" -}}
{{- include "celery-workers.fit" (printf "%s-%s" (index . 0).Release.Name (index . 1)) -}}
{{- end -}}

{{- define "celery-workers.serviceAccountName" -}}
{{- $account := .Values.serviceAccount -}}
{{- if $account.name }}{{ $account.name }}
{{- else if $account.create }}{{ .Release.Name }}
{{- else }}default
{{- end -}}
{{- end -}}

{{/* The Secret that says where the broker is. Arguments: root, model. */}}
{{- define "celery-workers.brokerSecretName" -}}
{{- $root := index . 0 -}}
{{- if eq (index . 1).brokerMode "embedded" -}}
{{- include "celery-workers.objectName" (list $root "rabbitmq") -}}
{{- else -}}
{{- $root.Values.broker.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Labels a selector may use. Arguments: root, component. */}}
{{- define "celery-workers.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The same for the pods of a class; its own label keeps the Deployments of one release apart. Arguments: root, class name. */}}
{{- define "celery-workers.classSelectorLabels" -}}
{{ include "celery-workers.selectorLabels" (list (index . 0) (printf "%s-worker" (index . 1))) }}
celery-workers/class: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object's metadata. Arguments: root, component. */}}
{{- define "celery-workers.labels" -}}
{{- $root := index . 0 -}}
{{ include "celery-workers.selectorLabels" . }}
app.kubernetes.io/part-of: celery-workers
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* Image reference of the application. */}}
{{- define "celery-workers.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
