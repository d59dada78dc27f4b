"""timm and torchvision are imported without torchvision's compiled operators."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def operators() -> Iterator[None]:
    """Schemas of those that a torch of another build lacks: importing torchvision (timm does) asks for them."""
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(  # type: ignore[no-untyped-call]
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    yield
    library._destroy()  # type: ignore[no-untyped-call]
