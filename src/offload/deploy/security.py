"""The certificates and the token of one deployment: made once, kept in files that only their owner may read.

Each deployment has an authority of its own. What it signs is accepted by this deployment's services, workers and
clients, and by nobody else; so a certificate of another deployment, or none, gets no answer.

In the directory: ``authority.pem`` and ``authority.key``, a ``ROLE.pem`` and ``ROLE.key`` for each role, and ``token``.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from offload.errors import NotFoundError

AUTHORITY, TOKEN = "authority", "token"
ROLES = ("server", "dask")
"""Who has a certificate: the HTTPS services, and Dask's scheduler, workers and clients, which check each other's."""

VALID = datetime.timedelta(days=3650)
_SKEW = datetime.timedelta(days=1)  # clocks of two machines may differ


def create(directory: str, hosts: Sequence[str]) -> None:
    """Make the authority, a certificate for each role, and the token, unless they are there.

    Parameters
    ----------
    directory : str
        Where; made with mode 0700.
    hosts : sequence of str
        The addresses and names under which the services are reached.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    if not os.path.exists(os.path.join(directory, TOKEN)):
        _create_authority(directory)
        for role in ROLES:
            issue(directory, role, hosts)
        # Last: whoever finds it finds the rest.
        _write(os.path.join(directory, TOKEN), secrets.token_urlsafe(32).encode() + b"\n")


def files(directory: str, role: str) -> tuple[str, str, str]:
    """Return the paths of the authority's certificate, and of a role's certificate and key."""
    return tuple(os.path.join(directory, name) for name in (f"{AUTHORITY}.pem", f"{role}.pem", f"{role}.key"))  # type: ignore[return-value]


def read_token(directory: str) -> str:
    """Return the token.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    try:
        with open(os.path.join(directory, TOKEN), encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        raise NotFoundError(f"{directory} holds no token", "bring the deployment up again: offload up") from None


def issue(directory: str, role: str, hosts: Sequence[str]) -> None:
    """Make a key and a certificate that the deployment's authority signs.

    Parameters
    ----------
    directory : str
        Where the authority is, and where they go.
    role : str
        What for; the name of the files.
    hosts : sequence of str
        The addresses and names that it is good for.
    """
    with open(os.path.join(directory, f"{AUTHORITY}.pem"), "rb") as file:
        authority = x509.load_pem_x509_certificate(file.read())
    with open(os.path.join(directory, f"{AUTHORITY}.key"), "rb") as file:
        signer = serialization.load_pem_private_key(file.read(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(f"offload {role}", key.public_key())
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    _write(os.path.join(directory, f"{role}.key"), _pem(key))
    certificate = builder.sign(signer, hashes.SHA256())
    _write(os.path.join(directory, f"{role}.pem"), certificate.public_bytes(serialization.Encoding.PEM))


def _create_authority(directory: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "offload deployment")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        _builder("offload deployment", key.public_key())
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(os.path.join(directory, f"{AUTHORITY}.key"), _pem(key))
    _write(os.path.join(directory, f"{AUTHORITY}.pem"), certificate.public_bytes(serialization.Encoding.PEM))


def _builder(name: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + VALID)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: str, data: bytes) -> None:
    """Write a file that is never readable by others, not even while it is written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
