{{/* The block that write, read and push share. Arguments: a dict of `root` and `name`. */}}

{{/* The account of a function that asks the Kubernetes API; empty for the others, which get no token. */}}
{{- define "kvcast.serviceAccount" -}}
{{- if or (and (eq .name "read") .root.Values.read.clusterView.enabled) (and (eq .name "push") .root.Values.push.deletionCost.enabled) -}}
{{- printf "%s-%s" (include "kvcast.fullname" .root) .name -}}
{{- end -}}
{{- end -}}

{{- define "kvcast.deployment" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $of := index $root.Values $name -}}
{{- $account := include "kvcast.serviceAccount" . -}}
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
        {{- include "kvcast.labels" (dict "root" $root "component" $name) | nindent 8 }}
        {{- with $of.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ $name }}
        checksum/config: {{ include (print $root.Template.BasePath "/config.yaml") $root | sha256sum }}
        checksum/given-secrets: {{ list $root.Values.auth $root.Values.externalDatabase $root.Values.externalRedis | toJson | sha256sum }}
        {{- with $of.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- if $account }}
      serviceAccountName: {{ $account }}
      {{- end }}
      automountServiceAccountToken: {{ ternary "true" "false" (ne $account "") }}
      enableServiceLinks: false
      securityContext: {{- include "kvcast.podSecurity" 10001 | nindent 8 }}
      {{- include "kvcast.pullSecrets" $root | nindent 6 }}
      terminationGracePeriodSeconds: {{ add 5 $graceful 10 }}
      {{- include "kvcast.placement" $of | nindent 6 }}
      topologySpreadConstraints:
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels: {{- include "kvcast.selectorLabels" (dict "root" $root "component" $name) | nindent 14 }}
        {{- end }}
      {{- if eq $name "write" }}
      initContainers:
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
              sleep: {seconds: 5} # until every proxy has taken this pod from its list
          securityContext: {{- include "kvcast.containerSecurity" nil | nindent 12 }}
          resources: {{- toYaml $of.resources | nindent 12 }}
          volumeMounts:
            - {name: secret, mountPath: /etc/kvcast/secret, readOnly: true}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: tmp
          emptyDir: {}
        - name: secret
          projected:
            defaultMode: 0440
            sources:
              - secret:
                  name: {{ include "kvcast.secretName" $root }}
                  items:
                    - {key: admin-token, path: admin-token}
                    - {key: tokens, path: tokens}
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
{{- end -}}

{{/* The values `probes`: each is laid over what stands here. */}}
{{- define "kvcast.probes" -}}
{{- $live := dict "httpGet" (dict "path" "/healthz/live" "port" "management") -}}
{{- $ready := dict "httpGet" (dict "path" "/healthz/ready" "port" "management") -}}
startupProbe: {{- mergeOverwrite (deepCopy $live) (dict "periodSeconds" 1 "timeoutSeconds" 5 "failureThreshold" 60) .startup | toYaml | nindent 2 }}
readinessProbe: {{- mergeOverwrite $ready (dict "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 2) .readiness | toYaml | nindent 2 }}
livenessProbe: {{- mergeOverwrite $live (dict "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" 3) .liveness | toYaml | nindent 2 }}
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
