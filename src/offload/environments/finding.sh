# Finds a Python, or an environment that is ready. Sent to `sh -s` after home.sh, with these variables set before:
#   wanted  version (3.11) that is needed; abi: its flags
#   name    the environment's name, or nothing
#   home    the directory of environments there, or nothing for the default
#   chosen  a path of a Python, or nothing;  conda: the name of a conda environment, or nothing
# Writes lines between two marks: what login shells print around them does not count.

ask='import sys
i = getattr(sys, "implementation", None)
print("%d.%d.%d %s %s-" % (tuple(sys.version_info[:3]) + (i.name if i else "cpython", getattr(sys, "abiflags", ""))))'

tried=:
try() { # whether a path is a Python as it is needed
    [ -f "$1" ] && [ -x "$1" ] || return 1
    case $tried in *":$1:"*) return 1 ;; esac
    tried=$tried$1:
    if ! answer=$("$1" -E -c "$ask" </dev/null 2>/dev/null); then
        say "broken $1"
        return 1
    fi
    say "python $answer $1"
    case $answer in "$wanted".*" cpython $abi-") ;; *) return 1 ;; esac
    say "found $1"
    finish
}

everywhere() { # runs "try" for a name in all directories of PATH
    saved=$IFS
    IFS=:
    for directory in $PATH; do
        IFS=$saved
        try "${directory:-.}/$1"
        IFS=:
    done
    IFS=$saved
}

conda_roots() {
    for root in "${MAMBA_ROOT_PREFIX:-}" "${CONDA_EXE:+${CONDA_EXE%/bin/conda}}" "$HOME"/*conda* "$HOME"/*mamba* "$HOME"/*forge* \
        "$HOME/.conda" "$HOME/.local/share/mamba" /opt/*conda* /opt/*forge* /opt/*mamba* /usr/local/*conda*; do
        [ -d "$root/envs" ] || [ -d "$root/conda-meta" ] || continue
        say "$root"
    done
}

from_conda() {
    conda_roots | while IFS= read -r root; do
        if [ "$conda" = base ]; then say "$root/bin/python"; else say "$root/envs/$conda/bin/python"; fi
    done
    if [ -f "$HOME/.conda/environments.txt" ]; then
        sed -n "s,^\(.*/$conda\)\$,\1/bin/python,p" "$HOME/.conda/environments.txt"
    fi
}

modules() { # names of environment modules that are a Python as it is needed
    paths=${MODULEPATH:-/etc/modulefiles:/usr/share/modulefiles:/usr/share/modules/modulefiles:/opt/modulefiles:/apps/modulefiles}
    saved=$IFS
    IFS=:
    for directory in $paths; do
        IFS=$saved
        for file in "$directory"/[Pp]ython*/"$wanted"* "$directory"/*/[Pp]ython*/"$wanted"*; do
            [ -f "$file" ] || continue
            module=${file#"$directory"/}
            say "module ${module%.lua}"
        done
        IFS=:
    done
    IFS=$saved
}

main() {
    say
    say '@@offload begin@@'
    case $home in
        '') home=$(offload_home)/environments ;;
        '~/'*) home=$HOME/${home#??} ;;
        /*) ;;
        *) home=$HOME/$home ;;
    esac
    say "home $home"
    say "machine $(uname -s) $(uname -m)"
    if [ -n "$name" ]; then
        place=$home/$name-$(uname -s)-$(uname -m)
        if [ -f "$place/environment.json" ] && "$place/bin/python" -I -S -c '' </dev/null 2>/dev/null; then
            touch "$place/used" 2>/dev/null # a full disk is no reason against it
            say "ready $place"
            finish
        fi
    fi
    if [ -n "$chosen" ]; then
        case $chosen in '~/'*) chosen=$HOME/${chosen#??} ;; esac
        if [ -d "$chosen" ]; then chosen=$chosen/bin/python; fi
        try "$chosen"
        finish
    fi
    if [ -n "$conda" ]; then
        for path in $(from_conda); do
            try "$path"
        done
        finish
    fi
    everywhere "python$wanted"
    for path in "$HOME/.local/bin/python$wanted" /usr/bin/python"$wanted" /usr/local/bin/python"$wanted"; do try "$path"; done
    everywhere python3
    everywhere python
    for path in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 "$HOME"/.local/share/uv/python/*/bin/python3 \
        /usr/bin/python3 /usr/local/bin/python3 /opt/python*/bin/python3 /opt/*/bin/python"$wanted" \
        /opt/python/*/bin/python3 /usr/local/python*/bin/python3 /opt/homebrew/bin/python"$wanted"; do
        try "$path"
    done
    for path in $(conda_roots | while IFS= read -r root; do say "$root/bin/python"; done); do try "$path"; done
    for root in /apps /sw /software /cvmfs/*/software /opt/apps /opt/software; do
        for path in "$root"/[Pp]ython/*/bin/python3 "$root"/*/[Pp]ython/*/bin/python3; do try "$path"; done
    done
    modules
    finish
}

main
