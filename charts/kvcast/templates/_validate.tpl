{{/* What the schema cannot say. Each sentence names the mend; none repeats a secret. */}}
{{- define "kvcast.validate" -}}
{{- include "kvcast.validateNames" . -}}
{{- include "kvcast.validateStores" . -}}
{{- range $name := include "kvcast.functions" . | fromJsonArray -}}
{{- include "kvcast.validateFunction" (dict "name" $name "of" (index $.Values $name)) -}}
{{- end -}}
{{- include "kvcast.validateExposure" . -}}
{{- include "kvcast.validateExistingSecret" . -}}
{{- include "kvcast.validateGiven" . -}}
{{- end -}}

{{/* Names, labels and tags. */}}
{{- define "kvcast.validateNames" -}}
{{- $name := include "kvcast.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%q cannot begin the name of a Service: give fullnameOverride lower-case letters, digits and hyphens, a letter first." $name) -}}
{{- end -}}
{{- $labels := dict "commonLabels" .Values.commonLabels -}}
{{- range $name := include "kvcast.functions" . | fromJsonArray }}{{ $_ := set $labels (printf "%s.podLabels" $name) (index $.Values $name).podLabels }}{{ end -}}
{{- range $value, $given := $labels -}}
{{- range $label, $_ := $given -}}
{{- if regexMatch "^(app\\.kubernetes\\.io|helm\\.sh)/" $label -}}
{{- fail (printf "%s: the label %s is the chart's, selectors go by it; choose another name." $value $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $value, $image := dict "image" .Values.image "postgresql.image" .Values.postgresql.image "redis.image" .Values.redis.image -}}
{{- if and (eq $image.tag "latest") (not $image.digest) -}}
{{- fail (printf "%s.tag: latest means another image tomorrow; give the tag of a release, or %s.digest." $value $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kvcast.validateStores" -}}
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
{{- if and $secret (or $v.auth.adminToken $v.auth.tokens $v.auth.jwtSecret $v.auth.jwks $v.postgresql.password $v.postgresql.functionsPassword $v.redis.password $v.externalDatabase.url $v.externalDatabase.migrationUrl $v.externalRedis.url) -}}
{{- fail "auth.existingSecret replaces every secret value: leave adminToken, tokens, jwtSecret, jwks, the passwords and the external URLs empty, and put them into that secret." -}}
{{- end -}}
{{- range $name, $value := dict "postgresql.password" $v.postgresql.password "postgresql.functionsPassword" $v.postgresql.functionsPassword "redis.password" $v.redis.password -}}
{{- if not (regexMatch "^[A-Za-z0-9._~-]*$" $value) -}}
{{- fail (printf "%s holds a character that does not fit into a URL: give letters, digits and . _ ~ - only." $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := dict "externalDatabase.url" $v.externalDatabase.url "externalDatabase.migrationUrl" $v.externalDatabase.migrationUrl -}}
{{- if not (regexMatch "^$|^postgres(ql)?://[^/]" $value) -}}
{{- fail (printf "%s is no URL of PostgreSQL: give one such as postgresql://user:password@host:5432/database?sslmode=verify-full." $name) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^$|^rediss?://[^/]" $v.externalRedis.url) -}}
{{- fail "externalRedis.url is no URL of Redis: give one such as redis://user:password@host:6379/0, or rediss:// with TLS." -}}
{{- end -}}
{{- include "kvcast.validateAuthorities" . -}}
{{- end -}}

{{- define "kvcast.validateAuthorities" -}}
{{- $v := .Values -}}
{{- range $store, $embedded := dict "externalDatabase" $v.postgresql.enabled "externalRedis" $v.redis.enabled -}}
{{- if and (index $v $store).ca.secret $embedded -}}
{{- fail (printf "%s.ca.secret is for a store elsewhere: leave it empty with the embedded one." $store) -}}
{{- end -}}
{{- end -}}
{{- if $v.externalDatabase.ca.secret -}}
{{- range $name, $url := dict "externalDatabase.url" $v.externalDatabase.url "externalDatabase.migrationUrl" $v.externalDatabase.migrationUrl -}}
{{- if and $url (or (not (contains "sslmode=verify-full" $url)) (contains "sslrootcert=" $url)) -}}
{{- fail (printf "%s: externalDatabase.ca.secret wants sslmode=verify-full in it, and adds sslrootcert= itself." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.externalRedis.ca.secret $v.externalRedis.url (or (not (hasPrefix "rediss://" $v.externalRedis.url)) (contains "ssl_ca_certs=" $v.externalRedis.url)) -}}
{{- fail "externalRedis.url: externalRedis.ca.secret wants rediss:// in it, and adds ssl_ca_certs= itself." -}}
{{- end -}}
{{- end -}}

{{/* name, of: the values of a function */}}
{{- define "kvcast.validateFunction" -}}
{{- $name := .name -}}
{{- $of := .of -}}
{{- if and $of.autoscaling.enabled $of.keda.enabled -}}
{{- fail (printf "%s would be scaled by an HPA and by KEDA: set %s.autoscaling.enabled=false or %s.keda.enabled=false." $name $name $name) -}}
{{- end -}}
{{- range $scaling := list "autoscaling" "keda" -}}
{{- $bounds := index $of $scaling -}}
{{- if and $bounds.enabled (gt (int $bounds.minReplicas) (int $bounds.maxReplicas)) -}}
{{- fail (printf "%s.%s: minReplicas %d is above maxReplicas %d; raise the one or lower the other." $name $scaling (int $bounds.minReplicas) (int $bounds.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if and $of.autoscaling.enabled (not (dig "requests" "cpu" "" $of.resources)) -}}
{{- fail (printf "%s.autoscaling compares with the CPU request: give %s.resources.requests.cpu, or %s.autoscaling.enabled=false." $name $name $name) -}}
{{- end -}}
{{- range $of.env -}}
{{- if has .name (list "DATABASE_URL_FILE" "REDIS_URL_FILE" "KVCAST_ADMIN_TOKEN_FILE" "KVCAST_TOKENS_FILE" "KVCAST_MANAGEMENT_PORT" "KVCAST_WORKERS" "KVCAST_DRAIN_SECONDS" "KVCAST_SERVER_NAME" "KVCAST_DELETION_COST") -}}
{{- fail (printf "%s.env: %s is set by the chart; leave it out, and use the value it comes from." $name .name) -}}
{{- end -}}
{{- end -}}
{{- if $of.pdb.enabled -}}
{{- $least := not (kindIs "invalid" $of.pdb.minAvailable) -}}
{{- $most := not (kindIs "invalid" $of.pdb.maxUnavailable) -}}
{{- if and $least $most -}}
{{- fail (printf "%s.pdb takes one of minAvailable and maxUnavailable: set the other to null." $name) -}}
{{- end -}}
{{- if not (or $least $most) -}}
{{- fail (printf "%s.pdb says nothing: set minAvailable or maxUnavailable, or %s.pdb.enabled=false." $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kvcast.validateExposure" -}}
{{- $ingress := .Values.ingress -}}
{{- $route := .Values.httpRoute -}}
{{- $names := dict -}}
{{- if $ingress.host }}{{ $_ := set $names "ingress.host" (list $ingress.host) }}{{ end -}}
{{- if $route.hostnames }}{{ $_ := set $names "httpRoute.hostnames" $route.hostnames }}{{ end -}}
{{- range $value, $hosts := $names -}}
{{- range $host := $hosts -}}
{{- if not (regexMatch "^(\\*\\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" $host) -}}
{{- fail (printf "%s: %q is no host name; give lower-case letters, digits, hyphens and dots, such as kvcast.example.org, without a scheme, port or path." $value $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $ingress.enabled (eq $ingress.controller "nginx-f5") (not $ingress.host) -}}
{{- fail "The controller nginx-f5 takes no Ingress without a host: give ingress.host." -}}
{{- end -}}
{{- if and $ingress.enabled $ingress.tls.enabled (not $ingress.tls.secretName) -}}
{{- fail "ingress.tls.enabled needs ingress.tls.secretName: the secret with the certificate, such as cert-manager fills." -}}
{{- end -}}
{{- if and $route.enabled (not $route.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the gateway, such as [{name: main, namespace: gateways}]." -}}
{{- end -}}
{{- end -}}

{{/* Needs a cluster: it looks into the secret. */}}
{{- define "kvcast.validateExistingSecret" -}}
{{- $secret := .Values.auth.existingSecret -}}
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

{{/* Where there is no cluster: nothing keeps what would be made, so two renders would differ. */}}
{{- define "kvcast.validateGiven" -}}
{{- if not (or .Values.auth.existingSecret (include "kvcast.clusterAnswers" .)) -}}
{{- $missing := list -}}
{{- if not .Values.auth.adminToken }}{{ $missing = append $missing "auth.adminToken" }}{{ end -}}
{{- if and .Values.postgresql.enabled (not .Values.postgresql.password) }}{{ $missing = append $missing "postgresql.password" }}{{ end -}}
{{- if and .Values.postgresql.enabled (not .Values.postgresql.functionsPassword) }}{{ $missing = append $missing "postgresql.functionsPassword" }}{{ end -}}
{{- if and .Values.redis.enabled (not .Values.redis.password) }}{{ $missing = append $missing "redis.password" }}{{ end -}}
{{- if $missing -}}
{{- fail (printf "Without a cluster no password can be made and kept: give %s, or auth.existingSecret alone." (join ", " $missing)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
