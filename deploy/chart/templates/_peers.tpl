{{/* Values of the two charts that this one succeeds. What means the same has the same name here; the rest is refused, all at
once, because a value that is ignored is a node that does something else than its operator believes. */}}
{{- define "metagate.peers" -}}
{{- $cures := dict
  "verbose" "config.telemetry.log_level: debug"
  "maxUnavailable" "updateStrategy.rollingUpdate.maxUnavailable"
  "lifecycle" "nothing: the redirect stays when the gateway stops, or pods would get the node's role; README, Uninstall"
  "livenessProbe" "nothing: the probes ask admin.listen"
  "readinessProbe" "nothing: the probes ask admin.listen"
  "probe" "nothing: the probes ask admin.listen"
  "podSecurityPolicy" "namespace.create, or the namespace's pod-security.kubernetes.io labels"
  "existingSecret" "extraEnv with valueFrom.secretKeyRef, or serviceAccount.annotations for a role of the gateway's own"
  "aws.access_key" "extraEnv with valueFrom.secretKeyRef, or serviceAccount.annotations for a role of the gateway's own"
  "aws.secret_key" "extraEnv with valueFrom.secretKeyRef, or serviceAccount.annotations for a role of the gateway's own"
  "prometheus.metricsPort" "admin.listen"
  "prometheus.service" "prometheus.serviceMonitor.enabled, which brings its service"
  "host.iptablesRemoveOnShutdown" "nothing: the redirect stays when the gateway stops, or pods would get the node's role"
  "agent" "the same names without `agent.`, and `metagate migrate kiam` for what was a flag"
  "server" "nothing: there is no server; `metagate migrate kiam` turns its flags into `config`"
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
    {{- $wrong = append $wrong (printf "%s: instead, %s" $path $cure) -}}
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
