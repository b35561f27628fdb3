"""Strict params: every problem of a file at once, by name."""

from pathlib import Path

import pytest

from questions_gen.params import ParamsError, Section, Seed, Share, load_params, load_yaml


class Inner(Section):
    warmth: Share


class Training(Section):
    steps: int
    learning_rate: float
    inner: Inner


SECTIONS = {"training": Training, "seed": Seed}
GOOD = "training:\n  steps: 3\n  learning_rate: 2e-5\n  inner: {warmth: 0.5}\nseed: 7\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_values_come_back_typed(tmp_path: Path) -> None:
    params = load_params(SECTIONS, write(tmp_path, GOOD))
    assert params["training"].learning_rate == 2e-5
    assert params["training"].inner.warmth == 0.5
    assert params["seed"] == 7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("steps: 3", "stepz: 3"), "training.stepz: unknown key; did you mean 'steps'?"),
        (("steps: 3", "stepz: 3"), "training.steps: missing"),
        (("steps: 3", "steps: three"), "training.steps: input should be a valid integer"),
        (("steps: 3", "steps: 3.5"), "training.steps: input should be a valid integer"),
        (("steps: 3", "steps: yes"), "training.steps: input should be a valid integer"),
        (("2e-5", "fast"), 'training.learning_rate: input should be a valid number (found "fast")'),
        (("2e-5", ".nan"), "training.learning_rate: input should be a valid number"),
        (("warmth: 0.5", "warmth: 1.5"), "training.inner.warmth: input should be less than or equal to 1 (found 1.5)"),
        (("warmth: 0.5", "warmht: 0.5"), "training.inner.warmht: unknown key; did you mean 'warmth'?"),
        (("seed: 7", "seed: -7"), "seed: input should be greater than or equal to 0 (found -7)"),
        (("seed: 7", "sed: 7"), "seed: the section is missing"),
        (("seed: 7", "sed: 7"), "sed: unknown section; did you mean 'seed'?"),
        (("seed: 7", "seed: 7\nseed: 8"), "the key 'seed' stands twice"),
        (("inner: {warmth: 0.5}", "inner: [1]"), "training.inner: "),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    with pytest.raises(ParamsError) as error:
        load_params(SECTIONS, write(tmp_path, GOOD.replace(*change)), whole=True)
    assert expected in str(error.value)


def test_all_problems_are_told_together(tmp_path: Path) -> None:
    text = GOOD.replace("steps: 3", "stepz: 3").replace("2e-5", "fast").replace("seed: 7", "seed: -1")
    with pytest.raises(ParamsError) as error:
        load_params(SECTIONS, write(tmp_path, text))
    assert len(error.value.problems) == 4
    assert "4 problems" in str(error.value)


def test_floats_of_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 2e-5\nb: 5e-06\nc: 1.5E+3\nd: 3\ne: 1e3\nf: v2e-5\n")
    assert load_yaml(path) == {"a": 2e-5, "b": 5e-6, "c": 1500.0, "d": 3, "e": 1000.0, "f": "v2e-5"}


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [1\n", "a: !!python/object/apply:os.system ['true']\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load_yaml(write(tmp_path, text))
