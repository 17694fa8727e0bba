{{/* The fields that both containers with access to the node's nftables share. */}}
{{- define "metagate.intercept" -}}
image: {{ include "metagate.interceptImage" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: HOST_IP
    valueFrom:
      fieldRef:
        fieldPath: status.hostIP
  {{- if contains "$(HOST_IPS)" .Values.host.ip }}
  - name: HOST_IPS
    valueFrom:
      fieldRef:
        fieldPath: status.hostIPs
  {{- end }}
resources:
  {{- toYaml .Values.host.resources | nindent 2 }}
securityContext:
  # Root, but with no capability except NET_ADMIN. Users other than root lose their capabilities when a program starts.
  runAsUser: 0
  runAsGroup: 0
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    add: [NET_ADMIN]
{{- end -}}
