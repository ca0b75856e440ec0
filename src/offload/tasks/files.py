"""Files as arguments, hashed through the cache of the session in use, and in results: kept, and brought back."""

from __future__ import annotations

from offload.identity import files
from offload.identity.files import Directory, File, noting
from offload.registry.session import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Directory", "File", "noting"]


def _cached(paths: Sequence[str]) -> list[str]:
    return current().files.checksums(paths)


def _keep(file: File, checksum: str) -> list[object]:
    from offload.tasks import returned_files

    return returned_files.keep(file, checksum)


def _bring(cls: type[File], path: str, checksum: str, executable: bool, belongs: str | None = None) -> File:
    from offload.tasks import returned_files

    return returned_files.bring(cls, path, checksum, executable, belongs)


files.hasher, files.keep, files.bring = _cached, _keep, _bring
