#!/bin/sh
# Makes the secrets of compose.yaml, once: a file that is there stays. The folder is yours alone; the files in it must be readable
# by the containers' users.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
for name in admin peers redis s3; do
  [ -e "secrets/$name" ] || random >"secrets/$name"
done

# What the nodes may do in Redis; it keeps the password's hash only.
[ -e secrets/redis-users ] || {
  echo "user default off"
  echo "user pullring on #$(sha256sum <secrets/redis | cut -d ' ' -f 1) ~pullring:* &pullring:* -@all +@read +@write -@dangerous +eval +evalsha +publish +subscribe +unsubscribe +ping +time +info +select"
} >secrets/redis-users
chmod 444 secrets/*
