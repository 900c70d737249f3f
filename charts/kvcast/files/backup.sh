set -eu
umask 077
url=$(cat /etc/kvcast/migration/migration-url)
case $url in *sslmode=verify-full*) export PGSSLROOTCERT=system ;; esac # as kvcast; sslrootcert= in the URL counts more
left=$WAIT_SECONDS # in a new release the functions have still to make the schema
until psql "$url" --no-psqlrc --quiet --command='SELECT 1 FROM kvcast.meta' > /dev/null 2>&1 || [ "$left" -le 0 ]; do
    left=$((left - 1))
    sleep 1
done # pg_dump then says what is wrong
file=/backups/kvcast-$(date -u +%Y%m%d-%H%M%S).dump
trap 'rm -f "$file.unfinished"' EXIT
pg_dump --dbname="$url" --format=custom --schema=kvcast --strict-names --no-owner --no-privileges \
    --lock-wait-timeout=30s --file="$file.unfinished"
pg_restore --list "$file.unfinished" > /dev/null
mv "$file.unfinished" "$file"
echo "Wrote $file ($(wc -c < "$file") bytes)."
# newest first; what is beyond the number that is kept goes
ls -1r /backups/kvcast-*.dump | tail -n "+$((KEEP + 1))" | while read -r old; do rm "$old"; echo "Removed $old."; done
