{{/* Names and labels. Arguments are the root context, or a dict of `root` and more where a comment says so. */}}

{{/* Every function there is. Each has values of its own name. */}}
{{- define "kvcast.functions" -}}
["write", "read", "push"]
{{- end -}}

{{- define "kvcast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* root, component */}}
{{- define "kvcast.selectorLabels" -}}
app.kubernetes.io/name: kvcast
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* root, component */}}
{{- define "kvcast.labels" -}}
{{ include "kvcast.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: kvcast
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* root, component. Nothing that a new chart changes by itself: the stores would restart for it. */}}
{{- define "kvcast.podLabels" -}}
{{ include "kvcast.selectorLabels" . }}
app.kubernetes.io/part-of: kvcast
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A text or a number as people write it: Helm holds 1000000 as 1e+06. */}}
{{- define "kvcast.plain" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end -}}

{{/* image, tag: where none is given */}}
{{- define "kvcast.image" -}}
{{- $tag := .image.tag | default .tag -}}
{{- .image.repository -}}{{- if .image.digest -}}@{{ .image.digest }}{{- else -}}:{{ $tag }}{{- end -}}
{{- end -}}

{{- define "kvcast.ownImage" -}}
{{- include "kvcast.image" (dict "image" .Values.image "tag" .Chart.AppVersion) -}}
{{- end -}}

{{- define "kvcast.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the profile `restricted` asks of a container. */}}
{{- define "kvcast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A user id: what the profile asks of a pod. */}}
{{- define "kvcast.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Where a pod may run: the values of a function or of a store. */}}
{{- define "kvcast.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* root, component, spread: of a function's values. The pods of one release of it lie apart. */}}
{{- define "kvcast.topologySpread" -}}
topologySpreadConstraints:
  {{- range $where, $key := dict "host" "kubernetes.io/hostname" "zone" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ index $.spread $where }}
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "kvcast.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* default, given: a probe of the chart with what the values lay over it. Another way to ask takes the place of the chart's. */}}
{{- define "kvcast.probe" -}}
{{- $probe := deepCopy .default -}}
{{- range $way := list "httpGet" "exec" "tcpSocket" "grpc" -}}
{{- if and (hasKey $.given $way) (not (hasKey $probe $way)) -}}
{{- $probe = omit $probe "httpGet" "exec" -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $probe (deepCopy .given) | toYaml -}}
{{- end -}}

{{/* The values of a function: how many replicas it never falls below. */}}
{{- define "kvcast.leastReplicas" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.minReplicas }}{{ else if .keda.enabled }}{{ .keda.minReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end -}}

{{- define "kvcast.mostReplicas" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.maxReplicas }}{{ else if .keda.enabled }}{{ .keda.maxReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end -}}

{{/* Proxies in front: one where there is an ingress or a gateway. */}}
{{- define "kvcast.trustedHops" -}}
{{- if kindIs "invalid" .Values.trustedHops }}{{ ternary 1 0 (or .Values.ingress.enabled .Values.httpRoute.enabled) }}{{ else }}{{ .Values.trustedHops }}{{ end -}}
{{- end -}}

{{/* What the functions find in their environment. */}}
{{- define "kvcast.settings" -}}
KVCAST_TRUSTED_HOPS: {{ include "kvcast.trustedHops" . | quote }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ include "kvcast.plain" $value | quote }}
{{- end }}
{{- end -}}
