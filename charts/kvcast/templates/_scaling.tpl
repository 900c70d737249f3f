{{/* How a function grows and shrinks. Arguments: a dict of `root` and `name`. */}}

{{/* The behaviour of its autoscaler as JSON. A push pod that goes moves its viewers: one at a time, and late. */}}
{{- define "kvcast.behavior" -}}
{{- $behavior := dict }}
{{- if eq .name "push" }}
{{- $slowly := list (dict "type" "Pods" "value" 1 "periodSeconds" 120) }}
{{- $behavior = dict "scaleDown" (dict "stabilizationWindowSeconds" 300 "policies" $slowly) }}
{{- end }}
{{- mergeOverwrite $behavior (deepCopy (index .root.Values .name).autoscaling.behavior) | toJson -}}
{{- end -}}

{{- define "kvcast.hpa" -}}
{{- $of := index .root.Values .name -}}
{{- $scaling := $of.autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "kvcast.fullname" .root }}-{{ .name }}
  labels: {{- include "kvcast.labels" (dict "root" .root "component" .name) | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ include "kvcast.fullname" .root }}-{{ .name }}}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $scaling.targetCPUUtilizationPercentage }}}
    {{- if and (eq .name "push") $scaling.targetConnectionsPerPod }}
    - type: Pods
      pods:
        metric: {name: kvcast_connections}
        target: {type: AverageValue, averageValue: {{ include "kvcast.plain" $scaling.targetConnectionsPerPod | quote }}}
    {{- end }}
    {{- with $scaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "kvcast.behavior" . | fromJson }}
  behavior: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "kvcast.scaledObject" -}}
{{- $of := index .root.Values .name -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "kvcast.fullname" .root }}-{{ .name }}
  labels: {{- include "kvcast.labels" (dict "root" .root "component" .name) | nindent 4 }}
spec:
  scaleTargetRef: {name: {{ include "kvcast.fullname" .root }}-{{ .name }}}
  minReplicaCount: {{ $of.keda.minReplicas }}
  maxReplicaCount: {{ $of.keda.maxReplicas }}
  {{- with include "kvcast.behavior" . | fromJson }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {{- toYaml . | nindent 8 }}
  {{- end }}
  triggers:
    {{- if $of.keda.triggers }}
    {{- toYaml $of.keda.triggers | nindent 4 }}
    {{- else }}
    - type: cpu
      metricType: Utilization
      metadata: {value: {{ $of.autoscaling.targetCPUUtilizationPercentage | quote }}}
    {{- end }}
{{- end -}}

{{- define "kvcast.pdb" -}}
{{- $of := index .root.Values .name -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "kvcast.fullname" .root }}-{{ .name }}
  labels: {{- include "kvcast.labels" (dict "root" .root "component" .name) | nindent 4 }}
spec:
  {{- if kindIs "invalid" $of.pdb.minAvailable }}
  maxUnavailable: {{ $of.pdb.maxUnavailable }}
  {{- else }}
  minAvailable: {{ $of.pdb.minAvailable }}
  {{- end }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "kvcast.selectorLabels" (dict "root" .root "component" .name) | nindent 6 }}
{{- end -}}
