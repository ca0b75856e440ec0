# Makes a Python that runs in a container of an image. Sent to `sh -s` after home.sh, with these variables set before:
#   wanted     version (3.11) that is needed; abi: its flags
#   engines    which programs to try, in this order
#   image      its name
#   base       offload's home, or nothing for the usual one
#   folder     where below it the Python is to be made; nothing: only look
#   stem       what the container's name begins with
#   mounts     directories that are seen in the container, a line each, beside those that always are
#   launcher, hold  texts of launcher.sh and of hold.py
# Writes lines between two marks: what login shells print around them does not count.

ask='import sys
i = sys.implementation.name
print("@@python %d.%d.%d %s %s- %s" % (tuple(sys.version_info[:3]) + (i, getattr(sys, "abiflags", ""), sys.executable)))'

quoted() { # its words, as the shell reads them again
    for word; do
        printf " '%s'" "$(printf %s "$word" | sed "s/'/'\\\\''/g")"
    done
}

assigned() { # a variable, as the shell reads it again
    printf "%s='%s'\n" "$1" "$(printf %s "$2" | sed "s/'/'\\\\''/g")"
}

last() { # the last line of a text
    printf '%s\n' "$1" | grep . | tail -n 1
}

find_image() { # sets "engine" and "id"
    words= && first=
    for engine in $engines; do
        command -v "$engine" >/dev/null 2>&1 || continue
        if id=$("$engine" image inspect -f '{{.Id}}' "$image" 2>&1); then
            id=$(last "$id")
            say "engine $engine"
            say "version $("$engine" --version 2>&1 | tail -n 1)"
            return
        fi
        if [ -z "$first" ]; then
            first=$engine
            words=$(last "$id")
        fi
    done
    if [ -z "$first" ]; then say "no-engine"; else
        say "engine $first"
        say "absent $words"
    fi
    finish
}

seen() { # options that show a directory under its own path, made when it is not there
    while IFS= read -r path; do
        case $path in
            '' | / | offload://*) continue ;;
            '~') path=$HOME ;;
            '~/'*) path=$HOME/${path#??} ;;
        esac
        case $path in *:*)
            say "colon $path" >&3
            continue
            ;;
        esac
        if mkdir -p "$path" 2>/dev/null; then say "$path"; else say "unmade $path" >&3; fi
    done | sort -u | while IFS= read -r path; do
        quoted --volume "$path:$path"
    done
}

user() { # options by which files belong to who runs this
    case $engine in
        podman) if [ "$(id -u)" != 0 ] && [ -z "$plain" ]; then quoted --userns keep-id --user "$(id -u):$(id -g)"; else quoted --user 0:0; fi ;;
        *)
            case $("$engine" info -f '{{.SecurityOptions}}' 2>/dev/null) in
                *rootless*) quoted --user 0:0 ;;
                *)
                    quoted --user "$(id -u):$(id -g)"
                    for group in $(id -G); do quoted --group-add "$group"; done
                    ;;
            esac
            ;;
    esac
}

options() {
    # Its processes are told, looked at and ended by those outside, by their ids; its services are reached as if there were no container.
    quoted --network host --pid host --ipc host --pull never --pids-limit -1 --security-opt label=disable
    quoted --log-driver none --workdir / --env "HOME=$HOME" --env "USER=$(id -un)" --env "OFFLOAD_HOME=$base"
    quoted --env "TMPDIR=${TMPDIR:-/tmp}" --env PYTHONNOUSERSITE=1 --env "OFFLOAD_CONTAINER=$base/$folder"
    user
    if [ -d "$HOME" ]; then own=$HOME; else own=; fi
    printf '%s\n' "$base" "$own" /tmp "${TMPDIR:-}" "$mounts" | seen
}

find_python() { # sets "python" and "chosen", the options of the container
    for plain in '' yes; do
        chosen=$(options 3>&4)
        for name in "python$wanted" python3 python; do
            answer=$(
                eval "set -- $chosen"
                "$engine" run --rm "$@" --entrypoint "$name" "$id" -E -c "$ask" </dev/null 2>&1
            )
            code=$?
            found=$(printf '%s\n' "$answer" | sed -n 's/^@@python //p')
            case $code,$answer in
                125,*keep-id*) continue 2 ;; # its user has no range of other users: it is root in the container, and itself outside
                127,*) continue ;; # it is not there
                0,*) ;;
                *)
                    say "failed $(last "$answer")"
                    continue
                    ;;
            esac
            say "python $found"
            python=${found#* * * }
            case $found in "$wanted".*" cpython $abi- "*) return ;; esac
        done
        break
    done
    finish
}

write() { # a file, from its text, as a whole
    printf '%s\n' "$2" >"$directory/$1.$$" && mv "$directory/$1.$$" "$directory/$1"
}

make() {
    directory=$base/$folder
    if ! mkdir -p "$directory" 2>/dev/null; then
        say "unmade $directory"
        finish
    fi
    config=$(
        assigned engine "$engine"
        assigned image "$id"
        assigned base "$python"
        assigned options "$chosen"
    )
    # What runs in another container goes on there. It ends by itself.
    if [ ! -f "$directory/id" ] || [ "$config" != "$(cat "$directory/config" 2>/dev/null)" ]; then
        write config "$config"
        write id "$stem-$$-$(date +%s)"
        write interpreter "$python"
    fi
    write hold.py "$hold"
    write python "$launcher"
    chmod 700 "$directory/python"
    ln -sf python "$directory/image"
    touch "$directory/used"
    say "directory $directory"
}

main() {
    say
    say '@@offload begin@@'
    exec 4>&1
    umask 077
    [ -n "$base" ] || base=$(offload_home)
    say "home $base/environments"
    say "machine $(uname -s) $(uname -m)"
    find_image
    say "image $id"
    find_python
    [ -z "$folder" ] || make
    finish
}

main
