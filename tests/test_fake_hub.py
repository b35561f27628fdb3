"""The real clients publish to the fake Hub and read back what they published."""

from pathlib import Path

import pytest

from tests import fake_hub
from tests.fake_hub import TOKEN, FakeHub

hub = fake_hub.hub  # the fixture


def test_a_folder_is_published_tagged_and_read_back(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi, snapshot_download

    content = {"README.md": b"# Card\n", "adapter_model.safetensors": bytes(range(256)) * 20}
    for name, data in content.items():
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_bytes(data)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    api = HfApi()
    api.create_repo("me/adapter", exist_ok=True)
    commit = api.upload_folder(folder_path=tmp_path / "out", repo_id="me/adapter", commit_message="x").oid
    api.create_tag("me/adapter", tag="v1")
    assert hub.files("model", "me/adapter", "v1") == content
    assert len(hub.large) == 1, "only the weights went through LFS"
    read = Path(snapshot_download("me/adapter", revision="v1"))
    assert {path.name: path.read_bytes() for path in read.iterdir()} == content
    assert read.name == commit
    api.create_repo("me/adapter", exist_ok=True)


def test_a_dataset_is_pushed_and_loaded(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset, load_dataset

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    Dataset.from_dict({"x": [1, 2]}).push_to_hub("me/rows")
    assert load_dataset("me/rows", split="train").to_list() == [{"x": 1}, {"x": 2}]
    assert "data/train-00000-of-00001.parquet" in hub.files("dataset", "me/rows")


@pytest.mark.parametrize("token", [None, "hf_of_another"])
def test_nobody_else_may_write(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HfHubHTTPError):
        HfApi().create_repo("me/adapter")
    assert not hub.repos
