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

{{/* The authorities of external stores, by where they are mounted. Arguments: a dict of `root` and the `stores` that count. */}}
{{- define "kvcast.authorities" -}}
{{- range $store := .stores -}}
{{- with (index $.root.Values $store).ca -}}
{{- if .secret }}
- secret:
    name: {{ .secret | quote }}
    items:
      - {key: {{ .key | quote }}, path: {{ $store }}.crt}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* url, store: of the values, parameter: the URL, with the authority that is mounted for it. */}}
{{- define "kvcast.trusting" -}}
{{- .url -}}
{{- if and .url .ca.secret -}}
{{- ternary "&" "?" (contains "?" .url) -}}{{ .parameter }}=/etc/kvcast/authority/{{ .store }}.crt
{{- end -}}
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
