"""The one call that brings a deployment's software to another machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from offload.environments.choice import is_image, parse_choice
from offload.environments.compare import compare, distributions_there, refused
from offload.environments.containers import Mounted, choose, find, ready
from offload.environments.installed import PROJECT, Installed, installed, required
from offload.environments.probe import Looked, look, no_python
from offload.environments.sync import Prepared, made, synced
from offload.environments.wanted import OWN, needed_here, needs
from offload.errors import UsageError
from offload.hosts.base import Site

Say = Callable[[str], None]


def prepare(
    site: Site,
    choice: str,
    home: str,
    say: Say,
    directory: str | None = None,
    only: Sequence[str] = (),
    mounted: Mounted | None = None,
) -> Prepared:
    """Make sure that the other machine has the software that work from here needs.

    Parameters
    ----------
    site : Site
        The machine.
    choice : str
        ``sync``, ``check``, ``conda:NAME``, ``python:/path`` or the path of a Python, ``container:IMAGE``.
        ``sync:/path`` and ``check:/path`` name the Python to use, where it is not found by itself.
    home : str
        The directory there that keeps environments; empty for the one beside what else offload keeps there.
    say : callable
        Is told each step.
    directory : str, optional
        The project whose lock file counts; by default the current directory's.
    only : sequence of str, optional
        For ``sync``: bring only these distributions, offload, and what they require; by default all that is installed.
    mounted : Mounted, optional
        For an image: for whom its container is, and what is seen in it.

    Raises
    ------
    UsageError
        If there is no such choice.
    EnvironmentDiffersError
        If what is there was to be used, and differs from what is needed.
    OffloadError
        If it cannot be done, with the reason and the next step.
    """
    kind, path, conda = parse_choice(choice)
    if kind == "sync":
        return synced(site, home, needed_here(directory, only), say, path)
    if is_image(choice):
        if home:
            raise UsageError("the environments of an image are where offload keeps things", "leave out --directory")
        return _contained(site, choice, say, mounted or Mounted())
    looked = look(site, home, chosen=path, conda=conda)
    if looked.python is None:
        raise no_python(site, looked, path, conda)
    if kind == "check":
        return _checked(site, looked.python)
    python = looked.python
    return _beside(site, python, python, choice, say, lambda name: look(site, home, name=name, chosen=python))


def _contained(site: Site, choice: str, say: Say, mounted: Mounted) -> Prepared:
    """Return what runs the Python of an image, which has offload, too."""
    image = find(site, choice, mounted)
    say(f"{image.version} on {site.name} has the image")
    bare = Looked(image.home, image.machine, None, image.bare, (), ())

    def again(name: str) -> Looked:
        return dataclasses.replace(bare, ready=ready(site, image, name))

    done = _beside(site, image.bare, image.digest, choice, say, again)
    return dataclasses.replace(done, python=choose(site, image, done.python))


def _checked(site: Site, python: str) -> Prepared:
    """Return a Python there as it is, when offload and what it requires are the same as here."""
    here = installed()
    there, _ = distributions_there(site, python)
    differing = compare(here, there)
    needed = {one.key: differing[one.key] for one in required([OWN], here) if one.key in differing}
    if needed:
        raise refused(site, python, needed, has_offload=OWN in there)
    return Prepared(python, "check", distributions=len(there), differences=tuple(differing.values()))


def _beside(site: Site, python: str, identity: str, choice: str, say: Say, again: Callable[[str], Looked]) -> Prepared:
    """Return a Python that has what a chosen one has, and offload with what that lacks of its requirements.

    `identity` tells the chosen one from others, and `again` looks for an environment of a name.
    """
    here = installed()
    there, directories = distributions_there(site, python)
    own = required([OWN], here)
    differing = compare(own, there)
    checkout = any(one.key == OWN and one.kind == PROJECT for one in own)
    lacking = [one for one in own if one.key not in there or (one.key == OWN and (checkout or one.key in differing))]
    kept = tuple(line for key, line in differing.items() if key not in {one.key for one in lacking})
    for line in kept:
        say(f"differs: {line}")
    if not lacking:
        return Prepared(python, choice, distributions=len(there), differences=kept)
    say(f"{choice if is_image(choice) else python} lacks {_names(lacking)}: kept beside it")
    wanted = needs(lacking)
    name = wanted.name(identity, *directories)
    return made(site, again(name), wanted, name, choice, say, python, directories, kept)


def _names(some: Sequence[Installed]) -> str:
    names = [f"{one.name} {one.version}" for one in some]
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:4])} and {len(names) - 4} more"
