#!/usr/bin/env bash
# Installs from Debian what the tests with real parts and the bench drive: registries, clients, nginx. Helm, which Debian does not have,
# is built where there is a Go to build it (some minutes). Run as root. Does nothing when everything is there; says something only when it fails.
set -euo pipefail

helm=helm.sh/helm/v4/cmd/helm@v4.3.1

packages=(buildah ceph-common ceph-mon ceph-osd chromium containerd docker-registry docker.io iproute2 nginx-light openssl podman prometheus radosgw redis-sentinel redis-server skopeo)

# Not every machine that has a Go reaches its registry: without helm the chart's suite is skipped.
if ! command -v helm >/dev/null && command -v go >/dev/null; then
  said=$(GOBIN=/usr/local/bin timeout 600 go install "$helm" 2>&1) || echo "helm could not be built: $said" >&2
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

# Debian starts the services that it installs (a registry on :5000, nginx on :80) unless this file says no (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! -e "$policy" ]; then
  trap 'rm -f "$log" "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
{
  apt-get update -qq &&
    apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"
} </dev/null >"$log" 2>&1 || {
  cat "$log" >&2
  exit 1
}
