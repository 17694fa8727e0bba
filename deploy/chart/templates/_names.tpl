{{- define "metagate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "metagate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "metagate.selector" -}}
app.kubernetes.io/name: {{ include "metagate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "metagate.labels" -}}
{{ include "metagate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "metagate.serviceAccount" -}}
{{- if .Values.rbac.create -}}
{{- default (include "metagate.fullname" .) .Values.rbac.serviceAccountName -}}
{{- else -}}
{{- required "rbac.serviceAccountName: if rbac.create is false, name the account that the gateway runs as" .Values.rbac.serviceAccountName -}}
{{- end -}}
{{- end -}}

{{- define "metagate.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "metagate.interceptImage" -}}
{{- $own := .Values.host.image -}}
{{- $repository := default .Values.image.repository $own.repository -}}
{{- if $own.digest -}}
{{- printf "%s@%s" $repository $own.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default (printf "%s-intercept" (default .Chart.AppVersion .Values.image.tag)) $own.tag) -}}
{{- end -}}
{{- end -}}

{{- define "metagate.adminPort" -}}
{{- regexFind "[0-9]+$" .Values.admin.listen -}}
{{- end -}}

{{/* The address at which the kubelet, which shares the node's network, can reach the admin listener. */}}
{{- define "metagate.adminHost" -}}
{{- $host := regexReplaceAll ":[0-9]+$" .Values.admin.listen "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if eq $host "0.0.0.0" -}}127.0.0.1{{- else if eq $host "::" -}}::1{{- else -}}{{ $host }}{{- end -}}
{{- end -}}
