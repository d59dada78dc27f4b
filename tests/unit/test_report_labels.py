"""Labels of a plot cover neither each other nor the points."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.report_html.labels import CHARACTER, LINE, Box, place_labels

BOUNDS: Box = (0, 0, 400, 300)


def boxes(points: list[tuple[float, float]], texts: list[str]) -> list[Box]:
    offsets = place_labels(points, texts, bounds=BOUNDS)
    return [
        (x + dx, y + dy - LINE / 2, x + dx + CHARACTER * len(text), y + dy + LINE / 2)
        for (x, y), (dx, dy), text in zip(points, offsets, texts, strict=True)
    ]


def meet(one: Box, other: Box) -> bool:
    return min(one[2], other[2]) > max(one[0], other[0]) and min(one[3], other[3]) > max(one[1], other[1])


@given(st.lists(st.tuples(st.floats(150, 250), st.floats(100, 200)), min_size=1, max_size=7))
def test_seven_points_close_together_keep_their_labels_apart(points: list[tuple[float, float]]) -> None:
    found = boxes(points, ["quantize"] * len(points))
    assert not any(meet(one, other) for place, one in enumerate(found) for other in found[:place])


def test_labels_stay_inside_the_plot() -> None:
    for left, bottom, right, top in boxes([(0, 0), (400, 300), (0, 300), (400, 0)], ["baseline"] * 4):
        assert left >= 0
        assert right <= 400
        assert bottom >= 0
        assert top <= 300
