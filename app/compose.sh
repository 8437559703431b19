#!/bin/sh
# The service and PostgreSQL on a laptop, with one command: app/compose.sh (arguments go to `docker compose up`).
# The password is made once and kept in app/.env, which only you can read and git ignores; POSTGRES_PASSWORD overrides it.
set -eu
cd "$(dirname "$0")"
if [ -z "${POSTGRES_PASSWORD:-}" ] && [ ! -s .env ]; then
    (umask 077 && printf 'POSTGRES_PASSWORD=%s\n' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" > .env)
fi
exec docker compose up --build --wait "$@"
