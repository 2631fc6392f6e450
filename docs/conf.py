"""The documentation site: ``sphinx-build -W -n -b html docs docs/_build/html``. Needs no network."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# Autodoc imports the operators, and Airflow makes its home when it is imported: not in the reader's.
_HOME = tempfile.mkdtemp(prefix="airflow-ltx-docs-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update({"AIRFLOW_HOME": _HOME, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"})

import airflow_ltx  # noqa: E402

project = "airflow-provider-ltx"
copyright = "the authors of airflow-provider-ltx; Apache-2.0"  # noqa: A001 - the name that Sphinx reads
version = release = airflow_ltx.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Other people's names: to link them would need their inventories, and so the network.
    (
        "py:.*",
        r"(airflow|asyncio|collections|datetime|enum|httpx|pathlib|tenacity|types|typing)\..*",
    ),
    # The same, as they stand in annotations that are not evaluated.
    ("py:class", "BaseOperator|Context|PokeReturnValue|TaskInstanceKey"),
    # What can be uploaded, an alias: Path | str | bytes.
    ("py:class", "File"),
    # Values inside the emulator that its public classes carry along.
    ("py:class", r"airflow_ltx\.emulator\.(jobs\.Job|resolution\.VideoPlan)"),
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_maximum_signature_line_length = 72

html_theme = "furo"
html_title = f"LTX-Video for Airflow {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False


def _legible_defaults(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    # "<factory>" is no Python: Sphinx then gives up reading the types of the whole signature.
    return (signature.replace("<factory>", "...") if signature else signature), returns


def _by_its_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Node
) -> Node | None:
    """Resolve a docstring's ``:class:`Name``` that its module imports: the only thing of that name."""
    if node.get("refdomain") != "py":
        return None
    node["refspecific"] = True
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], node["reftarget"], node, text
    )


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-signature", _legible_defaults)
    app.connect("missing-reference", _by_its_last_name)
