{{/* What the operator does in the namespaces that it watches, verb by verb; tests/reconcile/rights.rs shows that each of
     them is used and none is missing. Server-side apply needs create and patch; get tells whose an object is that
     already has the name; update is nowhere needed. */}}
{{- define "operator.rules" -}}
{{- $own := ternary "[list, watch]" "[get, list, watch, create, patch, delete]" .Values.rbac.readOnly -}}
- apiGroups: [operator.flagsmith.com]
  resources: [flagsmithdeployments]
  verbs: [list, watch]
- apiGroups: [operator.flagsmith.com]
  resources: [flagsmithdeployments/status]
  verbs: [patch]
{{- if not .Values.rbac.readOnly }}
# Children carry blockOwnerDeletion; clusters with the OwnerReferencesPermissionEnforcement admission plugin let
# only those set it who may update the owner's finalizers. The operator sets no finalizer.
- apiGroups: [operator.flagsmith.com]
  resources: [flagsmithdeployments/finalizers]
  verbs: [update]
{{- end }}
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: {{ $own }}
{{- if not .Values.rbac.readOnly }}
# Only by the name that a FlagsmithDeployment gives, to keep the secret key that is generated once, and the URLs of a
# database that is given in parts, which follow a changed password.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch]
{{- else if .Values.databaseProbe }}
# Only by the names that what runs gives, to look into its database.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}
# Only by the names that the pods of an observed installation give: settings may come from there.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# Why the probes of a pod fail, and whether its liveness probe ended it: only the kubelet's Events say so. Asked only
# about a pod that does not become ready or was restarted.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments]
  verbs: {{ $own }}
# It holds data: Kubernetes deletes it with its FlagsmithDeployment, the operator never.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: {{ ternary $own "[get, list, watch, create, patch]" .Values.rbac.readOnly }}
# Created once, and never changed.
- apiGroups: [batch]
  resources: [jobs]
  verbs: {{ ternary $own "[get, list, watch, create, delete]" .Values.rbac.readOnly }}
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: {{ $own }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: {{ $own }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: {{ $own }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: {{ $own }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: {{ $own }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What exists once for the whole cluster and is only read. */}}
{{- define "operator.clusterRules" -}}
# Whether the installed CRD has the fields that this release of the operator writes.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [flagsmithdeployments.operator.flagsmith.com]
  verbs: [get]
# Which proxy answers for an Ingress, and so which timeouts it has. (An HTTPRoute's own status says that.)
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [get]
{{- if .Values.metrics.authentication }}
# Whose the token of somebody who reads the metrics is, and whether he may.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end -}}
