{{- define "pullring.nginx" -}}
worker_processes auto;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;

events {
    worker_connections 8192;
}

http {
    map_hash_bucket_size 128;
    include ring-key.conf;
    # Who knows the pods' names.
    {{- if .Values.balancer.resolver }}
    resolver {{ .Values.balancer.resolver }} valid=5s;
    {{- else }}
    include /tmp/resolver.conf;
    {{- end }}

    upstream pullring {
        zone pullring 2m;
        hash $ring_key consistent;
        # Every pod that there may be. One that is not there has no name in DNS, and then no part of the ring.
        {{- range $ordinal := until (int .Values.maxReplicas) }}
        server {{ include "pullring.name" $ }}-{{ $ordinal }}.{{ include "pullring.peerDomain" $ }}:5000 resolve fail_timeout=2s;
        {{- end }}
        keepalive 64;
    }

    server {
        {{- if .Values.balancer.tlsSecret }}
        listen 8443 ssl;
        ssl_certificate /etc/pullring/tls/tls.crt;
        ssl_certificate_key /etc/pullring/tls/tls.key;
        {{- end }}
        listen 8080;
        {{- range .Values.balancer.realIpFrom }}
        set_real_ip_from {{ . }};
        {{- end }}
        {{- if .Values.balancer.realIpFrom }}
        real_ip_header X-Forwarded-For;
        real_ip_recursive on;
        {{- end }}
        include proxy.conf;
    }

    access_log /dev/stdout;
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
}
{{- end -}}
