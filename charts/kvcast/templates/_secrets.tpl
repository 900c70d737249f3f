{{/* Which secrets hold what, and how a password comes to be. */}}

{{/* The secret with admin-token, tokens, redis-url and redis-password. */}}
{{- define "kvcast.secretName" -}}
{{- .Values.auth.existingSecret | default (include "kvcast.fullname" .) -}}
{{- end -}}

{{/* The secret with database-url, migration-url and postgresql-password; kept when the release goes, as its claim is. */}}
{{- define "kvcast.databaseSecretName" -}}
{{- .Values.auth.existingSecret | default (printf "%s-database" (include "kvcast.fullname" .)) -}}
{{- end -}}

{{/* What nobody knows who may read pods, but not secrets: made once and kept in our secret. Empty where there is none: without
a cluster nothing could keep it, and with a secret of yours the values hold nothing to guess. */}}
{{- define "kvcast.checksumKey" -}}
{{- if and (not .Values.auth.existingSecret) (include "kvcast.clusterAnswers" .) -}}
{{- if not (hasKey .Values "_checksumKey") -}}
{{- $_ := set .Values "_checksumKey" (include "kvcast.kept" (dict "root" . "given" "" "secret" (include "kvcast.secretName" .) "key" "checksum-key")) -}}
{{- end -}}
{{- .Values._checksumKey -}}
{{- end -}}
{{- end -}}

{{/* root, secrets: a list. Changes with what the list holds, and does not let it be guessed: keyed, else by scrypt. */}}
{{- define "kvcast.secretChecksum" -}}
{{- $said := toJson .secrets -}}
{{- $key := include "kvcast.checksumKey" .root -}}
{{- if not $key -}}
{{- $key = derivePassword 1 "maximum" $said .root.Release.Name .root.Release.Namespace -}}
{{- end -}}
{{- printf "%s %s" $key (printf "%s %s" $key $said | sha256sum) | sha256sum -}}
{{- end -}}

{{/* Changes with what the values give, never with what is made: pods start anew for it. */}}
{{- define "kvcast.givenSecrets" -}}
{{- include "kvcast.secretChecksum" (dict "root" . "secrets" (list .Values.auth .Values.externalDatabase .Values.externalRedis .Values.redis.password .Values.postgresql.functionsPassword)) -}}
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
