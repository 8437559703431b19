#!/bin/sh
# Runs the service and PostgreSQL with compose: app/compose.sh. Arguments are passed to compose:
# app/compose.sh logs app, app/compose.sh down (keeps the entries), app/compose.sh down --volumes.
# The generated password is in app/.env, which git ignores; POSTGRES_PASSWORD overrides it.
set -eu
cd "$(dirname "$0")"
if [ "${1:-up}" = up ] && [ -z "${POSTGRES_PASSWORD:-}" ] && ! grep -qs '^POSTGRES_PASSWORD=.' .env; then
    (umask 077 && printf 'POSTGRES_PASSWORD=%s\n' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >> .env)
fi
if docker compose version > /dev/null 2>&1; then
    compose() { docker compose "$@"; }
elif command -v docker-compose > /dev/null; then
    compose() { docker-compose "$@"; }
else
    echo "app/compose.sh: neither \`docker compose\` nor docker-compose is installed (Debian: apt-get install --no-install-recommends docker-compose)" >&2
    exit 1
fi
# The Dockerfile requires BuildKit, which older engines do not use by default.
export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
if [ "$#" -gt 0 ]; then
    compose "$@"
    exit
fi
if ! compose up --build --detach; then
    echo "app/compose.sh: it did not start. The logs of migration and database:" >&2
    compose logs --tail 5 migrate database >&2
    echo "If the password was refused: the database keeps the one of its first start. Set POSTGRES_PASSWORD or app/.env to it, or delete the database with \`app/compose.sh down --volumes\`." >&2
    exit 1
fi
attempt=0
until compose exec -T app python3 -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/livez')" 2> /dev/null; do
    attempt=$((attempt + 1))
    if [ "$attempt" -ge 60 ]; then
        echo "app/compose.sh: the service does not answer. Its log:" >&2
        compose logs --tail 20 app >&2
        exit 1
    fi
    sleep 1
done
echo "The service is at http://127.0.0.1:8080, the database at 127.0.0.1:5433. To stop both: app/compose.sh down"
