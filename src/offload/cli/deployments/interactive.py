"""``offload up --interactive``: a Python prompt beside a deployment."""

from __future__ import annotations

import sys

from offload.cli.output import say

BANNER = """\
{name} is here as `deployment` and `cluster` (the same object: status(), scale(N), adapt(A, B), logs()),
with a Dask client as `client`. Tasks go there, too. Ctrl-D leaves; the deployment stays up."""


def prompt(name: str) -> None:
    """Open IPython, where it is installed, or else Python's own prompt, with a deployment at hand.

    Parameters
    ----------
    name : str
        The deployment; it is the active one for what is typed.
    """
    import offload

    deployment = offload.connect(name)
    client = deployment.get_client()
    names = {"offload": offload, "deployment": deployment, "cluster": deployment, "client": client}
    banner = BANNER.format(name=name)
    try:
        try:
            import IPython
        except ImportError:
            import code

            sys.ps1, sys.ps2 = ">>> ", "... "
            code.interact(banner, local=names, exitmsg="")
        else:
            sys.stderr.write(f"{banner}\n")
            IPython.start_ipython(argv=["--no-banner"], user_ns=names)
    finally:
        client.close()
        deployment.close()
    say(f"{name} stays up; offload down {name} ends it")
