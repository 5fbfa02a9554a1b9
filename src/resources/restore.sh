# Replaces everything in $database with what the dump "$0" holds, in one transaction: where anything fails, nothing has
# changed. Objects of extensions stay, and so does what belongs to roles that this one is no member of.
entries=$(mktemp) || exit 1
pg_restore --list "$0" >"$entries" || exit 1
# To comment on an extension takes its owner, which on a managed server nobody is.
sed -i '/ COMMENT - EXTENSION /d' "$entries"
statements() {
  cat <<'SQL'
BEGIN;
SET client_min_messages = warning;
DO $clear$
DECLARE
  statement text;
  own oid[] := ARRAY(SELECT oid FROM pg_roles WHERE pg_has_role(oid, 'USAGE'));
BEGIN
  FOREACH statement IN ARRAY ARRAY(
    WITH space AS (
      SELECT oid, nspname, nspowner FROM pg_namespace
      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ), extended AS (
      SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    ), found AS (
      SELECT 1 AS place, 'pg_namespace'::regclass AS class, space.oid AS id,
        format('DROP SCHEMA IF EXISTS %I CASCADE', nspname) AS dropping
      FROM space
      WHERE nspname <> 'public' AND nspowner = ANY (own)
        AND NOT EXISTS (SELECT FROM pg_extension WHERE extnamespace = space.oid)
      UNION ALL
      SELECT CASE relkind WHEN 'S' THEN 3 ELSE 2 END, 'pg_class'::regclass, pg_class.oid,
        format('DROP %s IF EXISTS %I.%I CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
          WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, nspname, relname)
      FROM pg_class JOIN space ON space.oid = relnamespace
      WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND relowner = ANY (own)
      UNION ALL
      SELECT 4, 'pg_proc'::regclass, pg_proc.oid,
        format('DROP ROUTINE IF EXISTS %I.%I(%s) CASCADE', nspname, proname, pg_get_function_identity_arguments(pg_proc.oid))
      FROM pg_proc JOIN space ON space.oid = pronamespace
      WHERE proowner = ANY (own)
      UNION ALL
      SELECT 5, 'pg_type'::regclass, pg_type.oid, format('DROP TYPE IF EXISTS %I.%I CASCADE', nspname, typname)
      FROM pg_type JOIN space ON space.oid = typnamespace LEFT JOIN pg_class ON pg_class.oid = typrelid
      WHERE (typtype IN ('e', 'd', 'r') OR typtype = 'c' AND relkind = 'c') AND typowner = ANY (own)
      UNION ALL
      SELECT 6, 'pg_largeobject'::regclass, oid, format('SELECT lo_unlink(%s)', oid)
      FROM pg_largeobject_metadata WHERE lomowner = ANY (own)
    )
    SELECT dropping FROM found
    WHERE NOT EXISTS (SELECT FROM extended WHERE classid = class AND objid = id)
    ORDER BY place, id
  ) LOOP
    EXECUTE statement;
  END LOOP;
END
$clear$;
SQL
  # The COMMIT of --single-transaction is the last that is written of a dump that was read to its end; without that option
  # large objects have one of their own. What is before the first object begins the transaction, which has begun already,
  # and sets what older servers do not know.
  { pg_restore --file=- --single-transaction --use-list="$entries" "$0" && printf '\\echo restored\n'; } |
    sed '1,60{/^BEGIN;$/d;/^SET transaction_timeout = 0;$/d}'
}
result=$(statements | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --output=/dev/null --dbname="$database")
status=$?
[ "$status" -eq 0 ] && [ "$result" != restored ] && status=1
[ "$status" -eq 0 ] && echo "restored ${0##*/}"
exit "$status"
