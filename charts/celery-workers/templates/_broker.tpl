{{/* How pods reach the broker. */}}

{{/* Environment of a container that speaks AMQP. Arguments: root, model. */}}
{{- define "celery-workers.brokerEnv" -}}
{{- $key := ternary "connection_string" "amqpUrl" (eq (index . 1).brokerMode "operator") -}}
{{- include "celery-workers.amqpEnv" (list (index . 0) "CELERY_BROKER_URL" (include "celery-workers.brokerSecretName" .) $key) -}}
{{- end -}}

{{/* The same of a Secret. Arguments: root, variable, Secret, its key. */}}
{{- define "celery-workers.amqpEnv" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 2 }}
      key: {{ index . 3 }}
{{- if include "celery-workers.brokerCa" (index . 0) }}
- {name: CELERY_BROKER_CA_FILE, value: /etc/celery-workers-broker/ca.crt}
{{- end }}
{{- end -}}

{{/* Environment of a container that asks the management API. Arguments: root, model. */}}
{{- define "celery-workers.managementEnv" -}}
{{- $secret := include "celery-workers.brokerSecretName" . -}}
{{- if eq (index . 1).brokerMode "operator" -}}
{{- range $variable, $key := dict "BROKER_PASSWORD" "password" "BROKER_USER" "username" -}}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{ end -}}
- {name: BROKER_MANAGEMENT_URL, value: "http://$(BROKER_USER):$(BROKER_PASSWORD)@{{ include "celery-workers.managementHost" (index . 0) }}"}
{{- else -}}
- name: BROKER_MANAGEMENT_URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: managementUrl
{{- end -}}
{{- end -}}

{{/* Some text where KEDA takes the login alone from a Secret, which the cluster's operator made. Arguments: root, model. */}}
{{- define "celery-workers.scalerLogin" -}}
{{- if and (eq (index . 1).brokerMode "operator") (not (index . 0).Values.broker.scalerSecret) }}yes{{ end -}}
{{- end -}}

{{/* Host and port of the RabbitmqCluster's management API. Argument: root. */}}
{{- define "celery-workers.managementHost" -}}
{{ include "celery-workers.clusterName" . }}.{{ .Release.Namespace }}.svc:15672
{{- end -}}

{{/* Some text where the broker's CA is given, else none. Argument: root. */}}
{{- define "celery-workers.brokerCa" -}}
{{- .Values.broker.tls.caSecret | default .Values.broker.tls.caConfigMap | default "" -}}
{{- end -}}

{{/* Volume and mount of the broker's CA, as JSON lists that are empty without one. Argument: root. */}}
{{- define "celery-workers.brokerCaVolumes" -}}
{{- $tls := .Values.broker.tls -}}
{{- $items := list (dict "key" $tls.caKey "path" "ca.crt") -}}
{{- $volumes := list -}}
{{- if $tls.caSecret }}{{ $volumes = list (dict "name" "broker-ca" "secret" (dict "secretName" $tls.caSecret "items" $items)) }}
{{- else if $tls.caConfigMap }}{{ $volumes = list (dict "name" "broker-ca" "configMap" (dict "name" $tls.caConfigMap "items" $items)) }}
{{- end -}}
{{- $mounts := ternary (list (dict "name" "broker-ca" "mountPath" "/etc/celery-workers-broker" "readOnly" true)) list (ne (len $volumes) 0) -}}
{{- dict "volumes" $volumes "mounts" $mounts | toJson -}}
{{- end -}}
