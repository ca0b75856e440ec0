"""The line that runs instead of the one that was typed in ``offload shell``.

Run by the shell as ``python -m offload.cli.shells.line MODE SHELL PROGRAM KIND ALIAS LINE``, which prints it.
"""

from __future__ import annotations

import sys

# What is only of use within the shell itself.
_STATEFUL = frozenset(
    ". alias autoload bg bind bindkey builtin cd command declare dirs disown enable eval exec exit export fc fg hash "
    "history jobs local logout popd pushd read readonly return set setopt shift shopt source suspend trap typeset "
    "ulimit umask unalias unset unsetopt wait".split()
)
# What looks at this directory or changes it, or needs the terminal: in a scratch directory it would do nothing of use.
_HERE = frozenset(
    "apt btop chgrp chmod chown clear conda cp crontab dir du emacs find git htop kill killall la less ll ln ls "
    "mamba man micro mkdir mkfifo mktemp more mount mv nano nvim pip ps reset rm rmdir rsync scp screen sftp ssh "
    "su sudo sync tmux top touch tree truncate tty umount uv vi vim watch which".split()
)
_OWN = ("builtin", "keyword", "function", "reserved")
_PLAIN = _STATEFUL | _HERE
_REDIRECTIONS = ("<", ">")


def rewritten(mode: str, shell: str, program: str, kind: str, alias: str, line: str) -> str:
    """Return a line that does the same through ``offload run``, or the line itself where that makes no sense.

    Parameters
    ----------
    mode : str
        ``"key"``, for a line that is to be run so, or ``"wrap"``, for any line.
    shell : str
        The name of the shell.
    program : str
        How offload is called there.
    kind : str
        What its first word is to the shell: ``file``, ``builtin``, ``alias``, ...
    alias : str
        What the first word stands for, if it is an alias.
    line : str
        What was typed.

    Examples
    --------
    >>> rewritten("wrap", "bash", "offload", "file", "", "sort words > sorted")
    'offload run -- sort words > sorted'
    >>> rewritten("wrap", "bash", "offload", "file", "", "sort words | head > first")
    "offload run -- bash -c 'sort words | head' > first"
    >>> rewritten("wrap", "bash", "offload", "builtin", "", "cd /tmp")
    'cd /tmp'
    """
    text = line.strip()
    if mode == "key":
        text = text.removeprefix("\\")
    elif line[:1] in (" ", "\t", "\\"):
        return line
    operators = _operators(text)
    words = text.split()
    if not words or operators is None or text[0] in "#!" or words[0] in ("offload", program):
        return line
    commands = [part.split()[0] for part in _parts(text, operators) if part.split()]
    if mode == "wrap" and (kind in _OWN or not _PLAIN.isdisjoint(commands) or _goes_on(text, operators)):
        return line
    if alias:
        text = alias + text[len(words[0]) :]
        operators = _operators(text)
        if operators is None:
            return line
    first = text.split()[0]
    if _is_assignment(first):
        if all(map(_is_assignment, words)) and mode == "wrap":
            return line
    elif kind not in ("keyword", "reserved", "function") and all(op in _REDIRECTIONS for _, op in operators):
        return f"{program} run -- {text}"
    inner, outer = _without_output(text, operators)
    return f"{program} run -- {shell} -c {_quoted(inner)}{outer}"


def _operators(text: str) -> list[tuple[int, str]] | None:
    """Return the operators outside quotes and substitutions with their places; None if the line is not complete."""
    found: list[tuple[int, str]] = []
    place = 0
    while place < len(text):
        two, one = text[place : place + 2], text[place]
        if one == "\\":
            if place + 1 == len(text):
                return None
            place += 2
        elif one in "'\"`" or two in ("$(", "${"):
            end = _end_of_quote(text, place)
            if end is None:
                return None
            place = end
        elif two == "<<" and text[place : place + 3] != "<<<":
            return None  # a document follows
        elif two in ("&&", "||", "&>", ">&", "<&", ">>", "<(", ">(", "|&", ";;") or text[place : place + 3] == "<<<":
            kind = {"&>": ">", ">&": ">", ">>": ">", "<&": "<", "<<": "<"}.get(two, two)
            found.append((place, kind))
            place += 3 if text[place : place + 3] in ("<<<", "&>>") else 2
        elif one in "|&;<>(){}\n":
            found.append((place, one))
            place += 1
        else:
            place += 1
    return found


def _end_of_quote(text: str, place: int) -> int | None:
    """Return where what begins at a place ends: a quoted text, ``$(...)``, ``${...}``."""
    opening = text[place]
    closing = {"$(": ")", "${": "}"}.get(text[place : place + 2], opening)
    escapes = not (opening == "'" and text[place - 1 : place] != "$")
    place += 2 if closing in ")}" else 1
    while place < len(text):
        if text[place] == closing:
            return place + 1
        if text[place] == "\\" and escapes:
            place += 2
        elif closing != opening and (text[place] in "'\"`" or text[place : place + 2] in ("$(", "${")):
            end = _end_of_quote(text, place)
            if end is None:
                return None
            place = end
        elif closing == ")" and text[place] == "(":
            end = _end_of_quote(text[:place] + "$" + text[place:], place)
            if end is None:
                return None
            place = end - 1
        else:
            place += 1
    return None


def _parts(text: str, operators: list[tuple[int, str]]) -> list[str]:
    """Return the commands of a line."""
    ends = [place for place, op in operators if op not in _REDIRECTIONS]
    starts = [0, *(place + 1 for place in ends)]
    return [text[start:end].lstrip("|&;({ ") for start, end in zip(starts, [*ends, len(text)], strict=True)]


def _goes_on(text: str, operators: list[tuple[int, str]]) -> bool:
    """Tell whether a line runs something in the background, or does not end with it."""
    return any(op == "&" for _, op in operators) or text.endswith(("|", "&&"))


def _without_output(text: str, operators: list[tuple[int, str]]) -> tuple[str, str]:
    """Return a pipeline, and where its output goes: the shell opens that file, beside the user's others."""
    if operators and operators[-1][1] == ">" and all(op in ("|", "<", ">") for _, op in operators):
        place = operators[-1][0]
        target = text[place:].lstrip(">&")
        if text[place - 1 : place].isspace() and text[place : place + 2] != ">&" and len(target.split()) == 1:
            return text[:place].rstrip(), f" {text[place:]}"
    return text, ""


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.replace("_", "a").isalnum() and not name[0].isdigit()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


if __name__ == "__main__":
    sys.stdout.write(rewritten(*sys.argv[1:]))
