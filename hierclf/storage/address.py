"""Addresses of files elsewhere: SCHEME://BUCKET/KEY?OPTIONS, read as they stand.

Nothing but the options is percent-encoded: `s3://bucket/my photos/50 %.jpg` is fine.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_ELSEWHERE = ("hf",)  # the Hugging Face Hub has revisions, which its own client knows
_SECRET = re.compile("secret|password|token|sas|account_?key|access_?key|credential", re.IGNORECASE)

_HIDDEN = "an address must not hold a password or key"


class Address(NamedTuple):
    """An address in its parts.

    Attributes:
        scheme: in lower case, such as "s3".
        bucket: or container, or host with port; empty where there is none.
        key: of a file or folder in it, without slashes at its ends; empty for the bucket itself.
        options: what follows `?`, such as "endpoint_override=localhost:9000".
    """

    scheme: str
    bucket: str
    key: str
    options: str

    @property
    def name(self) -> str:
        """The address for messages and file names, without options."""
        return f"{self.scheme}://{'/'.join(filter(None, (self.bucket, self.key)))}"

    def at(self, key: str) -> "Address":
        """Another place of the same bucket."""
        return self._replace(key=key)

    def __str__(self) -> str:
        return f"{self.name}?{self.options}" if self.options else self.name


def is_address(text: str) -> bool:
    """Whether a text is an address, of `hf://` and paths none."""
    found = _ADDRESS.match(text)
    return found is not None and found[1].lower() not in _ELSEWHERE


def parse_address(text: str) -> Address:
    """The parts of an address.

    Raises:
        ValueError: no bucket, or a password or key in it; one line.
    """
    found = _ADDRESS.match(text)
    assert found is not None, text
    place, _, options = found[2].partition("?")
    bucket, _, key = place.partition("/")
    address = Address(found[1].lower(), bucket, key.strip("/"), options)
    if ":" in bucket.rpartition("@")[0] or any(_SECRET.search(k) for k, _ in parse_qsl(options)):
        raise ValueError(
            f"{_HIDDEN}, which would be kept with results; set it in the environment, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not bucket and address.scheme in ("s3", "gs", "gcs", "az", "abfs", "abfss"):
        raise ValueError(f"an address must name a bucket, {address.scheme}://BUCKET, got {text}")
    return address


def shown(text: str) -> str:
    """The address for people, without what `parse_address` refuses to keep."""
    try:
        parse_address(text)
    except ValueError as error:
        return f"{text.partition('://')[0]}://..." if _HIDDEN in str(error) else text
    return text


def file_path(text: str) -> Path | None:
    """The path that a `file://` address names; None for other addresses.

    Raises:
        ValueError: the file of another machine.
    """
    found = _ADDRESS.match(text)
    if found is None or found[1].lower() != "file":
        return None
    host, slash, path = found[2].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ValueError(f"a file of this machine is called file:///PATH, but got {text}")
    return Path(f"/{unquote(path)}")
