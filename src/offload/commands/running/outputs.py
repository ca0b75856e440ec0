"""The declared outputs of a command: found in its scratch directory, and stored."""

from __future__ import annotations

import os
import stat

from offload.errors import OffloadError
from offload.storage.delivery import FoundOutput
from offload.storage.output_record import OutputRecord
from offload.storage.user_files import store_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from offload.commands.running.scratch import Scratch
    from offload.storage.store import Store


def find(paths: Sequence[str], scratch: Scratch) -> list[FoundOutput]:
    """Return the declared outputs that a command has made.

    Raises
    ------
    OffloadError
        For one that is missing, special, or that a link leads out of the scratch directory.
    """
    found = []
    for path in paths:
        source = os.path.normpath(os.path.join(scratch.work, path))
        try:
            status = os.stat(source)
        except OSError as error:
            raise OffloadError(
                f"the command ended well, but its declared output {path} is not there: {error.strerror}",
                "nothing is recorded; compare the name with what the command writes, relative to where it starts",
            ) from error
        if not scratch.holds(source):
            raise OffloadError(f"the output {path} leads to {os.path.realpath(source)}, outside the scratch directory")
        if stat.S_ISREG(status.st_mode):
            record = OutputRecord(path, "file", "", bool(status.st_mode & 0o100))
            found.append(FoundOutput(record, source, None))
        elif stat.S_ISDIR(status.st_mode):
            from offload.identity.directories import scan

            tree = scan(source)
            record = OutputRecord(path, "directory", "", False)
            record.entries = tree.entries
            found.append(FoundOutput(record, source, tree))
        else:
            raise OffloadError(f"the output {path} is neither a file nor a directory")
    return found


def store_outputs(found: Sequence[FoundOutput], store: Store) -> None:
    """Put outputs into a store, small files in batches, and fill in their checksums."""
    checksums = store_files([name for output in found for name in output.files()], store)
    for output in found:
        if output.tree is None:
            output.record.checksum = checksums[output.source]
        else:
            output.record.checksum = store.put([output.tree.manifest(checksums)])[0]
