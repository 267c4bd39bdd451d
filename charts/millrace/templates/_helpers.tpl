{{- /* All names begin with this. 45 characters leave room for the longest suffix. */}}
{{- define "millrace.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "millrace.operator" -}}
{{ include "millrace.fullname" . }}-operator
{{- end }}

{{- /* Cluster-wide objects of two releases with the same name, in different namespaces, must not be the same object. */}}
{{- define "millrace.clusterwide" -}}
{{ printf "%s-%s" .Release.Namespace (include "millrace.operator" .) }}
{{- end }}

{{- define "millrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "millrace.operator" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must name an existing ServiceAccount, because serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "millrace.selector" -}}
app.kubernetes.io/name: millrace-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "millrace.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: millrace
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Labels that the operator gives the pods of every pipeline. */}}
{{- define "millrace.runnerSelector" -}}
app.kubernetes.io/name: millrace-runner
app.kubernetes.io/part-of: millrace
{{- end }}

{{- /* An image of `image`, with the chart's version where neither tag nor digest is given. */}}
{{- define "millrace.image" -}}
{{- $name := printf "%s/%s" .image.registry .image.repository }}
{{- if not .image.registry }}
{{- $name = .image.repository }}
{{- end }}
{{- if .image.digest }}
{{- printf "%s@%s" $name .image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{- /* Whether the API server calls the operator. */}}
{{- define "millrace.serves" -}}
{{- if or .Values.externalMetrics.enabled .Values.webhook.enabled }}yes{{ end }}
{{- end }}

{{- /* Fails where another release, or somebody else, owns an object that a cluster has only once. */}}
{{- define "millrace.mustBeOurs" -}}
{{- $found := lookup .version .kind "" .name }}
{{- if $found }}
{{- $annotations := default dict $found.metadata.annotations }}
{{- $release := index $annotations "meta.helm.sh/release-name" }}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" }}
{{- if or (ne (toString $release) .root.Release.Name) (ne (toString $namespace) .root.Release.Namespace) }}
{{- $owner := "somebody else, not by Helm" }}
{{- if $release }}
{{- $owner = printf "release %s in namespace %s" $release $namespace }}
{{- end }}
{{- fail (printf "%s %s exists already and was installed by %s: %s" .kind .name $owner .advice) }}
{{- end }}
{{- end }}
{{- end }}
