{{- define "bridge.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "bridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bridge.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: missing; it names the account that exists, or set serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "bridge.image" -}}
{{- $repository := required "image.repository: missing; it is REGISTRY/NAME of the bridge's image" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "bridge.port" -}}
{{- regexFind "[0-9]+$" .Values.admin.listen -}}
{{- end }}

{{- /* What can be seen before anything is installed. */ -}}
{{- define "bridge.check" -}}
{{- if not (or .Values.config .Values.existingConfigMap) -}}
{{- fail "config: missing; it is the bridge's configuration file, as in --set-file config=bridge.toml, or name an existingConfigMap" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (regexMatch `(?m)^\s*topic_filter\s*=\s*\[?\s*["'](?:[^$]|\$[^s])` .Values.config) -}}
{{- fail "replicas: more than one, but a topic_filter is not shared, so each replica would get every message; write $share/GROUP/FILTER" -}}
{{- end -}}
{{- if regexMatch `(?m)^\s*(client_id)\s*=` .Values.config -}}
{{- fail "config: mqtt.client_id is set by the chart, from the names of the pods; remove it, and use clientIdPrefix" -}}
{{- end -}}
{{- end }}
