"""Making plans ready for the way to a worker: what they depend on is put where it can be read there."""

from __future__ import annotations

from offload.commands.planning.stdin import Stdin
from offload.errors import OffloadError
from offload.storage.user_files import store_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.commands.planning.plan import Plan
    from offload.registry.deployments import Place
    from offload.storage.store import Store


def visible(place: Place) -> bool:
    """Return whether the workers of a deployment read this machine's files, under the same names."""
    import json
    import socket

    from offload.registry.contact import Contact
    from offload.registry.location import is_elsewhere

    contact = Contact.read(place.contact)
    if contact is None or contact.head["host"] != socket.gethostname() or is_elsewhere(place):
        return False
    with open(place.spec, encoding="utf-8") as file:
        spec = json.load(file)
    # The workers of one that someone else started may be anywhere; those in a container see some directories only.
    return spec.get("scheduler") is None and spec.get("environment") is None


def complete(plans: Sequence[Plan], store: Store, with_inputs: bool) -> None:
    """Put what plans depend on into the store, and leave in them what can be sent.

    Parameters
    ----------
    plans : sequence of Plan
        Not with an open standard input.
    store : Store
        One that the workers have, too.
    with_inputs : bool
        Whether the inputs are put there, and not only the standard input: because they may have changed by the time
        that the command runs, or are not seen where it runs. What is read in place stays where it is.

    Raises
    ------
    OffloadError
        If an input has changed since its checksum was taken.
    """
    stored: dict[int, Stdin] = {}
    for plan in plans:
        key = id(plan.stdin)
        if key not in stored:
            stored[key] = plan.stdin.stored(store)
        plan.stdin = stored[key]
    if with_inputs:
        _store_inputs(plans, store)


def _store_inputs(plans: Sequence[Plan], store: Store) -> None:
    expected: dict[str, str] = {}
    for item in {id(item): item for plan in plans for item in plan.inputs if not item.in_place}.values():
        if item.tree is None:
            expected[item.source] = item.checksum
        else:
            files = [entry for entry in item.tree.entries if entry.kind == "file"]
            expected.update((f"{item.source}/{entry.name}", entry.value) for entry in files)
    names = list(expected)
    there = dict(zip(names, store.has([expected[name] for name in names]), strict=True))
    try:
        found = store_files([name for name in names if not there[name]], store)
    except OSError as error:
        raise OffloadError(f"the input {error.filename} cannot be read: {error.strerror}") from error
    for name, checksum in found.items():
        if checksum != expected[name]:
            from offload.registry.session import current

            current().files.forget(name)  # it may be that nothing but its content tells that it is another one
            raise OffloadError(f"{name} changed while it was read", "run the command again when nothing writes to it")
