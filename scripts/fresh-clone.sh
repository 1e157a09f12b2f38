#!/usr/bin/env bash
# What a newcomer does: clones the last commit into an empty folder, runs `npm start` there, and asks whether it serves.
# With --test it runs `npm test` in that clone too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

clone=$(mktemp -d)
server=
finish() {
  # npm and what it started are a session of their own, so that all of it ends.
  [ -n "$server" ] && kill -- "-$server" 2>/dev/null && wait "$server" 2>/dev/null || true
  rm -rf "$clone"
}
trap finish EXIT

git clone -q --no-hardlinks . "$clone"
cd "$clone"

free_port() {
  node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}
answers() {
  node -e 'fetch(process.argv[1]).then((a) => process.exit(a.status === 200 ? 0 : 1), () => process.exit(1))' "$1"
}

listen=127.0.0.1:$(free_port)
PULLRING_LISTEN=$listen PULLRING_ADMIN__LISTEN=127.0.0.1:$(free_port) setsid npm start </dev/null >start.log 2>&1 &
server=$!

for ((i = 0; i < 300; i++)); do
  answers "http://$listen/readyz" && break
  if ! kill -0 "$server" 2>/dev/null; then
    echo "npm start ended:" >&2
    cat start.log >&2
    exit 1
  fi
  sleep 1
done
answers "http://$listen/v2/" || { cat start.log >&2; exit 1; }
[ -d data/v1 ] || { echo "nothing was kept in ./data" >&2; exit 1; }
echo "npm start: serves after ${SECONDS} s"

if [ "${1:-}" = --test ]; then
  npm test </dev/null
  echo "npm test: passed"
fi
