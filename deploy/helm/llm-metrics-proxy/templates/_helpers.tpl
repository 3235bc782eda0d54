{{- define "llm.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "llm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "llm.labels" -}}
{{ include "llm.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Which pods answer readers: with SQLite, the one that does everything. */}}
{{- define "llm.readers" -}}
{{- if eq .Values.store.kind "clickhouse" }}metrics{{ else }}proxy{{ end -}}
{{- end }}

{{- /* Whether every pod of the proxy has a volume, and therefore a name, of its own. */}}
{{- define "llm.keeps" -}}
{{- if or (eq .Values.store.kind "sqlite") .Values.proxy.persistence.enabled }}yes{{ end -}}
{{- end }}

{{- define "llm.check" -}}
{{- $token := "kubectl create secret generic llm-metrics-token --from-literal=token=$(openssl rand -hex 24)" }}
{{- $key := "head -c 32 /dev/urandom >key && kubectl create secret generic llm-api-key --from-file=api_key_secret=key" }}
{{- if not (has .Values.store.kind (list "sqlite" "clickhouse")) }}
{{- fail "store.kind must be sqlite or clickhouse" }}
{{- end }}
{{- if not (or .Values.backend (contains "[[backends]]" .Values.config)) }}
{{- fail "set backend to the LLM server's address, such as http://ollama.llm.svc:11434, or name several as [[backends]] in config" }}
{{- end }}
{{- if not .Values.metricsToken.existingSecret }}
{{- fail (printf "set metricsToken.existingSecret to a Secret with the key token: %s" $token) }}
{{- end }}
{{- if eq .Values.store.kind "clickhouse" }}
{{- if not (and .Values.store.address .Values.store.existingSecret) }}
{{- fail "store.kind=clickhouse needs store.address (clickhouse://user@host:8443/database) and store.existingSecret (key password)" }}
{{- end }}
{{- if not .Values.apiKeySecret.existingSecret }}
{{- fail (printf "several pods need one secret behind api_key_id: set apiKeySecret.existingSecret: %s" $key) }}
{{- end }}
{{- else if .Values.proxy.autoscaling.enabled }}
{{- fail "proxy.autoscaling needs store.kind=clickhouse: with SQLite there is one pod" }}
{{- end }}
{{- if .Values.ingress.enabled }}
{{- if not .Values.ingress.host }}{{ fail "ingress.enabled needs ingress.host" }}{{ end }}
{{- if not (has .Values.ingress.controller (list "nginx" "traefik")) }}{{ fail "ingress.controller must be nginx or traefik" }}{{ end }}
{{- if not (regexMatch "^(/[A-Za-z0-9._-]+)*$" .Values.ingress.path) }}{{ fail "ingress.path must be empty or begin with / and not end with it" }}{{ end }}
{{- end }}
{{- end }}

{{- /* A pod's template. Of a dict: root, component, args, port (of readiness), values, grace. */}}
{{- define "llm.pod" -}}
{{- $root := .root }}
metadata:
  labels:
    {{- include "llm.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  annotations:
    checksum/config: {{ $root.Values.config | sha256sum }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.topologySpreadConstraints }}
  topologySpreadConstraints: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if $root.Values.apiKeySecret.existingSecret }}
  initContainers:
    - name: api-key-secret
      image: {{ include "llm.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [install, -m, "600", /run/api-key/api_key_secret, /data/api_key_secret]
      securityContext: {{ include "llm.locked" $root | nindent 8 }}
      resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: api-key, mountPath: /run/api-key, readOnly: true}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "llm.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: {{ toJson .args }}
      securityContext: {{ include "llm.locked" $root | nindent 8 }}
      ports:
        {{- if eq .component "proxy" }}
        - {name: clients, containerPort: 8001}
        {{- end }}
        - {name: readers, containerPort: 8002}
      env:
        - name: LLM_METRICS_PROXY_CONFIG
          value: /etc/llm-metrics-proxy/config.toml
        - name: LLM_METRICS_PROXY_HOST_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: LLM_METRICS_PROXY_METRICS_TOKEN
          valueFrom: {secretKeyRef: {name: {{ $root.Values.metricsToken.existingSecret }}, key: token}}
        - name: LLM_METRICS_PROXY_LOG_FORMAT
          value: json
        {{- with $root.Values.backend }}
        - name: LLM_METRICS_PROXY_BACKEND
          value: {{ . | quote }}
        {{- end }}
        - name: LLM_METRICS_PROXY_DRAIN_TIMEOUT_S
          value: {{ $root.Values.proxy.drainTimeoutSeconds | quote }}
        {{- if eq $root.Values.store.kind "clickhouse" }}
        - name: LLM_METRICS_PROXY_STORE
          value: {{ $root.Values.store.address | quote }}
        - name: LLM_METRICS_PROXY_STORE_PASSWORD
          valueFrom: {secretKeyRef: {name: {{ $root.Values.store.existingSecret }}, key: password}}
        {{- end }}
        {{- with $root.Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      startupProbe:
        httpGet: {path: /ready, port: {{ .port }}}
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        httpGet: {path: /ready, port: {{ .port }}}
        periodSeconds: 5
        timeoutSeconds: 4
      livenessProbe:
        tcpSocket: {port: {{ .port }}}
        periodSeconds: 20
      lifecycle: # a moment in which the pod's address leaves the services
        preStop: {exec: {command: [sleep, "5"]}}
      resources: {{ toYaml .values.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
        - {name: config, mountPath: /etc/llm-metrics-proxy, readOnly: true}
  volumes:
    - {name: tmp, emptyDir: {}}
    - {name: config, configMap: {name: {{ include "llm.name" $root }}}}
    {{- with $root.Values.apiKeySecret.existingSecret }}
    - {name: api-key, secret: {secretName: {{ . }}}}
    {{- end }}
    {{- if not .keeps }}
    - {name: data, emptyDir: {}}
    {{- end }}
{{- end }}

{{- define "llm.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
{{- end }}

{{- define "llm.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* A claim for each pod's /data. Of persistence's values. */}}
{{- define "llm.claims" -}}
- metadata: {name: data}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storageClassName }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ .size }}}}
{{- end }}
