"""Short-lived certificates for those who were invited: for a key that never leaves them, signed by the head."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from offload.deploy.security import credentials, pki
from offload.errors import UsageError
from offload.util.files import write_whole

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

LIFETIME = 12 * 3600.0
EARLIER = timedelta(hours=1)  # clocks of machines differ a little
LARGEST = 4096


def ask() -> tuple[str, str]:
    """Return a new key and the request for a certificate of it, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "offload client")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret.decode("ascii"), request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def sign(keys: str, request: str, label: str, until: float | None) -> tuple[str, float]:
    """Return a certificate for a client of Dask, as PEM, and when it ends.

    Parameters
    ----------
    keys : str
        The directory of the authority.
    request : str
        What `ask` has given.
    label : str
        Stands in its name: whose it is.
    until : float, optional
        When it has to end at the latest.

    Raises
    ------
    UsageError
        If it is no request for a certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    try:
        asked = x509.load_pem_x509_csr(request[:LARGEST].encode())
        key = asked.public_key()
        right = asked.is_signature_valid and isinstance(key, ec.EllipticCurvePublicKey)
    except (ValueError, UnicodeError):
        right = False
    if not right:
        raise UsageError("this is no request for a certificate", "is it another version of offload?")
    parent, signer = _authority(keys)
    end = min(time.time() + LIFETIME, until or float("inf"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"offload client {label}"[:64])]))
        .issuer_name(parent.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - EARLIER)
        .not_valid_after(datetime.fromtimestamp(end, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # Not a server's: nobody is to pass for the scheduler with it.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"), end


def _authority(keys: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    paths = pki.Certificate(keys, "ca")
    with open(paths.certificate, "rb") as file:
        parent = x509.load_pem_x509_certificate(file.read())
    with open(paths.key, "rb") as file:
        signer = serialization.load_pem_private_key(file.read(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return parent, signer


def keep(keys: str, key: str, certificate: str) -> None:
    """Use a certificate from now on."""
    own = credentials.certificate(keys, credentials.DASK)
    write_whole(own.key, key.encode("ascii"), durable=True)
    write_whole(own.certificate, certificate.encode("ascii"), durable=True)


def is_due(keys: str) -> bool:
    """Tell whether a client's certificate is to be renewed: half of its time is over, or it is not there."""
    from cryptography import x509

    own = credentials.certificate(keys, credentials.DASK)
    if not os.path.exists(own.certificate):
        return True
    with open(own.certificate, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    begun, end = certificate.not_valid_before_utc + EARLIER, certificate.not_valid_after_utc
    return datetime.now(UTC) > begun + (end - begun) / 2


def is_guests(keys: str) -> bool:
    """Tell whether a certificate is one that `sign` has given: its holder gives work, and cannot be a worker."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        with open(credentials.certificate(keys, credentials.DASK).certificate, "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH not in purposes
