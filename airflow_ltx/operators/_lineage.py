"""OpenLineage: which files a task wrote, and of which request. Imported only where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import OutputDataset
from openlineage.client.facet_v2 import dataset_version_dataset, external_query_run
from openlineage.client.generated.output_statistics_output_dataset import OutputStatisticsOutputDatasetFacet

_SCHEMES = {"s3a": "s3", "gcs": "gs", "abfss": "abfs"}


def lineage_of(result: Mapping[str, Any]) -> OperatorLineage[Any, Any]:
    """What a task's return value says of its files: name, size, and hash as the version.

    A file that was not landed is no dataset: its URL leads nowhere after a while.
    """
    files = result.get("files") or (result,)
    request_id = result.get("request_id")
    query = external_query_run.ExternalQueryRunFacet(externalQueryId=str(request_id), source="segmind")
    return OperatorLineage(
        outputs=[_dataset(file) for file in files if file.get("uri")],
        run_facets={"externalQuery": query} if request_id else {},
    )


def _dataset(file: Mapping[str, Any]) -> OutputDataset:
    namespace, name = _name(str(file["uri"]))
    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(file["sha256"]))
    size = OutputStatisticsOutputDatasetFacet(size=file["bytes"], fileCount=1)
    return OutputDataset(
        namespace=namespace, name=name, facets={"version": version}, outputFacets={"outputStatistics": size}
    )


def _name(uri: str) -> tuple[str, str]:
    """As OpenLineage's naming has it, but that Azure's storage account is in the connection alone."""
    scheme, _, path = uri.partition("://")
    if scheme == "file":
        # A path may hold what ends the path of a URI.
        return "file", path
    parts = urlsplit(uri)
    return f"{_SCHEMES.get(parts.scheme, parts.scheme)}://{parts.netloc}", parts.path.lstrip("/")
