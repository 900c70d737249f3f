set -eu
umask 077
url=$(cat /etc/kvcast/migration/migration-url)
case $url in *sslmode=verify-full*) export PGSSLROOTCERT=system ;; esac # as kvcast; sslrootcert= in the URL counts more
file=/backups/kvcast-$(date -u +%Y%m%d-%H%M%S).dump
trap 'rm -f "$file.unfinished"' EXIT
pg_dump --dbname="$url" --format=custom --schema=kvcast --strict-names --no-owner --no-privileges \
    --lock-wait-timeout=30s --file="$file.unfinished"
pg_restore --list "$file.unfinished" > /dev/null
mv "$file.unfinished" "$file"
echo "Wrote $file ($(wc -c < "$file") bytes)."
# newest first; what is beyond the number that is kept goes
ls -1r /backups/kvcast-*.dump | tail -n "+$((KEEP + 1))" | while read -r old; do rm "$old"; echo "Removed $old."; done
