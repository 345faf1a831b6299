"""s3: links that are signed, one to get the bundle and one to put a single return; the bucket stays private.

`s3://bucket/prefix` keeps the bundle as `prefix/alice/bundle/bundle-r01-alice-<hash>.zip`. Every sending makes a link
to a key of its own in `prefix/alice/return/`. `If-None-Match: *` is part of what is signed, so a second upload under a
link is refused by the server, and never takes the place of the first; whether the server does so is tried before links
go out. A signed PUT cannot bound the size: one link takes one upload, of 5 GB at most, and `fetch` reads no more of it
than a return can have.

Where the server lets pages send (CORS), the bundle holds the link as well, and a page that may send there alone; so it
is uploaded anew every time. Whoever has the first link can get the second one out of it: both are for the same person.

Endpoint, region, profile and keys are those of the DVC remote; without one, those of AWS's own files and variables.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from voxledger.errors import Misuse, VoxledgerError, Waiting
from voxledger.imaging.volume import file_sha256
from voxledger.page import NAME as PAGE
from voxledger.page import sending_to
from voxledger.records.bundle import LINK, MANIFEST
from voxledger.review.carrier import BUNDLE, CHUNK, MOST_UPLOADS, RETURN, Lines, Upload, Where, unreachable
from voxledger.review.pack import packed

VALID = timedelta(days=7)
"""How long links work: the longest that S3's signatures allow."""
PREFLIGHT_SECONDS = 10
PART = 256 << 20
"""Bytes of one part of a bundle on its way to the server; it has to have at most 10,000."""


class _Bucket:
    def __init__(self, where: Where, client: Any, bucket: str, prefix: str) -> None:
        self._where, self._client, self._bucket, self._prefix = where, client, bucket, prefix

    def send(self, folder: Path, reviewer: str) -> Lines:
        with self._told():
            self._require_write_once()
            until = datetime.now(UTC) + VALID
            put = self._signed("put_object", Key=self._key(reviewer, RETURN, secrets.token_hex(16)), IfNoneMatch="*")
            key = self._key(reviewer, BUNDLE, f"{folder.name}-{file_sha256(folder / MANIFEST)[:12]}.zip")
            sending = sending_page(folder, put) if (folder / PAGE).is_file() and takes_from_pages(put) else {}
            with packed(folder, sending) as archive:
                if sending or not self._has(key, archive.stat().st_size):
                    self._put(key, archive)
            get = self._signed("get_object", Key=key)
        return Lines(
            f'curl --fail --output {folder.name}.zip "{get}"',
            f'curl --fail --header "If-None-Match: *" --upload-file {folder.name}.zip "{put}"',
            until,
            secret=True,
            by_page=bool(sending),
        )

    def uploads(self, reviewer: str) -> list[Upload]:
        place = self._key(reviewer, RETURN, "")
        found: list[tuple[datetime, Upload]] = []
        with self._told():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=place)
            for entry in (entry for page in pages for entry in page.get("Contents", ())):
                upload = Upload(entry["Key"].removeprefix(place), entry["Size"], entry["ETag"])
                found.append((entry["LastModified"], upload))
                if len(found) > MOST_UPLOADS:
                    raise VoxledgerError(f"{self._where.text} holds too many returns", f"move some out of {place}")
        return [upload for _, upload in sorted(found, key=lambda one: (one[0], one[1].name))]

    def read(self, reviewer: str, upload: Upload, offset: int) -> Iterator[bytes]:
        if offset >= upload.bytes:
            return
        wanted = {"Range": f"bytes={offset}-", "IfMatch": upload.version} if offset else {"IfMatch": upload.version}
        with self._told():
            found = self._client.get_object(Bucket=self._bucket, Key=self._key(reviewer, RETURN, upload.name), **wanted)
            # one that the server compressed or cut would not be what was listed
            if found["ContentLength"] != upload.bytes - offset:
                raise Waiting(f"{upload.name!r} of {reviewer} is still arriving", "fetch again in a moment")
            yield from iter(partial(found["Body"].read, CHUNK), b"")

    def _key(self, *names: str) -> str:
        return "/".join((*([self._prefix] if self._prefix else []), *names))

    def _signed(self, operation: str, **values: str) -> str:
        seconds = int(VALID.total_seconds())
        values |= {"Bucket": self._bucket}
        return str(self._client.generate_presigned_url(operation, values, ExpiresIn=seconds))

    def _has(self, key: str, size: int) -> bool:
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key)
        return any(entry["Key"] == key and entry["Size"] == size for entry in found.get("Contents", ()))

    def _put(self, key: str, archive: Path) -> None:
        """Upload a file: at once, or in parts where it is large; it is there whole or not at all."""
        target = {"Bucket": self._bucket, "Key": key}
        with archive.open("rb") as stream:
            if archive.stat().st_size <= PART:
                self._client.put_object(Body=stream, **target)
                return
            begun = {**target, "UploadId": self._client.create_multipart_upload(**target)["UploadId"]}
            try:
                parts = []
                for number, block in enumerate(iter(partial(stream.read, PART), b""), 1):
                    tag = self._client.upload_part(PartNumber=number, Body=block, **begun)["ETag"]
                    parts.append({"PartNumber": number, "ETag": tag})
                self._client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **begun)
            except BaseException:
                self._client.abort_multipart_upload(**begun)
                raise

    def _require_write_once(self) -> None:
        """Raise unless the server refuses to write a second time what `If-None-Match: *` protects."""
        from botocore.exceptions import ClientError

        target = {"Bucket": self._bucket, "Key": self._key("write-once")}
        self._client.put_object(Body=b"", **target)
        try:
            self._client.put_object(Body=b"", IfNoneMatch="*", **target)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
                return
            if error.response["Error"]["Code"] != "NotImplemented":
                raise
        raise VoxledgerError(
            f"the server of {self._where.text} would let a second upload take the place of the first: it does not heed "
            "If-None-Match",
            "use a server that does (AWS, MinIO, SeaweedFS 4 and others do), or another carrier",
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors of botocore into ours."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except NoCredentialsError:
            raise Misuse(
                f"no keys for {self._where.text} were found",
                "`dvc remote modify --local NAME access_key_id …` and `… secret_access_key …`, or AWS's own files and "
                "variables",
            ) from None
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            if code == "PreconditionFailed":
                raise Waiting("an upload was replaced while it was read", "fetch again in a moment") from None
            raise VoxledgerError(
                f"{self._where.text}: the server says {error}",
                f"check that bucket {self._bucket} exists and that your keys may read and write "
                f"{self._key('…') if self._prefix else 'it'}; then run this again",
            ) from None
        except BotoCoreError as error:
            raise unreachable(self._where, error) from None


def takes_from_pages(link: str) -> bool:
    """Whether the server lets a page that was opened from disk put something under a link.

    It is asked as a browser asks it (https://fetch.spec.whatwg.org/#cors-preflight-fetch).
    """
    asked = {
        "Origin": "null",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "if-none-match",
    }
    try:
        with urlopen(Request(link, headers=asked, method="OPTIONS"), timeout=PREFLIGHT_SECONDS) as answer:
            origin, methods, headers = (
                {one.strip().lower() for one in answer.headers.get(f"Access-Control-Allow-{name}", "").split(",")}
                for name in ("Origin", "Methods", "Headers")
            )
    except (OSError, HTTPException):
        return False
    return bool(origin & {"*", "null"} and methods & {"*", "put"} and headers & {"*", "if-none-match"})


def sending_page(folder: Path, link: str) -> dict[str, bytes]:
    """What goes out with a bundle so that its page can send the return under a link: by path."""
    place = urlsplit(link)
    note = json.dumps({"format": 1, "put": link}) + "\n"
    page = sending_to((folder / PAGE).read_bytes(), f"{place.scheme}://{place.netloc}")
    return {PAGE: page, LINK: note.encode()}


@contextmanager
def connect(where: Where) -> Iterator[_Bucket]:
    """Open the bucket.

    Raises
    ------
    Misuse
        botocore is not installed, or the address names no bucket.

    Examples
    --------
    >>> with connect(Where("s3:drop", "s3:drop", {})):
    ...     pass
    Traceback (most recent call last):
        ...
    voxledger.errors.Misuse: s3:drop names no bucket
      → write s3://BUCKET or s3://BUCKET/PREFIX
    """
    found = re.fullmatch(r"//([A-Za-z0-9][A-Za-z0-9.-]*)(?:/(.*))?", where.place)
    prefix = (found[2] or "").strip("/") if found else ""
    if found is None or not re.fullmatch(r"[A-Za-z0-9._/-]*", prefix):
        raise Misuse(f"{where.url} names no bucket", "write s3://BUCKET or s3://BUCKET/PREFIX")
    with _client(where) as client:
        yield _Bucket(where, client, found[1], prefix)


@contextmanager
def _client(where: Where) -> Iterator[Any]:
    try:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise Misuse(
            f"{where.text}: botocore, which speaks to S3, is not installed", "`pip install 'voxledger[s3]'`"
        ) from None
    of = where.settings.get
    verify: bool | str | None = of("ssl_verify")
    if str(verify).lower() in ("true", "false"):
        verify = str(verify).lower() == "true"
    try:
        session = botocore.session.Session(profile=of("profile"))
        client = session.create_client(
            "s3",
            region_name=of("region") or session.get_config_variable("region") or "us-east-1",
            endpoint_url=of("endpointurl"),
            verify=verify,
            aws_access_key_id=of("access_key_id"),
            aws_secret_access_key=of("secret_access_key"),
            aws_session_token=of("session_token"),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"} if of("endpointurl") else None,
                # what other servers than AWS's may not know
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard"},
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise Misuse(f"{where.text}: {error}", "correct the DVC remote, or AWS's own files and variables") from None
    try:
        yield client
    finally:
        client.close()
