{{/* The block that write, read and push share. Arguments: a dict of `root` and `name`. */}}

{{/* "true" for a function that asks the Kubernetes API: no other gets a token. */}}
{{- define "kvcast.asksKubernetes" -}}
{{- if or (and (eq .name "read") .root.Values.read.clusterView.enabled) (and (eq .name "push") .root.Values.push.deletionCost.enabled) -}}true{{- end -}}
{{- end -}}

{{/* "true" where the chart makes an account for the function. */}}
{{- define "kvcast.makesAccount" -}}
{{- $account := (index .root.Values .name).serviceAccount -}}
{{- if and (not $account.name) (or $account.annotations (include "kvcast.asksKubernetes" .)) -}}true{{- end -}}
{{- end -}}

{{/* The account of a function; empty: the namespace's default one. */}}
{{- define "kvcast.serviceAccount" -}}
{{- if include "kvcast.makesAccount" . -}}
{{- printf "%s-%s" (include "kvcast.fullname" .root) .name -}}
{{- else -}}
{{- (index .root.Values .name).serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kvcast.deployment" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $of := index $root.Values $name -}}
{{- $account := include "kvcast.serviceAccount" . -}}
{{- $authorities := include "kvcast.authorities" (dict "root" $root "stores" (list "externalDatabase" "externalRedis")) -}}
{{- $graceful := add $of.drainSeconds 10 -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "kvcast.fullname" $root }}-{{ $name }}
  labels: {{- include "kvcast.labels" (dict "root" $root "component" $name) | nindent 4 }}
spec:
  {{- if not (or $of.autoscaling.enabled $of.keda.enabled) }}
  replicas: {{ $of.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels: {{- include "kvcast.selectorLabels" (dict "root" $root "component" $name) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "kvcast.podLabels" (dict "root" $root "component" $name) | nindent 8 }}
        {{- with $of.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ $name }}
        checksum/config: {{ include "kvcast.settings" $root | sha256sum }}
        checksum/given-secrets: {{ include "kvcast.givenSecrets" $root }}
        {{- with $of.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- if $account }}
      serviceAccountName: {{ $account | quote }}
      {{- end }}
      automountServiceAccountToken: {{ include "kvcast.asksKubernetes" . | default "false" }}
      enableServiceLinks: false
      securityContext: {{- include "kvcast.podSecurity" 10001 | nindent 8 }}
      {{- include "kvcast.pullSecrets" $root | nindent 6 }}
      terminationGracePeriodSeconds: {{ add $of.preStopSeconds $graceful 10 }}
      {{- include "kvcast.placement" $of | nindent 6 }}
      {{- include "kvcast.topologySpread" (dict "root" $root "component" $name "spread" $of.topologySpread) | nindent 6 }}
      {{- if or (eq $name "write") $of.extraInitContainers }}
      initContainers:
        {{- with $of.extraInitContainers }}
        {{- tpl (toYaml .) $root | nindent 8 }}
        {{- end }}
        {{- if eq $name "write" }}
        - name: migrate
          image: {{ include "kvcast.ownImage" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [migrate, --wait]
          env:
            - {name: DATABASE_URL_FILE, value: /etc/kvcast/migration/database-url}
            - {name: KVCAST_MIGRATION_URL_FILE, value: /etc/kvcast/migration/migration-url}
          securityContext: {{- include "kvcast.containerSecurity" nil | nindent 12 }}
          resources: {{- toYaml $of.resources | nindent 12 }}
          volumeMounts:
            - {name: migration, mountPath: /etc/kvcast/migration, readOnly: true}
            - {name: tmp, mountPath: /tmp}
            {{- if $authorities }}
            - {name: authority, mountPath: /etc/kvcast/authority, readOnly: true}
            {{- end }}
            {{- with $of.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ $name }}
          image: {{ include "kvcast.ownImage" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [serve, {{ $name }}]
          env:
            - {name: DATABASE_URL_FILE, value: /etc/kvcast/secret/database-url}
            - {name: REDIS_URL_FILE, value: /etc/kvcast/secret/redis-url}
            - {name: KVCAST_ADMIN_TOKEN_FILE, value: /etc/kvcast/secret/admin-token}
            - {name: KVCAST_TOKENS_FILE, value: /etc/kvcast/secret/tokens}
            {{- if $root.Values.auth.jwtSecret }}
            - {name: KVCAST_JWT_SECRET_FILE, value: /etc/kvcast/secret/jwt-secret}
            {{- end }}
            {{- if $root.Values.auth.jwks }}
            - {name: KVCAST_JWT_JWKS_FILE, value: /etc/kvcast/secret/jwks}
            {{- end }}
            - {name: KVCAST_MANAGEMENT_PORT, value: "8001"}
            - {name: KVCAST_WORKERS, value: {{ $of.workers | quote }}}
            - {name: KVCAST_DRAIN_SECONDS, value: {{ $of.drainSeconds | quote }}}
            - name: KVCAST_SERVER_NAME
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            {{- if and (eq $name "push") $of.deletionCost.enabled }}
            - {name: KVCAST_DELETION_COST, value: "1"}
            {{- end }}
            {{- with $of.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          envFrom:
            - configMapRef: {name: {{ include "kvcast.fullname" $root }}}
          ports:
            - {name: http, containerPort: 8000}
            - {name: management, containerPort: 8001}
          {{- include "kvcast.probes" $of.probes | nindent 10 }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ $of.preStopSeconds }}} # until every proxy has taken this pod from its list
          securityContext: {{- include "kvcast.containerSecurity" nil | nindent 12 }}
          resources: {{- toYaml $of.resources | nindent 12 }}
          volumeMounts:
            - {name: secret, mountPath: /etc/kvcast/secret, readOnly: true}
            - {name: tmp, mountPath: /tmp}
            {{- if $authorities }}
            - {name: authority, mountPath: /etc/kvcast/authority, readOnly: true}
            {{- end }}
            {{- with $of.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- if $authorities }}
        - name: authority
          projected:
            defaultMode: 0440
            sources: {{- $authorities | nindent 14 }}
        {{- end }}
        - name: secret
          projected:
            defaultMode: 0440
            sources:
              - secret:
                  name: {{ include "kvcast.secretName" $root }}
                  items:
                    - {key: admin-token, path: admin-token}
                    - {key: tokens, path: tokens}
                    {{- if $root.Values.auth.jwtSecret }}
                    - {key: jwt-secret, path: jwt-secret}
                    {{- end }}
                    {{- if $root.Values.auth.jwks }}
                    - {key: jwks, path: jwks}
                    {{- end }}
                    - {key: redis-url, path: redis-url}
              - secret:
                  name: {{ include "kvcast.databaseSecretName" $root }}
                  items:
                    - {key: database-url, path: database-url}
        {{- if eq $name "write" }}
        - name: migration
          secret:
            secretName: {{ include "kvcast.databaseSecretName" $root }}
            defaultMode: 0440
            items:
              - {key: database-url, path: database-url}
              - {key: migration-url, path: migration-url}
        {{- end }}
        {{- with $of.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* The values `probes`: each is laid over what stands here. */}}
{{- define "kvcast.probes" -}}
{{- $live := dict "path" "/healthz/live" "port" "management" -}}
{{- $ready := dict "path" "/healthz/ready" "port" "management" -}}
startupProbe: {{- include "kvcast.probe" (dict "given" .startup "default" (dict "httpGet" $live "periodSeconds" 1 "timeoutSeconds" 5 "failureThreshold" 60)) | nindent 2 }}
readinessProbe: {{- include "kvcast.probe" (dict "given" .readiness "default" (dict "httpGet" $ready "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 2)) | nindent 2 }}
livenessProbe: {{- include "kvcast.probe" (dict "given" .liveness "default" (dict "httpGet" $live "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" 3)) | nindent 2 }}
{{- end -}}

{{- define "kvcast.service" -}}
{{- $of := index .root.Values .name -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "kvcast.fullname" .root }}-{{ .name }}
  labels: {{- include "kvcast.labels" (dict "root" .root "component" .name) | nindent 4 }}
  {{- $annotations := dict }}
  {{- if eq .name "push" }}
  {{- $annotations = include "kvcast.pushServiceAnnotations" .root | fromYaml }}
  {{- end }}
  {{- with mergeOverwrite $annotations (deepCopy $of.service.annotations) }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $of.service.type }}
  selector: {{- include "kvcast.selectorLabels" (dict "root" .root "component" .name) | nindent 4 }}
  ports:
    - {name: http, port: 80, targetPort: http}
{{- end -}}
