# Loaded by fish after its own files; the variables _offload_* stand above.
functions -c fish_prompt _offload_own_prompt
function fish_prompt
    echo -n $_offload_mark
    _offload_own_prompt
end

# Put the line that was typed through `offload run`.
function _offload_rewrite
    set -l line (commandline | string collect)
    set -l word (string split -m 1 ' ' -- (string trim -- $line))[1]
    set -l kind ''
    if builtin -q -- $word
        set kind builtin
    else if command -q -- $word # much that is a program elsewhere is a function around it in fish
        set kind file
    else if test -n "$word"
        set kind (type -t -- $word 2>/dev/null)
    end
    set -l new ($_offload_python -P -m offload.cli.shells.line \
        $argv[1] fish "$_offload_program" "$kind" '' "$line" | string collect)
    commandline -r -- $new
    commandline -f execute
end
bind \e\r '_offload_rewrite key'
bind -M insert \e\r '_offload_rewrite key'
if test -n "$_offload_wrap"
    bind \r '_offload_rewrite wrap'
    bind \n '_offload_rewrite wrap'
    bind -M insert \r '_offload_rewrite wrap'
end
rm -rf -- $_offload_files
