{{- define "name" -}}
{{- if contains "flagsmith" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-flagsmith{{ end -}}
{{- end }}
{{- define "selector" -}}
app.kubernetes.io/name: flagsmith
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "image" -}}
image: {{ index . 0 }}:{{ index . 1 }}
imagePullPolicy: IfNotPresent
{{- end }}
{{/* Ports have names from 0.82.0 on. */}}
{{- define "port" -}}
- containerPort: 8000
{{- if semverCompare ">=0.82.0" .Chart.Version }}
  name: http
{{- end }}
{{- end }}
{{/* The environment of every container that runs Django, in the chart's order: later duplicates win. */}}
{{- define "environment" -}}
- name: PROMETHEUS_ENABLED
  value: 'true'
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "name" . }}
      key: DATABASE_URL
- name: DJANGO_SECRET_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "name" . }}-django-secret-key
      key: django-secret-key
- name: DISABLE_ANALYTICS_FEATURES
  value: 'true'
- name: DJANGO_ALLOWED_HOSTS
  value: '*'
{{- range $name, $value := .Values.api.extraEnv }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- if .Values.taskProcessor.enabled }}
- name: TASK_RUN_METHOD
  value: TASK_PROCESSOR
{{- end }}
- name: USE_X_FORWARDED_HOST
  value: 'true'
- name: LOG_FORMAT
  value: generic
{{- end }}
{{- define "probes" -}}
livenessProbe:
  httpGet: {path: /health/liveness/, port: 8000, scheme: HTTP}
  failureThreshold: {{ .livenessProbe.failureThreshold }}
  initialDelaySeconds: 5
  periodSeconds: 10
  successThreshold: 1
  timeoutSeconds: {{ .livenessProbe.timeoutSeconds }}
readinessProbe:
  httpGet: {path: /health/readiness/, port: 8000, scheme: HTTP}
  failureThreshold: 10
  initialDelaySeconds: 1
  periodSeconds: 10
  successThreshold: 1
  timeoutSeconds: {{ .livenessProbe.timeoutSeconds }}
{{- end }}
