{{- /*
What the operator may do in a namespace that it watches. No Secrets: pods mount them, the operator never reads one. No
wildcards, and nothing that is not used: e2e compares this with the API server's audit log.
*/}}
{{- define "millrace.rules" -}}
# The objects themselves: read, and their status written. Never their spec.
- apiGroups: [millrace.io]
  resources: [streampipelines, windowaggregations]
  verbs: [list, watch]
- apiGroups: [millrace.io]
  resources: [streampipelines/status, windowaggregations/status]
  verbs: [patch]
# Only asked for where the admission plugin OwnerReferencesPermissionEnforcement is on, as in OpenShift: the owner of a child
# with blockOwnerDeletion.
- apiGroups: [millrace.io]
  resources: [streampipelines/finalizers, windowaggregations/finalizers]
  verbs: [update]
# Children. Server-side apply is create and patch. What is deleted with the object, the garbage collector deletes.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims, serviceaccounts, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Why runners do not run.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
# What a person should know.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
