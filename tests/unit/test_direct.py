from __future__ import annotations

import ssl

from harness.direct import trusted


def test_https_is_verified_by_the_authorities_and_plain_http_by_nobody() -> None:
    authorities, nobody = trusted("https"), trusted("http")
    assert authorities.cert_store_stats()["x509_ca"] > 0
    assert nobody.cert_store_stats()["x509_ca"] == 0
    for context in (authorities, nobody):  # whoever is led to https by a plain address believes no one
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_the_authorities_are_read_once() -> None:
    assert trusted("https") is trusted("https")
