"""The parts that labels are made of: classes, views, paths, and how little they hold."""

from __future__ import annotations

import pytest
import torch
from forms import SHAPE, form
from torch import Tensor, nn

from edgekit.graph.channels import channel_graph
from edgekit.graph.labels import label_channels
from edgekit.graph.labels.book import Book
from edgekit.graph.labels.reshaping import regroup
from edgekit.graph.labels.value import Value, label, path
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.graph.union_find import connected


def test_classes_are_named_by_their_smallest_label() -> None:
    chain = (torch.tensor([5, 7, 3, 9]), torch.tensor([7, 3, 9, 2]))
    classes = connected(10, [chain, (torch.tensor([1]), torch.tensor([8]))])
    assert classes.tolist() == [0, 1, 2, 2, 4, 2, 6, 2, 1, 2]


def test_classes_of_random_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randint(0, 300, (2, 200), generator=generator)
    classes = list(range(300))
    for one, two in zip(left.tolist(), right.tolist(), strict=True):
        kept, lost = sorted((classes[one], classes[two]))
        classes = [kept if each == lost else each for each in classes]
    assert connected(300, [(left, right)]).tolist() == classes


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((1, 12, 4, 4), (1, 2, 6, 4, 4), [([0], [0]), ([1], [1, 2]), ([2], [3]), ([3], [4])]),
        ((2, 6, 4), (12, 4), [([0, 1], [0]), ([2], [1])]),
        ((4, 6), (6, 4), [([0, 1], [0, 1])]),
        ((1, 8, 1, 1), (1, 8), [([0], [0]), ([1, 2, 3], [1])]),
        ((64, 1, 32), (64, 32), [([0], [0]), ([1, 2], [1])]),
        ((16,), (1, 16, 1), [([0], [0, 1, 2])]),
    ],
)
def test_a_view_is_taken_apart(
    before: tuple[int, ...], after: tuple[int, ...], groups: list[tuple[list[int], list[int]]]
) -> None:
    assert [(list(group.sources), list(group.targets)) for group in regroup(before, after)] == groups


def test_a_path_grows_by_a_cell_at_a_time() -> None:
    book = Book()
    book.label(("weight", 0), 4)
    once = book.step(torch.tensor([1, 2, 3, 4, 0]), torch.tensor([0, 0, 1, 1, 1]), "chunk")
    twice = book.step(once, torch.tensor([0, 1, 0, 1, 0]), "view")
    assert label(twice).tolist() == [1, 2, 3, 4, 0]
    assert path(once)[0] == path(once)[1] != path(once)[2]
    assert len(set(path(twice)[:4].tolist())) == 4
    assert twice[4] == 0  # what carries no channel has no path
    assert torch.equal(book.step(once, torch.tensor([0, 1, 0, 1, 0]), "view"), twice)


@pytest.mark.parametrize(
    ("name", "copies"),
    [
        ("resnet", 1),
        ("densenet", 1),
        ("unext", 1),
        ("swin", 4),
    ],  # Swin's merging lays four neighbours side by side
)
def test_labels_lie_along_channels_only(name: str, copies: int) -> None:
    walk = label_channels(trace(form(name), SHAPE))
    held = [value for value in walk.values.values() if isinstance(value, Value) and value.planes]
    assert held
    for value in held:
        for plane in value.planes:
            assert plane.tokens.numel() <= copies * len(torch.unique(label(plane.tokens)))


def test_an_unknown_operator_is_named_with_its_module() -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sort(x, dim=1).values

    layers = nn.Sequential(nn.Conv2d(3, 8, 1), Sorted(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    channels = channel_graph(trace(layers, SHAPE))
    frozen = {group.axes[0][0]: group.frozen for group in channels.groups}
    assert frozen["0.weight"] == "sort at 1 is not understood"
    assert frozen["2.weight"] == ""
    assert remove_channels(layers, channels, channels.producers()["2.weight"][:3]).difference <= 1e-12


def test_weights_under_two_names_are_one_layer() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.two = (nn.Conv2d(width, 8, 1) for width in (3, 8, 8))
            self.two.weight = self.one.weight
            self.head = nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(torch.relu(self.two(torch.relu(self.one(self.stem(x))))))
            return y

    module = Tied()
    channels = channel_graph(trace(module, SHAPE))
    pruned = remove_channels(module, channels, channels.groups[0].classes[:3])
    assert pruned.difference <= 1e-12
    tied = pruned.module.get_submodule("one")
    assert pruned.module.get_parameter("two.weight") is tied.weight
    assert tied.weight.shape == (5, 5, 1, 1)
