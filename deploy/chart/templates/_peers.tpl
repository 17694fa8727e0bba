{{/* Values of the kube2iam and kiam charts. A value that means the same has the same name here. All others are refused, in one
error, because an ignored value makes a node behave differently from what its operator expects. */}}
{{- define "metagate.peers" -}}
{{- $cures := dict
  "verbose" "use config.telemetry.log_level: debug"
  "maxUnavailable" "use updateStrategy.rollingUpdate.maxUnavailable"
  "lifecycle" "remove it: the redirect stays when the gateway stops, or pods would get the node's role; README, \"Remove it\""
  "livenessProbe" "remove it: the probes use admin.listen"
  "readinessProbe" "remove it: the probes use admin.listen"
  "probe" "remove it: the probes use admin.listen"
  "podSecurityPolicy" "use namespace.create, or the namespace's pod-security.kubernetes.io labels"
  "existingSecret" "use extraEnv with valueFrom.secretKeyRef, or serviceAccount.annotations for a role of the gateway's own"
  "aws.access_key" "use extraEnv with valueFrom.secretKeyRef, or serviceAccount.annotations for a role of the gateway's own"
  "aws.secret_key" "use extraEnv with valueFrom.secretKeyRef, or serviceAccount.annotations for a role of the gateway's own"
  "prometheus.metricsPort" "use admin.listen"
  "prometheus.service" "use prometheus.serviceMonitor.enabled, which creates its service"
  "host.iptablesRemoveOnShutdown" "remove it: the redirect stays when the gateway stops, or pods would get the node's role"
  "agent" "use the same names without `agent.`, and `metagate migrate kiam` for flags"
  "server" "remove it: there is no server; `metagate migrate kiam` turns its flags into `config`"
-}}
{{- $wrong := list -}}
{{- range $path, $cure := $cures -}}
  {{- $here := $.Values -}}
  {{- $there := true -}}
  {{- range $name := splitList "." $path -}}
    {{- if and $there (kindIs "map" $here) (hasKey $here $name) -}}
      {{- $here = index $here $name -}}
    {{- else -}}
      {{- $there = false -}}
    {{- end -}}
  {{- end -}}
  {{- if $there -}}
    {{- $wrong = append $wrong (printf "%s: %s" $path $cure) -}}
  {{- end -}}
{{- end -}}
{{- range $flag, $value := .Values.extraArgs -}}
  {{- if not (has $flag (list "config" "sandbox")) -}}
    {{- $wrong = append $wrong (printf "extraArgs.%s: `metagate run` has no flag --%s; `metagate migrate kube2iam|kiam -- --%s=…` turns theirs into `config`" $flag $flag $flag) -}}
  {{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nthese values are kube2iam's or kiam's and have no meaning here:\n  %s\n" (join "\n  " $wrong)) -}}
{{- end -}}
{{- end -}}
