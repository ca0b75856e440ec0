# Loaded by zsh as .zshrc; the variables _offload_* stand above.
if [ -n "$_offload_zdotdir" ]; then ZDOTDIR=$_offload_zdotdir; else unset ZDOTDIR; fi
[ -f "${ZDOTDIR:-$HOME}/.zshrc" ] && . "${ZDOTDIR:-$HOME}/.zshrc"

_offload_prompt() {
    case $PROMPT in
    "$_offload_mark"*) ;;
    *) PROMPT=$_offload_mark$PROMPT ;;
    esac
}
autoload -Uz add-zsh-hook
add-zsh-hook precmd _offload_prompt

# Put the line that was typed through `offload run`; not one that continues another.
_offload_rewrite() {
    if [ "$CONTEXT" = start ]; then
        local -a words=(${(z)BUFFER})
        local word=$words[1] kind
        kind=$(whence -w -- "$word")
        kind=${kind##*: }
        BUFFER=$("$_offload_python" -P -m offload.cli.shells.line \
            "$1" zsh "$_offload_program" "$kind" "${aliases[$word]}" "$BUFFER")
    fi
    zle .accept-line
}
_offload_key() { _offload_rewrite key; }
_offload_enter() { _offload_rewrite wrap; }
zle -N _offload_key
zle -N _offload_enter
for _offload_map in emacs viins; do
    bindkey -M $_offload_map '^[^M' _offload_key
    if [ -n "$_offload_wrap" ]; then
        bindkey -M $_offload_map '^M' _offload_enter
        bindkey -M $_offload_map '^J' _offload_enter
    fi
done
unset _offload_map
rm -rf -- "$_offload_files"
