"""Certificates for servers on this host, made anew for a test."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certify(home: Path) -> None:
    """An authority (``ca.pem``) and a certificate of it for localhost (``cert.pem``, ``key.pem``)."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=home, check=True, capture_output=True)

    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests", "-days", "2")
    openssl(*new, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
    (home / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"]
    openssl("x509", "-req", "-in", "request.pem", "-out", "cert.pem", *signing)
