"""A certificate for TLS between the proxy and the fake server."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=20)


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate for 127.0.0.1 and localhost; clients trust it by ``cert_file``."""

    cert_file: Path
    key_file: Path

    @classmethod
    def make(cls, folder: Path, *, names: str = "IP:127.0.0.1,DNS:localhost") -> "Certificate":
        """Made by the ``openssl`` program, valid for two days."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "certificate.pem", folder / "key.pem")
        _openssl("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=fake upstream",
                 "-addext", f"subjectAltName={names}", "-keyout", made.key_file, "-out", made.cert_file)  # fmt: skip
        return made

    @classmethod
    def expired(cls, folder: Path) -> "Certificate":
        """Like ``make``, and over since yesterday."""
        made = cls.make(folder)
        _openssl("x509", "-in", made.cert_file, "-signkey", made.key_file, "-days", "-1", "-out", made.cert_file)
        return made

    @classmethod
    def issued(cls, folder: Path) -> "Certificate":
        """Signed by an issuer of its own, whose certificate is ``folder / "issuer.pem"``; only its own is sent."""
        issuer, request = cls(folder / "issuer.pem", folder / "issuer.key"), folder / "request.pem"
        made = cls.make(folder)
        _openssl("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=an issuer", "-keyout", issuer.key_file,
                 "-out", issuer.cert_file)  # fmt: skip
        _openssl("x509", "-x509toreq", "-in", made.cert_file, "-signkey", made.key_file, "-copy_extensions", "copyall",
                 "-out", request)  # fmt: skip
        _openssl("x509", "-req", "-in", request, "-CA", issuer.cert_file, "-CAkey", issuer.key_file, "-CAcreateserial",
                 "-days", "2", "-copy_extensions", "copyall", "-out", made.cert_file)  # fmt: skip
        return made

    def server_context(self) -> ssl.SSLContext:
        """What the server side needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context
