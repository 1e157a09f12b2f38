{{- define "pullring.name" -}}
{{- /* Short enough for what is added: pod names become ring names of at most 128 characters, and labels of at most 63. */ -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "pullring.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* What selects the pods of one component: (dict "root" $ "component" "node"). */ -}}
{{- define "pullring.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /* Behind each pod's name: the balancer asks DNS without search domains, so its lines, and with them the ring names, are whole names. */ -}}
{{- define "pullring.peerDomain" -}}
{{ include "pullring.name" . }}-peers.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{- define "pullring.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- /* Prefers different hosts: (dict "root" $ "component" "node"). */ -}}
{{- define "pullring.spread" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "pullring.selector" . | nindent 12 }}
{{- end -}}

{{- /* The file that all nodes read. Who a node is comes from its environment. */ -}}
{{- define "pullring.config" -}}
{{- $redis := merge (dict "url" .Values.redis.url) .Values.redis.settings -}}
{{- if .Values.redis.bundled.enabled }}{{ $redis = dict "url" (printf "redis://%s-redis:6379" (include "pullring.name" .)) }}{{ end -}}
{{- if .Values.redis.settings.sentinels }}{{ $redis = unset $redis "url" }}{{ end -}}
{{- if .Values.redis.passwordSecret.name }}{{ $redis = set $redis "passwordFile" (printf "/etc/pullring/secrets/redis/%s" .Values.redis.passwordSecret.key) }}{{ end -}}
{{- if .Values.redis.caSecret.name }}{{ $redis = set $redis "tls" (dict "ca" "/etc/pullring/secrets/redis-ca/ca.crt") }}{{ end -}}
{{- $peer := dict "secretFile" (printf "/etc/pullring/secrets/peers/%s" .Values.secrets.peers.key) -}}
{{- $admin := dict "listen" "0.0.0.0:5001" -}}
{{- if .Values.secrets.admin.name }}{{ $admin = set $admin "tokenFile" (printf "/etc/pullring/secrets/admin/%s" .Values.secrets.admin.key) }}{{ end -}}
{{- $storage := dict "disk" (dict "path" "/data" "size" .Values.storage.used) -}}
{{- if .Values.s3.bucket -}}
{{- $s3 := merge (dict "bucket" .Values.s3.bucket) .Values.s3.settings -}}
{{- if .Values.s3.bundled.enabled }}{{ $s3 = mergeOverwrite $s3 (dict "endpoint" (printf "http://%s-s3:7070" (include "pullring.name" .)) "region" "us-east-1" "forcePathStyle" true "accessKeyId" "pullring") }}{{ end -}}
{{- if .Values.s3.secretAccessKeySecret.name }}{{ $s3 = set $s3 "secretAccessKeyFile" (printf "/etc/pullring/secrets/s3/%s" .Values.s3.secretAccessKeySecret.key) }}{{ end -}}
{{- $storage = set $storage "s3" $s3 -}}
{{- end -}}
{{- $own := dict "admin" $admin "clients" (dict "trustedProxies" .Values.trustedProxies) "storage" $storage "cluster" (dict "redis" $redis "peer" $peer) -}}
{{- mergeOverwrite $own (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{- /* The secrets that are mounted: a list of dicts with `at` and `name`, as YAML. */ -}}
{{- define "pullring.secrets" -}}
- { at: peers, name: {{ .Values.secrets.peers.name | quote }} }
{{- with .Values.secrets.admin.name }}
- { at: admin, name: {{ . | quote }} }
{{- end }}
{{- with .Values.redis.passwordSecret.name }}
- { at: redis, name: {{ . | quote }} }
{{- end }}
{{- with .Values.redis.caSecret.name }}
- { at: redis-ca, name: {{ . | quote }} }
{{- end }}
{{- if .Values.s3.bucket }}
{{- with .Values.s3.secretAccessKeySecret.name }}
- { at: s3, name: {{ . | quote }} }
{{- end }}
{{- end }}
{{- range .Values.extraSecrets }}
- { at: {{ . | quote }}, name: {{ . | quote }} }
{{- end }}
{{- end -}}
