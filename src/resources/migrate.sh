# Runs one migration: "$@" is the command. Tells Kubernetes by its status whether another attempt may succeed, and
# leaves the lines that explain a failure in the termination message.
log=/tmp/migrate.log
# Of the output only the end is kept beside the pod's log: 256 KiB hold the longest traceback.
{ { { { "$@" 3>&- 5>&-; echo $? >&3; } 2>&1 | tee /dev/fd/5 >&4; } 5>&1 | tail -c 262144 >"$log"; } 3>&1 | { read -r status; exit "$status"; }; } 4>&1
status=$?
[ "$status" = 0 ] && exit 0
end=$(tail -n 60 "$log")
# Another migrator may have done, or be doing, the same: then nothing has failed.
if printf '%s' "$end" | grep -qE "$FLAGSMITH_OPERATOR_RACES"; then
  for _ in 1 2 3; do
    flagsmith migrate --check >/dev/null 2>&1 && echo "another migrator has applied the same migrations" && exit 0
    sleep 10
  done
fi
{ grep 'Applying ' "$log" | tail -n 1; tail -n 60 "$log" | tail -c 3400; } >/dev/termination-log
if printf '%s' "$end" | grep -qE "$FLAGSMITH_OPERATOR_TRANSIENT"; then exit 75; fi
exit "$status"
