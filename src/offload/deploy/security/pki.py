"""Credentials of a deployment: its authority, certificates, and its token, each in a file only the owner can read.

One authority per deployment. It signs certificates for roles, such as ``server`` and ``client``; these serve HTTPS and
Dask's mutual TLS alike.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from offload.errors import NotFoundError, StorageError, UsageError
from offload.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

YEARS = 10
"""For how long certificates are good: a deployment is made anew long before."""

TOKEN_BYTES = 32


class Certificate:
    """The paths of a certificate and its key."""

    __slots__ = ("certificate", "key")

    def __init__(self, directory: str, name: str) -> None:
        self.certificate = os.path.join(directory, f"{name}.pem")
        self.key = os.path.join(directory, f"{name}.key")

    @property
    def complete(self) -> bool:
        """Whether both files are there."""
        return os.path.exists(self.certificate) and os.path.exists(self.key)


def create_authority(directory: str) -> Certificate:
    """Make an authority, unless the directory has one.

    Parameters
    ----------
    directory : str
        Made, with mode 0700, when it does not exist.

    Returns
    -------
    Certificate
        ``ca.pem``, which clients trust, and ``ca.key``.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    os.makedirs(directory, 0o700, exist_ok=True)
    paths = Certificate(directory, "ca")
    if paths.complete:
        return paths
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own, so that nobody takes the certificate of one deployment for that of another.
    name = _name(f"offload authority {secrets.token_hex(8)}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signing=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    _save(paths, certificate, key)
    return paths


def issue(directory: str, name: str, hosts: Sequence[str] = ()) -> Certificate:
    """Make a certificate signed by the authority in the same directory; one of that name is replaced.

    Parameters
    ----------
    directory : str
        That of `create_authority`.
    name : str
        A role, such as ``server``; the files are called after it.
    hosts : sequence of str
        Addresses and host names that it is good for; the name itself always is.

    Returns
    -------
    Certificate

    Raises
    ------
    NotFoundError
        There is no authority.
    UsageError
        The name cannot be one.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if not name.replace("-", "").isalnum() or not name.isascii() or name == "ca":
        raise UsageError(f"{name!r} cannot be the name of a certificate", "use letters, digits and hyphens")
    authority = Certificate(directory, "ca")
    if not authority.complete:
        raise NotFoundError(f"there is no authority in {directory}")
    with open(authority.certificate, "rb") as file:
        parent = x509.load_pem_x509_certificate(file.read())
    with open(authority.key, "rb") as file:
        signer = serialization.load_pem_private_key(file.read(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(f"offload {name}"), parent.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signing=False), critical=True)
        # Both, because a Dask worker is a client and a server.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in (name, *hosts)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    paths = Certificate(directory, name)
    _save(paths, certificate, key)
    return paths


def _builder(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of machines differ a little.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
    )


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(signing: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signing,
        crl_sign=signing,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        try:
            return x509.DNSName(host)
        except ValueError:
            raise UsageError(f"{host!r} is no host name") from None


def _save(paths: Certificate, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives import serialization

    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(paths.key, secret, durable=True)
    write_whole(paths.certificate, certificate.public_bytes(serialization.Encoding.PEM), durable=True)


def create_token(path: str) -> str:
    """Make a token in a new file, unless there is one; gives it."""
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path) or ".", 0o700, exist_ok=True)
        temporary = f"{path}.{secrets.token_hex(8)}.new"
        write_whole(temporary, secrets.token_urlsafe(TOKEN_BYTES).encode() + b"\n", durable=True)
        try:
            os.link(temporary, path)  # fails when another process was faster: then its token counts
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    return read_token(path)


def read_token(path: str) -> str:
    """Read a token.

    Raises
    ------
    NotFoundError
        There is no such file.
    StorageError
        Others can read it, or it holds no token.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(4096).strip()
    except FileNotFoundError:
        raise NotFoundError(f"there is no token file {path}") from None
    except OSError as error:
        raise StorageError(f"the token file {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise StorageError(f"others can read the token file {path}", f"chmod 600 {path}, and use a new token")
    if not 16 <= len(text) <= 1024 or not text.isprintable() or " " in text:
        raise StorageError(f"the token file {path} does not hold a token", "remove it; a new one is made")
    return text
