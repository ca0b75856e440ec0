"""A site that is this machine."""

from __future__ import annotations

from collections.abc import Sequence

from offload.hosts.base import Site


class Here(Site):
    """The machine that this process runs on."""

    name = "here"

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command as it is."""
        return list(words)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
