#!/bin/sh
# As the official image does it: the first start makes the cluster, user and database from POSTGRES_USER, _PASSWORD and _DB.
set -eu
as_postgres="setpriv --reuid=postgres --regid=postgres --clear-groups"
mkdir -p "$PGDATA"
chown postgres:postgres "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    chown postgres /tmp/password
    $as_postgres initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --locale=C.UTF-8 --no-sync
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | $as_postgres postgres --single postgres
fi
exec $as_postgres postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
