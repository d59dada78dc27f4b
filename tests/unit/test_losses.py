"""What training minimises, by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from edgekit.stages.losses import classification_loss, distillation_loss, loss_of, segmentation_loss


def test_one_class_is_half_the_cross_entropy_and_the_dice_of_each_picture() -> None:
    logits = torch.tensor([0.0, math.log(3), 0.0, 0.0]).reshape(2, 1, 1, 2)  # shares ½, ¾ and ½, ½
    masks = torch.tensor([[[0, 1]], [[0, 0]]], dtype=torch.uint8)
    entropy = (math.log(2) + math.log(4 / 3) + 2 * math.log(2)) / 4
    first, second = 1 - (2 * 0.75 + 1e-5) / (1.25 + 1 + 1e-5), 1 - 1e-5 / (1 + 1e-5)
    assert float(segmentation_loss(logits, masks, 0.0)) == pytest.approx(0.5 * entropy + (first + second) / 2)


def test_several_classes() -> None:
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4), dtype=torch.uint8)
    shares = logits.softmax(1)
    dice = []
    for picture in range(2):
        for index in range(3):
            there = (classes[picture] == index).float()
            share = shares[picture, index]
            dice.append((2 * (share * there).sum() + 1e-5) / (share.sum() + there.sum() + 1e-5))
    expected = F.cross_entropy(logits, classes.long()) + 1 - torch.stack(dice).mean()
    assert float(segmentation_loss(logits, classes, 0.0)) == pytest.approx(float(expected))


def test_right_answers_cost_nothing() -> None:
    masks = torch.tensor([[[0, 1], [1, 1]]], dtype=torch.uint8)
    assert float(segmentation_loss((masks[:, None].float() - 0.5) * 100, masks, 0.0)) < 1e-4


def test_classes_are_smoothed_as_told() -> None:
    logits, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    smoothed = F.cross_entropy(logits, targets, label_smoothing=0.1)
    assert classification_loss(logits, targets, 0.1) == smoothed != classification_loss(logits, targets, 0.0)
    assert loss_of("classification") is classification_loss
    assert loss_of("segmentation") is segmentation_loss


def test_distillation_is_the_divergence_from_the_teacher() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    p, q = (teacher / 2).softmax(1), (student / 2).softmax(1)
    expected = 4 * (p * (p / q).log()).sum() / 5
    assert float(distillation_loss(student, teacher, 2.0)) == pytest.approx(float(expected), rel=1e-5)
    assert float(distillation_loss(teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-6)


def test_one_class_is_distilled_as_a_choice_at_each_pixel() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    two = [
        torch.cat([logits, torch.zeros_like(logits)], 1).movedim(1, -1).reshape(-1, 2)
        for logits in (student, teacher)
    ]
    expected = distillation_loss(two[0], two[1], 3.0)
    assert float(distillation_loss(student, teacher, 3.0)) == pytest.approx(float(expected), rel=1e-5)
