{{/* metagate.toml. */}}
{{- define "metagate.config" -}}
{{- if kindIs "string" .Values.config -}}
{{- include "metagate.textOnly" . -}}
{{ .Values.config | trim }}
{{- else -}}
{{- include "metagate.ownKeys" . -}}
{{- $config := deepCopy (default dict .Values.config) -}}
{{/* A redirect to an IPv6 address of the node needs a listener on [::], which accepts IPv4 too. */}}
{{- $any := ternary "[::]" "0.0.0.0" (or (contains "HOST_IPS" .Values.host.ip) (contains ":" .Values.host.ip)) -}}
{{- $_ := set $config "pods" (merge (dict "listen" (printf "%s:%d" $any (int .Values.host.port))) (default dict $config.pods)) -}}
{{- $_ := set $config "admin" (dict "listen" .Values.admin.listen) -}}
{{- $_ := set $config "imds" (merge (default dict $config.imds) (dict "token_key_file" "/run/metagate/token-keys")) -}}
{{- if .Values.aws.region -}}
{{- $_ := set $config "credentials" (merge (dict "region" .Values.aws.region) (default dict $config.credentials)) -}}
{{- end -}}
{{- if .Values.host.interface -}}
{{- $interfaces := include "metagate.interfaces" . | splitList "," -}}
{{- $_ := set $config "intercept" (merge (dict "interfaces" $interfaces) (default dict $config.intercept)) -}}
{{- end -}}
{{- $kubernetes := dict -}}
{{- if not .Values.kubernetes.events -}}{{- $_ := set $kubernetes "events" false -}}{{- end -}}
{{- if .Values.kubernetes.startupTaint -}}{{- $_ := set $kubernetes "startup_taint" .Values.kubernetes.startupTaint -}}{{- end -}}
{{- if $kubernetes -}}
{{- $_ := set $config "kubernetes" (merge $kubernetes (default dict $config.kubernetes)) -}}
{{- end -}}
{{/* Without the right to create tokens, irsa-fallback could only fail, so it is left out. With the right, the built-in order of
plugins applies. */}}
{{- if and (not .Values.irsa.enabled) (not (hasKey $config "plugin")) -}}
{{- $plugins := list -}}
{{- range list "annotations" "namespace-regex" -}}{{- $plugins = append $plugins (dict "name" . "builtin" .) -}}{{- end -}}
{{- $_ := set $config "plugin" $plugins -}}
{{- end -}}
{{- include "metagate.integers" $config -}}
{{- regexReplaceAll "(?m)^[ \t]+" (toToml $config) "" | trim }}
{{- end -}}
{{- end -}}

{{/* host.interface without spaces. */}}
{{- define "metagate.interfaces" -}}
{{- regexReplaceAll `\s+` .Values.host.interface "" -}}
{{- end -}}

{{/* Text is used unchanged. If it does not set imds.token_key_file, the gateway's environment does. */}}
{{- define "metagate.keysByEnvironment" -}}
{{- if kindIs "string" .Values.config -}}
{{- $said := or (regexMatch `(?m)^[^#\n]*\btoken_key_file["']?\s*=` .Values.config) (contains "METAGATE_IMDS__TOKEN_KEY_FILE" (toYaml .Values.extraEnv)) -}}
{{- if not $said -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Helm reads every number as a float, but TOML distinguishes 64 from 64.0: this converts whole numbers to integers, in place. */}}
{{- define "metagate.integers" -}}
{{- $map := . -}}
{{- range $key := keys $map -}}
  {{- $value := index $map $key -}}
  {{- if kindIs "map" $value -}}
    {{- include "metagate.integers" $value -}}
  {{- else if kindIs "slice" $value -}}
    {{- $items := list -}}
    {{- range $item := $value -}}
      {{- if kindIs "map" $item -}}{{- include "metagate.integers" $item -}}{{- end -}}
      {{- if and (kindIs "float64" $item) (eq $item (floor $item)) -}}{{- $item = int64 $item -}}{{- end -}}
      {{- $items = append $items $item -}}
    {{- end -}}
    {{- $_ := set $map $key $items -}}
  {{- else if and (kindIs "float64" $value) (eq $value (floor $value)) -}}
    {{- $_ := set $map $key (int64 $value) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses keys of `config` that a chart value already sets: the two could disagree. */}}
{{- define "metagate.ownKeys" -}}
{{- $places := dict
  "pods.listen" "host.port"
  "admin.listen" "admin.listen"
  "credentials.region" "aws.region"
  "intercept.interfaces" "host.interface"
  "intercept.node_ips" "host.ip"
  "kubernetes.events" "kubernetes.events"
  "kubernetes.startup_taint" "kubernetes.startupTaint"
-}}
{{- range $path, $value := $places -}}
  {{- $key := splitList "." $path -}}
  {{- $section := index (default dict $.Values.config) (first $key) -}}
  {{- if and (kindIs "map" $section) (hasKey $section (last $key)) -}}
    {{- fail (printf "config.%s: set the value %s instead, because the manifests use it too" $path $value) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "metagate.textOnly" -}}
{{- $wrong := list -}}
{{- $port := printf ":%d" (int .Values.host.port) -}}
{{- range regexFindAll `(?m)^\s*listen\s*=\s*"[^"]*"` .Values.config -1 -}}
  {{- $listen := regexFind `"[^"]*"` . | trimAll `"` -}}
  {{- if not (or (hasSuffix $port $listen) (eq $listen $.Values.admin.listen)) -}}
    {{- $wrong = append $wrong (printf "it listens on %s: set host.port or admin.listen to the same, for the pod's ports and probes" $listen) -}}
  {{- end -}}
{{- end -}}
{{- if and (ne $port ":8181") (not (contains $port .Values.config)) -}}{{- $wrong = append $wrong "host.port: write pods.listen too" -}}{{- end -}}
{{- if and (ne .Values.admin.listen "127.0.0.1:9620") (not (contains .Values.admin.listen .Values.config)) -}}{{- $wrong = append $wrong "admin.listen: write admin.listen too" -}}{{- end -}}
{{- $ipv6 := or (contains "HOST_IPS" .Values.host.ip) (contains ":" .Values.host.ip) -}}
{{- if and $ipv6 (not (regexMatch (printf `(?m)^[^#\n]*\blisten\s*=\s*["']\[::\]%s["']` $port) .Values.config)) -}}
{{- $wrong = append $wrong (printf "host.ip: it redirects IPv6 to the gateway, so write listen = \"[::]%s\" in [pods], which accepts IPv4 too" $port) -}}
{{- end -}}
{{- if .Values.host.interface -}}{{- $wrong = append $wrong "host.interface: write intercept.interfaces instead" -}}{{- end -}}
{{- if .Values.aws.region -}}{{- $wrong = append $wrong "aws.region: write credentials.region instead" -}}{{- end -}}
{{- if and .Values.kubernetes.startupTaint (not (contains .Values.kubernetes.startupTaint .Values.config)) -}}
{{- $wrong = append $wrong "kubernetes.startupTaint: write kubernetes.startup_taint too; the value grants only the right" -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\n`config` is text and is used unchanged. The text and the values must agree:\n  %s\n" (join "\n  " $wrong)) -}}
{{- end -}}
{{- end -}}
