set -eu
data=/var/lib/postgresql/data
sockets=/run/postgresql
if [ ! -e "$data/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata="$data" --username=postgres --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 --locale=C
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    pg_ctl --pgdata="$data" --options="-c listen_addresses='' -c unix_socket_directories=$sockets" --wait start
    export PGPASSWORD="$POSTGRES_PASSWORD" PGHOST="$sockets"
    psql --username=postgres --command="create database $POSTGRES_DB" postgres
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --username=postgres --set=ON_ERROR_STOP=1 --file="$script" "$POSTGRES_DB"
    done
    pg_ctl --pgdata="$data" --wait stop
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories="$sockets"
