{{/* root, component, persistence: the claim of a store. No label that a later chart changes: a claim cannot follow. */}}
{{- define "kvcast.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels: {{- include "kvcast.selectorLabels" . | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- if not (kindIs "invalid" .persistence.storageClass) }}
    storageClassName: {{ .persistence.storageClass | quote }}
    {{- end }}
    resources: {requests: {storage: {{ .persistence.size }}}}
{{- end -}}

{{/* What the functions may open at most, in the middle of a rolling update, and ten for people. */}}
{{- define "kvcast.maxConnections" -}}
{{- if .Values.postgresql.maxConnections -}}
{{- .Values.postgresql.maxConnections -}}
{{- else -}}
{{- $pool := get .Values.settings "KVCAST_POOL_SIZE" | default 8 | int -}}
{{- $sum := 10 -}}
{{- range $name := include "kvcast.functions" . | fromJsonArray -}}
{{- $of := index $.Values $name -}}
{{- $own := ternary 2 0 (eq $name "write") -}}
{{- $sum = add $sum (mul (add (include "kvcast.mostReplicas" $of | int) 1) $of.workers (add $pool $own)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
{{- end -}}
