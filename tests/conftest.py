"""Every test process has an Airflow home of its own, and no way to reach anything but loopback.

Set before Airflow is imported anywhere, since its configuration is read at import.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import hypothesis

from segmind_service import segmind  # noqa: F401 - a fixture

_HOME = tempfile.mkdtemp(prefix="airflow-ltx-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

_FOREIGN = (
    *("AIRFLOW_", "SEGMIND_"),
    *("AWS_", "BOTO_"),
    *("GOOGLE_", "GCLOUD_", "GCP_", "GCE_", "GCS", "CLOUDSDK_"),
    *("AZURE_", "IDENTITY_", "IMDS_", "MSI_"),
    "FSSPEC_",
)
_NOWHERE = "http://127.0.0.1:1"

for _name in [name for name in os.environ if name.startswith(_FOREIGN)]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        # A test that forgets its connection must not find somebody's cloud: neither an address nor a key.
        "AWS_ENDPOINT_URL": _NOWHERE,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": f"{_HOME}/no-aws-credentials",
        "AWS_CONFIG_FILE": f"{_HOME}/no-aws-config",
        "STORAGE_EMULATOR_HOST": _NOWHERE,
        "CLOUDSDK_CONFIG": f"{_HOME}/no-gcloud",
        "NO_GCE_CHECK": "true",
        "GCE_METADATA_HOST": "127.0.0.1:1",
        "AZURE_CONFIG_DIR": f"{_HOME}/no-azure",
        "FSSPEC_CONFIG_DIR": f"{_HOME}/no-fsspec",
        # Read when gcsfs is imported: else it asks Google over gRPC what kind of bucket it has.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        "NO_PROXY": "127.0.0.1,localhost",
    }
)

# A merge is judged by the same examples every time; people's own runs look for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")
