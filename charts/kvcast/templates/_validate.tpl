{{/* What the schema cannot say. Each sentence names the mend. */}}
{{- define "kvcast.validate" -}}
{{- $v := .Values -}}
{{- $secret := $v.auth.existingSecret -}}
{{- if and $v.postgresql.enabled (or $v.externalDatabase.url $v.externalDatabase.migrationUrl) -}}
{{- fail "Both an embedded and an external PostgreSQL are set: give postgresql.enabled=false, or leave externalDatabase empty." -}}
{{- end -}}
{{- if not (or $v.postgresql.enabled $v.externalDatabase.url $secret) -}}
{{- fail "No PostgreSQL is set: give postgresql.enabled=true, externalDatabase.url, or auth.existingSecret with the key database-url." -}}
{{- end -}}
{{- if and $v.redis.enabled $v.externalRedis.url -}}
{{- fail "Both an embedded and an external Redis are set: give redis.enabled=false, or leave externalRedis.url empty." -}}
{{- end -}}
{{- if not (or $v.redis.enabled $v.externalRedis.url $secret) -}}
{{- fail "No Redis is set: give redis.enabled=true, externalRedis.url, or auth.existingSecret with the key redis-url." -}}
{{- end -}}
{{- if and $secret (or $v.auth.adminToken $v.auth.tokens $v.postgresql.password $v.postgresql.functionsPassword $v.redis.password $v.externalDatabase.url $v.externalRedis.url) -}}
{{- fail "auth.existingSecret replaces every secret value: leave adminToken, tokens, the passwords and the external URLs empty, and put them into that secret." -}}
{{- end -}}
{{- range $name := list "write" "read" "push" -}}
{{- $function := index $v $name -}}
{{- if and $function.autoscaling.enabled $function.keda.enabled -}}
{{- fail (printf "%s would be scaled by an HPA and by KEDA: set %s.autoscaling.enabled=false or %s.keda.enabled=false." $name $name $name) -}}
{{- end -}}
{{- range $scaling := list "autoscaling" "keda" -}}
{{- $of := index $function $scaling -}}
{{- if and $of.enabled (gt (int $of.minReplicas) (int $of.maxReplicas)) -}}
{{- fail (printf "%s.%s: minReplicas %d is above maxReplicas %d." $name $scaling (int $of.minReplicas) (int $of.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if and $function.pdb.enabled (not (kindIs "invalid" $function.pdb.minAvailable)) (not (kindIs "invalid" $function.pdb.maxUnavailable)) -}}
{{- fail (printf "%s.pdb takes one of minAvailable and maxUnavailable: set the other to null." $name) -}}
{{- end -}}
{{- if and $function.pdb.enabled (kindIs "invalid" $function.pdb.minAvailable) (kindIs "invalid" $function.pdb.maxUnavailable) -}}
{{- fail (printf "%s.pdb says nothing: set minAvailable or maxUnavailable, or pdb.enabled=false." $name) -}}
{{- end -}}
{{- end -}}
{{- if and $v.ingress.enabled $v.ingress.host -}}
{{- if not (regexMatch "^(\\*\\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" $v.ingress.host) -}}
{{- fail (printf "ingress.host %q is no host name: give lower-case letters, digits, hyphens and dots, such as kvcast.example.org, without a scheme, port or path." $v.ingress.host) -}}
{{- end -}}
{{- end -}}
{{- if and $v.ingress.enabled (eq $v.ingress.controller "nginx-f5") (not $v.ingress.host) -}}
{{- fail "The controller nginx-f5 takes no Ingress without a host: give ingress.host." -}}
{{- end -}}
{{- if and $v.ingress.tls.enabled (not $v.ingress.tls.secretName) -}}
{{- fail "ingress.tls.enabled needs ingress.tls.secretName: the secret with the certificate, such as cert-manager fills." -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the gateway, such as [{name: main, namespace: gateways}]." -}}
{{- end -}}
{{- if and $secret (include "kvcast.clusterAnswers" .) -}}
{{- $held := lookup "v1" "Secret" .Release.Namespace $secret -}}
{{- if not $held -}}
{{- fail (printf "auth.existingSecret: there is no secret %q in namespace %q; create it with the keys %s." $secret .Release.Namespace (include "kvcast.existingSecretKeys" . | splitList " " | join ", ")) -}}
{{- end -}}
{{- range $key := include "kvcast.existingSecretKeys" . | splitList " " -}}
{{- if not (hasKey ($held.data | default dict) $key) -}}
{{- fail (printf "auth.existingSecret: the secret %q lacks the key %q; add it (tokens and migration-url may be empty)." $secret $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
