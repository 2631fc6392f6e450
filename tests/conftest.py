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

for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AIRFLOW__", "SEGMIND_"))]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        # A test that forgets its connection must not find somebody's cloud.
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_GCE_CHECK": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }
)

# A merge is judged by the same examples every time; people's own runs look for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")
