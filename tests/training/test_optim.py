"""Our optimizers against torch.optim over many steps; Muon's steps are orthogonal, and its weights keep their length."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from foveola.training.config import FitSpec
from foveola.training.optim import Adam, Group, Muon, Nesterov, make_optimizer, orthogonal


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


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_many_iterations_bring_all_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(matrix, iterations=10))
    assert values.min() > 0.65 and values.max() < 1.25


def test_the_step_has_the_gradients_own_singular_vectors():
    # The oracle is the decomposition itself: U^T X V must be diagonal, with a positive diagonal.
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float32)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonal(matrix) @ v.T
    assert torch.allclose(turned, torch.diag(turned.diagonal()), atol=1e-4)
    assert (turned.diagonal() > 0).all()


def test_one_iteration_is_the_quintic_worked_out_by_hand():
    # A 1x1 matrix is its sign: after one iteration 3.4445 - 4.7750 + 2.0315 = 0.701.
    assert orthogonal(torch.tensor([[-5.0]]), iterations=1).item() == pytest.approx(-0.701, abs=1e-6)


def test_a_zero_gradient_gives_no_step_and_no_nan():
    assert torch.equal(orthogonal(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_a_step_first_gives_the_weight_its_length_and_then_moves_it():
    weight = torch.full((4, 2, 3, 3), 0.7)
    weight.grad = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    change = orthogonal(weight.grad.clone().mul(1.6).flatten(1)).view(4, 2, 3, 3)
    Muon([weight], Nesterov([]), momentum=0.6).step(0.1)
    expected = torch.full((4, 2, 3, 3), 0.7) * 2 / (0.7 * 72**0.5) - 0.1 * change
    assert torch.allclose(weight, expected, atol=1e-6)
    assert weight.grad is None


def test_only_convolutions_that_mix_channels_and_learn_are_muons():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 5, 1),
        nn.Flatten(),
        nn.Linear(5, 2),
    )
    model[3].weight.requires_grad_(False)
    optimizer = make_optimizer(model, FitSpec(optimizer="muon"))
    assert [w is model[0].weight for w in optimizer.weights] == [True]
    others, norms = optimizer.rest.groups
    assert len(others.parameters) == 6  # two convolution biases and one frozen's, the depthwise weight, the head's two
    assert len(norms.parameters) == 2


def test_the_rest_takes_the_steps_of_nesterov():
    torch.manual_seed(4)
    mine, other = (nn.Linear(3, 2) for _ in range(2))
    other.load_state_dict(mine.state_dict())
    muon = Muon([], Nesterov([Group(list(mine.parameters()), 0.1)], 0.6))
    nesterov = Nesterov([Group(list(other.parameters()), 0.1)], 0.6)
    for _ in range(3):
        for layer, optimizer in ((mine, muon), (other, nesterov)):
            layer(torch.ones(1, 3)).square().sum().backward()
            optimizer.step(0.05)
    assert torch.equal(mine.weight, other.weight)


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_the_iteration_on_small_matrices_is_the_sources_on_the_long_one(shape):
    a, b, c = 3.4445, -4.7750, 2.0315
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    x = matrix.double() / matrix.double().norm()
    for _ in range(3):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    assert torch.allclose(orthogonal(matrix), x.float(), atol=1e-5)


def test_a_weight_of_its_own_length_keeps_it_and_moves_by_its_share():
    # |W| = 0.7 sqrt(72), of which sqrt(4) = 2 is the unit: all steps are 0.35 sqrt(72) times as long.
    weight = torch.full((4, 2, 3, 3), 0.7)
    weight.grad = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    change = orthogonal(weight.grad.clone().mul(1.6).flatten(1)).view(4, 2, 3, 3)
    Muon([weight], Nesterov([]), momentum=0.6, own_length=[weight]).step(0.1)
    expected = torch.full((4, 2, 3, 3), 0.7) - 0.1 * 0.35 * 72**0.5 * change
    assert torch.allclose(weight, expected, atol=1e-6)


def test_a_network_with_biases_answers_the_same_after_a_step_of_no_length():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    optimizer = make_optimizer(model, FitSpec(optimizer="muon"))
    before = model(images)
    before.square().sum().backward()
    optimizer.step(0.0)
    assert torch.allclose(model(images), before, atol=1e-6)


def test_a_weight_of_zeros_with_a_bias_can_still_learn():
    layer = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(layer.weight)
    optimizer = make_optimizer(layer, FitSpec(optimizer="muon"))
    layer(torch.ones(1, 1, 1, 1)).sum().backward()
    optimizer.step(0.1)
    assert layer.weight.abs().min() > 0


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_each_stage_has_the_learning_rate_of_the_next_times_the_factor(optimizer):
    layers = OrderedDict(first=nn.Linear(2, 2), second=nn.Linear(2, 2), last=nn.Linear(2, 2))
    model, spec = nn.Sequential(layers), FitSpec(optimizer=optimizer, stage_lr_factor=0.5, momentum=0.0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    make_optimizer(model, spec).step(0.1)
    for name, parameter in model.named_parameters():
        share = {"first": 0.25, "second": 0.5, "last": 1.0}[name.partition(".")[0]]
        torch.testing.assert_close(before[name] - parameter.detach(), torch.full_like(parameter, 0.1 * share))


def test_norms_have_the_factor_of_their_stage_and_their_own():
    model = nn.Sequential(OrderedDict(first=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4), last=nn.Conv2d(4, 2, 1)))
    optimizer = make_optimizer(model, FitSpec(optimizer="sgd", stage_lr_factor=0.5, norm_lr_scale=10, weight_decay=0.1))
    found = [(len(group.parameters), group.lr_scale, group.weight_decay) for group in optimizer.groups]
    assert found == [(2, 1.0, 0.1), (2, 0.5, 0.1), (2, 5.0, 0.0)]
