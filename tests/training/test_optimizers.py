"""Our optimizers against torch.optim, parameter by parameter, over many steps."""

import pytest
import torch

from foveola.training.optim import Adam, Group, Nesterov


def steps(make, apply, n=25):
    """Parameters after n steps on a fixed sequence of gradients and learning rates."""
    rng = torch.Generator().manual_seed(1)
    parameters = [torch.randn(4, 3, generator=rng), torch.randn(5, generator=rng)]
    optimizer = make(parameters)
    for k in range(n):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=rng)
        apply(optimizer, 0.1 / (1 + k))
    return parameters


def torchs(optimizer, lr):
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()


def ours(optimizer, lr):
    optimizer.step(lr)


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize(
    ("reference", "make"),
    [
        (
            lambda p, d: torch.optim.SGD(p, 0.1, momentum=0.85, nesterov=True, weight_decay=d),
            lambda p, d: Nesterov([Group(p, d)], 0.85),
        ),
        (lambda p, d: torch.optim.Adam(p, 0.1, eps=1e-7, weight_decay=d), lambda p, d: Adam([Group(p, d)])),
        (
            lambda p, d: torch.optim.AdamW(p, 0.1, eps=1e-7, weight_decay=d),
            lambda p, d: Adam([Group(p, d)], "decoupled"),
        ),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_an_optimizer_takes_torchs_steps(reference, make, decay):
    expected = steps(lambda p: reference(p, decay), torchs)
    found = steps(lambda p: make(p, decay), ours)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_groups_learning_rate_is_scaled():
    one, other = torch.zeros(1), torch.zeros(1)
    optimizer = Nesterov([Group([one]), Group([other], lr_scale=64.0)], momentum=0.0)
    one.grad, other.grad = torch.ones(1), torch.ones(1)
    optimizer.step(0.5)
    assert (one.item(), other.item()) == (-0.5, -32.0)


def test_a_step_forgets_the_gradients_and_skips_parameters_without_one():
    used, unused = torch.zeros(2), torch.ones(2)
    used.grad = torch.ones(2)
    Adam([Group([used, unused])]).step(0.1)
    assert used.grad is None
    assert unused.tolist() == [1, 1]
