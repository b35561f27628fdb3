"""Charts: well-formed, to scale, and without a mark for what wasn't measured."""

from xml.etree import ElementTree

import pytest

from questions_gen.report.charts import charts
from questions_gen.report.drawing import bars, lines, ticks
from questions_gen.report.plots import PLOTS, alone
from questions_gen.report.summary import LOG_ADDRESSES, MODELS
from tests.report.sample_logs import log, sample_logs


def widths(svg):
    return [float(rect.get("width")) for rect in ElementTree.fromstring(svg).iter("rect")]


def texts(svg):
    return [text.text for text in ElementTree.fromstring(svg).iter("text")]


def test_bars_are_to_scale_and_say_their_values():
    svg = bars("t", {"gate": {"base": alone(0.25), "sft": alone(0.5), "grpo": alone(1.0)}})
    quarter, half, whole = widths(svg)
    assert (half, whole) == (2 * quarter, 4 * quarter)
    assert texts(svg) == ["gate", "base", "0.25", "sft", "0.5", "grpo", "1"]


def test_what_was_not_measured_is_a_dash_and_no_bar():
    svg = bars("t", {"gate": {"base": None, "sft": alone(0.0)}})
    assert widths(svg) == [0.0]
    assert texts(svg) == ["gate", "base", "–", "sft", "0"]


def test_an_interval_is_drawn_where_there_is_one():
    def drawn(found):
        return bars("t", {"a": {"b": found}}).count('class="interval"')

    assert drawn(alone(0.5) | {"low": 0.25, "high": 0.75}) == 1
    assert drawn(alone(0.5)) == 0


def test_a_line_is_broken_where_nothing_was_measured():
    svg = lines("t", {"a": [(1, 0.5), (2, None), (3, 0.25), (4, 0.5)], "b": [(1, None)]}, x_label="step")
    runs = [line.get("points").split() for line in ElementTree.fromstring(svg).iter("polyline")]
    assert [len(run) for run in runs] == [1, 2]
    assert "nothing was measured" in lines("t", {"a": [(1, None)]}, x_label="step")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (1.3, 2.75), (-0.2, 0.1), (0.0012, 0.0013), (1, 3000), (2.5, 2.6), (0, 9.99)]
)
def test_ticks_hold_the_values(low, high):
    found = ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert 3 <= len(found) <= 8
    assert found == sorted(set(found))


def test_names_are_escaped():
    assert texts(bars("<t>", {"<b>": {"&": alone(1.0)}})) == ["<b>", "&", "1"]
    ElementTree.fromstring(lines("<t>", {"<b>": [(1, 1.0)]}, x_label="&"))


@pytest.mark.parametrize("logs", [sample_logs(), {address: log({}) for address in LOG_ADDRESSES}])
def test_every_plot_of_dvc_has_a_chart_also_without_numbers(logs):
    drawn = charts(logs, {})
    assert len(drawn) == len(PLOTS)
    for chart in drawn:
        assert ElementTree.fromstring(chart.svg).get("aria-label") == chart.title
    assert all(model in texts(drawn[0].svg) for model in MODELS)
