# Sent before other scripts.

say() { printf '%s\n' "$*"; }

finish() {
    say '@@offload end@@'
    exit 0
}

offload_home() { # where offload keeps things here; as offload.storage.home has it
    case ${OFFLOAD_HOME:-} in
        '') ;;
        '~/'*) say "$HOME/${OFFLOAD_HOME#??}" && return ;;
        /*) say "$OFFLOAD_HOME" && return ;;
        *) say "$PWD/$OFFLOAD_HOME" && return ;;
    esac
    if [ "$(uname -s)" = Darwin ]; then
        say "$HOME/Library/Application Support/offload"
        return
    fi
    case ${XDG_DATA_HOME:-} in
        /*) say "$XDG_DATA_HOME/offload" ;;
        *) say "$HOME/.local/share/offload" ;;
    esac
}
