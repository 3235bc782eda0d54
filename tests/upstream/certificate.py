"""A certificate for TLS between the proxy and the fake server."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """A self-made certificate for 127.0.0.1 and localhost; clients trust it by ``cert_file``."""

    cert_file: Path
    key_file: Path

    @classmethod
    def make(cls, folder: Path, *, names: str = "IP:127.0.0.1,DNS:localhost") -> "Certificate":
        """Made by the ``openssl`` program, valid for two days."""
        made = cls(folder / "certificate.pem", folder / "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=fake upstream", "-addext", f"subjectAltName={names}",
             "-keyout", str(made.key_file), "-out", str(made.cert_file)],
            check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        return made

    def server_context(self) -> ssl.SSLContext:
        """What the server side needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context
