"""What the events of a task's outlets are told of its file."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.definitions.asset import AssetUniqueKey
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_ltx.operators._assets import tell_outlets

RESULT = {"uri": "s3://bucket/a.mp4", "request_id": "the-id", "sha256": "a" * 64, "cost": 0.5, "seed": 7}
TOLD = {name: RESULT[name] for name in ("uri", "request_id", "sha256", "cost")}
VIDEOS = Asset(name="videos", uri="x://somewhere/videos")
BY_NAME, BY_URI = Asset.ref(name="videos"), Asset.ref(uri=VIDEOS.uri)


@pytest.fixture
def events(monkeypatch):
    """Airflow's own, with what its database would say of an asset that is named by reference."""
    known = {ref: (AssetUniqueKey.from_asset(VIDEOS), {}) for ref in (BY_NAME, BY_URI)}
    monkeypatch.setattr(OutletEventAccessors, "_asset_ref_cache", known)
    return OutletEventAccessors()


@pytest.mark.parametrize("outlet", [VIDEOS, BY_NAME, BY_URI], ids=["asset", "name", "uri"])
def test_an_asset_is_told_however_it_is_declared(events, outlet):
    tell_outlets([outlet], events, RESULT)
    assert events[VIDEOS].extra == TOLD


def test_an_alias_gets_an_asset_for_each_file(events):
    files = [{"uri": f"s3://bucket/{name}.mp4", "sha256": name * 64} for name in "ab"]
    tell_outlets([AssetAlias("each")], events, {**RESULT, "files": files})
    told = events[AssetAlias("each")].asset_alias_events
    assert [each.dest_asset_key.uri for each in told] == [file["uri"] for file in files]
    assert [each.extra for each in told] == [{**TOLD, **file} for file in files]


def test_files_of_different_names_are_different_assets(events):
    names = ["take#1/a", "take#2/a", "take%231/a", "what?b=1&a=2/a", "what?a=2&b=1/a", "take/a"]
    for name in names:
        tell_outlets([AssetAlias("each")], events, {**RESULT, "uri": f"file:///data/{name}.mp4"})
    told = events[AssetAlias("each")].asset_alias_events
    assert len({each.dest_asset_key.uri for each in told}) == len(names)
    assert [each.extra["uri"] for each in told] == [f"file:///data/{name}.mp4" for name in names]


def test_an_outlet_that_cannot_be_told_keeps_no_other_from_being_told(events, monkeypatch):
    unknown = Asset.ref(name="unheard of")

    def nobody_knows(self, **given):
        raise RuntimeError("there is no such asset")

    monkeypatch.setattr(OutletEventAccessors, "_get_asset_from_db", nobody_knows)
    with pytest.raises(ExceptionGroup) as caught:
        tell_outlets([unknown, VIDEOS, unknown, AssetAlias("each")], events, RESULT)
    assert len(caught.value.exceptions) == 2
    assert events[VIDEOS].extra == TOLD
    assert len(events[AssetAlias("each")].asset_alias_events) == 1
