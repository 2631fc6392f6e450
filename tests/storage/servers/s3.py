"""S3 through boto3, for every server that speaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import boto3
from botocore.config import Config

from servers.objects import Facts
from servers.running import connection

REGION = "us-east-1"


def s3_connection(url: str, key_id: str, secret: str) -> str:
    return connection("aws", {"endpoint_url": url, "region_name": REGION}, login=key_id, password=secret)


class S3Objects:
    @classmethod
    def of(cls, connection: str) -> Self:
        fields = json.loads(connection)
        return cls(fields["extra"]["endpoint_url"], fields["login"], fields["password"])

    def __init__(self, url: str, key_id: str, secret: str) -> None:
        self.client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=10,
                proxies={},
            ),
        )

    def make_bucket(self, bucket: str) -> None:
        self.client.create_bucket(Bucket=bucket)

    def remove_bucket(self, bucket: str) -> None:
        for upload in self._uploads(bucket):
            self.client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for name in self.names(bucket):
            self.client.delete_object(Bucket=bucket, Key=name)
        self.client.delete_bucket(Bucket=bucket)

    def names(self, bucket: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))

    def read(self, bucket: str, name: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return data

    def facts(self, bucket: str, name: str) -> Facts:
        head = self.client.head_object(Bucket=bucket, Key=name)
        return Facts(head["ContentLength"], head.get("ContentType"), head["Metadata"])

    def put(
        self, bucket: str, name: str, data: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        self.client.put_object(
            Bucket=bucket, Key=name, Body=data, ContentType=content_type, Metadata=dict(metadata)
        )

    def unfinished_uploads(self, bucket: str) -> list[str]:
        return sorted(upload["Key"] for upload in self._uploads(bucket))

    def waiting_parts(self, bucket: str, name: str) -> list[int]:
        """Sizes of the parts of all unfinished uploads to a name."""
        return [
            part["Size"]
            for upload in self._uploads(bucket)
            if upload["Key"] == name
            for part in self.client.list_parts(Bucket=bucket, Key=name, UploadId=upload["UploadId"]).get(
                "Parts", ()
            )
        ]

    def _uploads(self, bucket: str) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        return [upload for page in pages for upload in page.get("Uploads", ())]
