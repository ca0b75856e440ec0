#!/bin/sh
# A Python in a container, as `offload up` has made it. The container is started when it is not there.
directory=${0%/*}
. "$directory/config"
read -r container <"$directory/id"
python=$base
case $0 in */python) read -r python <"$directory/interpreter" ;; esac
python=${OFFLOAD_INTERPRETER:-$python}
touch -c "$directory/used" # not made anew, where somebody is just removing the deployment

running() { [ "$("$engine" container inspect -f '{{.State.Running}}' "$container" 2>/dev/null)" = true ]; }

start() {
    eval "set -- $options"
    "$engine" run --detach --rm --name "$container" "$@" --entrypoint "$base" "$image" -I "$directory/hold.py" "$directory" "$container"
}

if ! running; then
    "$engine" rm "$container" >/dev/null 2>&1 # what a crash has left; one that runs is not removed so
    if ! said=$(start 2>&1); then
        left=20
        while ! running; do # somebody else may have begun to
            case $left,$said in
                0,*) left= ;;
                *,*"in use"*) left=$((left - 1)) ;;
                *) left= ;;
            esac
            if [ -z "$left" ]; then
                printf '%s\n' "$said" >&2
                exit 125
            fi
            sleep 1
        done
    fi
fi
exec "$engine" exec --interactive --env SSH_CONNECTION "$container" "$python" "$@"
