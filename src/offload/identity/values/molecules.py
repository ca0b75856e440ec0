"""Molecules of RDKit, with their properties, which RDKit pickles only where a switch of the process says so."""

from __future__ import annotations

from offload.identity.values.objects import register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install(package: str) -> None:
    """Register the encodings of molecules."""
    from rdkit import Chem

    kept = Chem.PropertyPickleOptions
    # All that was set; what RDKit notes while it computes comes and goes.
    options = int(kept.MolProps | kept.AtomProps | kept.BondProps | kept.QueryAtomData | kept.PrivateProps)
    options |= int(kept.CoordsAsDouble)

    def contents(molecule: Any) -> list[object]:
        assigned = vars(molecule)
        return [bytes(molecule.ToBinary(options)), *([dict(assigned)] if assigned else [])]

    def made(cls: Any) -> Any:
        def read(parts: Any) -> Any:
            molecule = cls(parts[0])
            for assigned in parts[1:]:
                vars(molecule).update(assigned)
            return molecule

        return read

    for cls in (Chem.Mol, Chem.RWMol):
        register(cls, encode=contents, decode=made(cls), name=f"rdkit.Chem.{cls.__name__}")
