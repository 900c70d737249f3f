"""Certificates of the stores: where their authority is read from, and what mends one that is refused."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from kvcast.errors import SettingsError

_EXPIRED, _NOT_YET = 10, 9  # OpenSSL's X509_V_ERR_*
_OTHER_NAME = (62, 64)  # a host name, an IP address


def check_authority(path: str, setting: str, parameter: str) -> None:
    """Raises SettingsError unless `path` holds certificates. setting, parameter: where it is from."""
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{setting}: {parameter}={path} holds no certificates that can be read ({error}); name a PEM file."
        ) from None


def refused_certificate(error: BaseException, setting: str, parameter: str) -> str | None:
    """What mends it where `error` comes of a certificate that was refused. parameter: what names the authority."""
    for link in _chain(error):
        if isinstance(link, ssl.SSLCertVerificationError):
            said = link.verify_message.rstrip(".")
            return f"its certificate is refused ({said}); {_mend(link.verify_code, setting, parameter)}."
    return None


def _mend(code: int, setting: str, parameter: str) -> str:
    if code == _EXPIRED:
        return "renew that server's certificate"
    if code == _NOT_YET:
        return "see that the clocks of both machines are right"
    if code in _OTHER_NAME:
        return f"name the server in {setting} as its certificate does"
    return f"name the PEM file of its authority in {setting} as {parameter}="


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
