{{/* What each ingress controller wants to hear. Values may add to it or replace it. */}}

{{/* Annotations of the Service of push: where a controller keeps the session there. */}}
{{- define "kvcast.pushServiceAnnotations" -}}
{{- $ingress := .Values.ingress -}}
{{- if and $ingress.enabled $ingress.affinity.enabled -}}
{{- if eq $ingress.controller "traefik" }}
traefik.ingress.kubernetes.io/service.sticky.cookie: "true"
traefik.ingress.kubernetes.io/service.sticky.cookie.name: {{ $ingress.affinity.cookieName | quote }}
traefik.ingress.kubernetes.io/service.sticky.cookie.secure: {{ $ingress.tls.enabled | quote }}
traefik.ingress.kubernetes.io/service.sticky.cookie.httponly: "true"
traefik.ingress.kubernetes.io/service.sticky.cookie.samesite: lax
{{- else if eq $ingress.controller "haproxytech" }}
haproxy.org/cookie-persistence: {{ $ingress.affinity.cookieName | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Annotations of the Ingress of push: affinity, and an hour for a socket. */}}
{{- define "kvcast.pushIngressAnnotations" -}}
{{- $ingress := .Values.ingress -}}
{{- $cookie := $ingress.affinity.cookieName -}}
{{- $service := printf "%s-push" (include "kvcast.fullname" .) -}}
{{- if eq $ingress.controller "haproxy-ingress" }}
haproxy-ingress.github.io/timeout-tunnel: 1h
{{- if $ingress.affinity.enabled }}
haproxy-ingress.github.io/affinity: cookie
haproxy-ingress.github.io/session-cookie-name: {{ $cookie | quote }}
{{- end }}
{{- else if eq $ingress.controller "nginx-f5" }}
nginx.org/websocket-services: {{ $service }}
nginx.org/proxy-read-timeout: 3600s
nginx.org/proxy-send-timeout: 3600s
{{- if $ingress.affinity.enabled }}
nginx.org/sticky-cookie-services: "serviceName={{ $service }} {{ $cookie }} expires=1h path=/"
{{- end }}
{{- else if eq $ingress.controller "nginx" }}
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
{{- if $ingress.affinity.enabled }}
nginx.ingress.kubernetes.io/affinity: cookie
nginx.ingress.kubernetes.io/affinity-mode: persistent
nginx.ingress.kubernetes.io/session-cookie-name: {{ $cookie | quote }}
nginx.ingress.kubernetes.io/session-cookie-max-age: "3600"
nginx.ingress.kubernetes.io/session-cookie-path: /
{{- end }}
{{- end }}
{{- end -}}

{{- define "kvcast.ingressClass" -}}
{{- $classes := dict "traefik" "traefik" "haproxy-ingress" "haproxy" "haproxytech" "haproxy" "nginx-f5" "nginx" "nginx" "nginx" "none" "" -}}
{{- .Values.ingress.className | default (index $classes .Values.ingress.controller) -}}
{{- end -}}

{{/* root, part: "push" or "", annotations, paths: lists of path, type and function. */}}
{{- define "kvcast.ingress" -}}
{{- $ingress := .root.Values.ingress -}}
{{- $fullname := include "kvcast.fullname" .root -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $fullname }}{{ with .part }}-{{ . }}{{ end }}
  labels: {{- include "kvcast.labels" (dict "root" .root "component" "ingress") | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with include "kvcast.ingressClass" .root }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  {{- if $ingress.tls.enabled }}
  tls:
    - secretName: {{ $ingress.tls.secretName | quote }}
      {{- with $ingress.host }}
      hosts: [{{ . | quote }}]
      {{- end }}
  {{- end }}
  rules:
    - http:
        paths:
          {{- range .paths }}
          - path: {{ index . 0 }}
            pathType: {{ index . 1 }}
            backend: {service: {name: {{ $fullname }}-{{ index . 2 }}, port: {name: http}}}
          {{- end }}
      {{- with $ingress.host }}
      host: {{ . | quote }}
      {{- end }}
{{- end -}}
