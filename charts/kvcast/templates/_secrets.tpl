{{/* Which secrets hold what, and how a password comes to be. */}}

{{/* The secret with admin-token, tokens, redis-url and redis-password. */}}
{{- define "kvcast.secretName" -}}
{{- .Values.auth.existingSecret | default (include "kvcast.fullname" .) -}}
{{- end -}}

{{/* The secret with database-url, migration-url and postgresql-password; kept when the release goes, as its claim is. */}}
{{- define "kvcast.databaseSecretName" -}}
{{- .Values.auth.existingSecret | default (printf "%s-database" (include "kvcast.fullname" .)) -}}
{{- end -}}

{{/* Changes with what the values give, never with what is made: pods start anew for it. */}}
{{- define "kvcast.givenSecrets" -}}
{{- list .Values.auth .Values.externalDatabase .Values.externalRedis .Values.redis.password .Values.postgresql.functionsPassword | toJson | sha256sum -}}
{{- end -}}

{{- define "kvcast.existingSecretKeys" -}}
admin-token tokens database-url migration-url redis-url
{{- if .Values.postgresql.enabled }} postgresql-password{{ end }}
{{- if .Values.redis.enabled }} redis-password{{ end }}
{{- end -}}

{{/* "true" where a cluster answers `lookup`: not under `helm template`, nor in a dry run on the client's side. */}}
{{- define "kvcast.clusterAnswers" -}}
{{- if or (lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt") (lookup "v1" "Namespace" "" "default") -}}true{{- end -}}
{{- end -}}

{{/* root, given: the value, secret, key. Given, else what the secret holds already, else random. */}}
{{- define "kvcast.kept" -}}
{{- $held := (lookup "v1" "Secret" .root.Release.Namespace .secret).data | default dict -}}
{{- if .given -}}
{{- .given -}}
{{- else if hasKey $held .key -}}
{{- index $held .key | b64dec -}}
{{- else -}}
{{- randAlphaNum 32 -}}
{{- end -}}
{{- end -}}
