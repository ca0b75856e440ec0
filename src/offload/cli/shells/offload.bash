# Loaded by bash instead of ~/.bashrc; the variables _offload_* stand above.
[ -f ~/.bashrc ] && . ~/.bashrc

_offload_prompt() {
    _offload_fresh=1 # a new command begins: what is typed after it, until the next prompt, is its continuation
    case $PS1 in
    "$_offload_mark"*) ;;
    *) PS1=$_offload_mark$PS1 ;;
    esac
}
PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}_offload_prompt"

# Put the line that was typed through `offload run`.
_offload_rewrite() {
    [ -n "$_offload_fresh" ] || return
    _offload_fresh=
    local line=${READLINE_LINE#"${READLINE_LINE%%[![:space:]]*}"} word kind alias=
    word=${line%%[[:space:]]*}
    kind=$(type -t -- "$word")
    [ "$kind" = alias ] && alias=${BASH_ALIASES[$word]}
    READLINE_LINE=$("$_offload_python" -P -m offload.cli.shells.line \
        "$1" bash "$_offload_program" "$kind" "$alias" "$READLINE_LINE")
    READLINE_POINT=${#READLINE_LINE}
}

# Readline cannot run a function and then accept the line, but a macro can.
for _offload_map in emacs vi-insert; do
    bind -m $_offload_map -x '"\C-x\C-o": _offload_rewrite key'
    bind -m $_offload_map '"\C-x\C-a": accept-line'
    bind -m $_offload_map '"\e\C-m": "\C-x\C-o\C-x\C-a"'
    if [ -n "$_offload_wrap" ]; then
        bind -m $_offload_map -x '"\C-x\C-w": _offload_rewrite wrap'
        bind -m $_offload_map '"\C-m": "\C-x\C-w\C-x\C-a"'
        bind -m $_offload_map '"\C-j": "\C-x\C-w\C-x\C-a"'
    fi
done
unset _offload_map
rm -rf -- "$_offload_files"
