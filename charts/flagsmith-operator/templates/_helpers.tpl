{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the namespaced objects: the release's, with the chart's where it is not part of it. 55 characters
     leave room for "-metrics" in the 63 of a Service's name. */}}
{{- define "operator.fullname" -}}
{{- $name := include "operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 55 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of cluster-scoped roles and bindings: two releases of one name in two namespaces must not collide. */}}
{{- define "operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "operator.fullname" .) -}}
{{- end -}}

{{/* The same for kinds whose names are DNS names. */}}
{{- define "operator.policyName" -}}
{{- printf "%s.%s" .Release.Namespace (include "operator.fullname" .) -}}
{{- end -}}

{{/* With a digest the tag decides nothing; it says to people what it is. There is no default repository: the image of
     whoever owned that name would run with the rights of this chart. */}}
{{- define "operator.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if not .Values.image.repository -}}
{{- fail (printf `image.repository is needed: no image of the operator is published. Build it in a checkout of the project, and say where it is:

  docker build --tag REGISTRY/flagsmith-operator:%s . && docker push REGISTRY/flagsmith-operator:%s
  helm upgrade --install %s charts/flagsmith-operator --namespace %s --create-namespace --set image.repository=REGISTRY/flagsmith-operator
` $tag $tag .Release.Name .Release.Namespace) -}}
{{- end -}}
{{- $image := printf "%s:%s" .Values.image.repository $tag -}}
{{- ternary (printf "%s@%s" $image .Values.image.digest) $image (ne .Values.image.digest "") -}}
{{- end -}}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false: name the existing ServiceAccount" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels and annotations of an object: of {root, labels, annotations}, the chart's own before the object's, and those
     before what all objects have in common. */}}
{{- define "operator.metadata" -}}
{{- $values := .root.Values -}}
labels:
  {{- merge (include "operator.labels" .root | fromYaml) (default dict .labels) $values.commonLabels | toYaml | nindent 2 }}
{{- with merge dict (default dict .annotations) $values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The subject of every binding. */}}
{{- define "operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
