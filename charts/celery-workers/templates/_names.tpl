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
{{- $mode := (index . 1).brokerMode -}}
{{- if eq $mode "embedded" -}}
{{- include "celery-workers.objectName" (list $root "rabbitmq") -}}
{{- else if eq $mode "operator" -}}
{{- include "celery-workers.clusterName" $root }}-default-user
{{- else -}}
{{- $root.Values.broker.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* Name of the RabbitmqCluster: short, since its operator makes longer ones of it. Argument: root. */}}
{{- define "celery-workers.clusterName" -}}
{{- $name := printf "%s-rabbitmq" .Release.Name -}}
{{- if le (len $name) 40 }}{{ $name }}{{ else }}{{ trunc 31 $name | trimSuffix "-" }}-{{ sha256sum $name | trunc 8 }}{{ end -}}
{{- end -}}

{{/* Labels a selector may use. Arguments: root, component. */}}
{{- define "celery-workers.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The same for the pods of a class; its own label keeps the Deployments of one release apart. Arguments: root, class name. */}}
{{- define "celery-workers.classSelectorLabels" -}}
{{ include "celery-workers.selectorLabels" (list (index . 0) (printf "%s-worker" (index . 1))) }}
celery-workers/class: {{ index . 1 }}
{{- end -}}

{{/*
Metadata of an object. Arguments: root, name, component; where there are any, further labels and annotations (maps,
which may be null).
*/}}
{{- define "celery-workers.metadata" -}}
{{- $root := index . 0 -}}
{{- $labels := dict -}}
{{- $annotations := deepCopy ($root.Values.commonAnnotations | default dict) -}}
{{- if gt (len .) 3 }}{{ $labels = index . 3 }}{{ end -}}
{{- if gt (len .) 4 }}{{ $annotations = mergeOverwrite $annotations (deepCopy (index . 4 | default dict)) }}{{ end -}}
name: {{ index . 1 }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- include "celery-workers.selectorLabels" (list $root (index . 2)) | nindent 2 }}
  app.kubernetes.io/part-of: celery-workers
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
  {{- range $more := list $labels $root.Values.commonLabels }}
  {{- with $more }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Metadata of an object the release has one of. Arguments: root, suffix, component; perhaps annotations. */}}
{{- define "celery-workers.objectMetadata" -}}
{{- $root := index . 0 -}}
{{- $annotations := dict -}}
{{- if gt (len .) 3 }}{{ $annotations = index . 3 }}{{ end -}}
{{- $name := include "celery-workers.objectName" (list $root (index . 1)) -}}
{{- include "celery-workers.metadata" (list $root $name (index . 2) dict $annotations) -}}
{{- end -}}

{{/* Metadata of an object of a class. Arguments: root, class name, class of the model; perhaps annotations. */}}
{{- define "celery-workers.classMetadata" -}}
{{- $class := index . 2 -}}
{{- $labels := dict "celery-workers/class" (index . 1) -}}
{{- $annotations := dict -}}
{{- if gt (len .) 3 }}{{ $annotations = index . 3 }}{{ end -}}
{{- include "celery-workers.metadata" (list (index . 0) $class.objectName (printf "%s-worker" (index . 1)) $labels $annotations) -}}
{{- end -}}

{{/* Labels and annotations the chart sets itself, by the value that may not set them, as JSON. */}}
{{- define "celery-workers.ownMetadata" -}}
{{- $selected := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "celery-workers/class" -}}
{{- $described := list "app.kubernetes.io/part-of" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- $hooks := list "helm.sh/hook" "helm.sh/hook-delete-policy" -}}
{{- $checksums := list "celery-workers/config-checksum" -}}
{{- dict "commonLabels" (concat $selected $described) "podLabels" $selected "commonAnnotations" $hooks "annotations" $hooks "podAnnotations" $checksums | toJson -}}
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
