# Answers tool calls inside a sandbox whose image has no python3. POSIX sh, setsid, head, tail, wc, sleep, mkdir, cat.
# Requests and answers as in agent.py, but a command or a path comes as one line for `printf %b`.
# A command's output goes to a file on a small file system of its own, so that a full /tmp cannot swallow it.
d=/run/relay
answer() { # id status timed_out omitted bytes-file
    size=$(($(wc -c <"$5")))
    printf 'R %s %s %s %s %s\n' "$1" "$2" "$3" "$4" "$size"
    head -c "$size" "$5"
}
refuse() { # id text
    printf '%s' "$2" >$d/e
    answer "$1" 1 0 0 $d/e
}
text() { # reads one line into $value
    IFS= read -r value || exit 0
    value=$(printf '%b.' "$value")
    value=${value%.}
}
run() { # id seconds keep
    case $1 in *00) rm -f $d/out.* $d/late.* ;; esac
    o=$d/out.$1
    setsid sh -c "$value" </dev/null >>$o 2>&1 &
    pid=$!
    setsid sh -c 'sleep "$1"; : >"$3"; kill -TERM -"$2"; sleep 1; kill -KILL -"$2"' sh "$2" $pid $d/late.$1 >/dev/null &
    clock=$!
    wait $pid
    status=$?
    kill -KILL -$clock || kill -KILL $clock
    wait $clock
    late=0
    if [ -e $d/late.$1 ]; then
        late=1 status=124
        kill -KILL -$pid
    fi
    size=$(($(wc -c <$o)))
    if [ "$size" -le "$3" ]; then
        printf 'R %s %s %s 0 %s\n' "$1" "$status" $late "$size"
        [ "$size" -eq 0 ] || head -c "$size" $o
    else
        half=$(($3 / 2))
        { head -c $half $o; head -c "$size" $o | tail -c $half; } >$d/cut
        answer "$1" "$status" $late $((size - 2 * half)) $d/cut
        : >$d/cut
    fi
    : >$o # whoever still writes to it starts again at nothing
}
fetch() { # id limit
    if [ -d "$value" ]; then refuse "$1" 'Is a directory'
    elif [ ! -e "$value" ]; then refuse "$1" 'No such file or directory'
    elif [ ! -f "$value" ]; then refuse "$1" 'not a regular file'
    elif [ ! -r "$value" ]; then refuse "$1" 'Permission denied'
    elif head -c "$2" -- "$value" >$d/cut; then answer "$1" 0 0 0 $d/cut
    else refuse "$1" 'cannot be read'
    fi
    : >$d/cut
}
put() { # id bytes
    head -c "$2" >$d/in || { cat >/dev/null; exit 1; }
    case $value in */*) parent=${value%/*} ;; *) parent=. ;; esac
    if [ -d "$value" ]; then refuse "$1" 'Is a directory'
    elif [ -e "$value" ] && [ ! -f "$value" ]; then refuse "$1" 'not a regular file'
    elif ! mkdir -p -- "${parent:-/}" 2>$d/why; then refuse "$1" "$(cat $d/why)"
    elif ! { cat $d/in >"$value"; } 2>$d/why; then refuse "$1" "$(cat $d/why)"
    else : >$d/e; answer "$1" 0 0 0 $d/e
    fi
    : >$d/in
}
exec 2>/dev/null
printf 'ready sh\n'
while IFS=' ' read -r op id first second size; do
    text
    case $op in
    X) run "$id" "$first" "$second" ;;
    R) fetch "$id" "$first" ;;
    W) put "$id" "$second" ;;
    esac
done
