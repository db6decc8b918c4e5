"""Where a package comes from that a request names: from the request itself, or from S3."""

from anyio import to_thread

from asyncinvoke.local.management.code import ZIPPED_LIMIT, content_of
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.management.s3_code import S3Code
from asyncinvoke.local.protocol import refusals


class Packages:
    """Where packages come from.

    Args:
        s3: Where packages in S3 are.
    """

    def __init__(self, s3: S3Code) -> None:
        self._s3 = s3

    async def content(self, said: Members, what: str) -> bytes:
        """Return a package.

        Args:
            said: What holds `ZipFile`, or `S3Bucket` and `S3Key`.
            what: What the package is, in AWS's words.

        Raises:
            Refusal: There is none, or it is too large.
        """
        zip_file = said.text("ZipFile")
        if zip_file is not None:
            content = await to_thread.run_sync(content_of, zip_file)
            if len(content) > ZIPPED_LIMIT:
                raise refusals.package_too_large(ZIPPED_LIMIT)
            return content
        bucket, key = said.text("S3Bucket"), said.text("S3Key")
        if bucket is None or key is None:
            raise refusals.invalid(
                f"Please provide a source for {what}: this endpoint takes a ZipFile, or code in S3."
            )
        return await self._s3.get(bucket, key)
