"""The networks' tables against the numbers Keras prints for the course's, and the ways to add or misuse a network."""

import pytest
import torch
from torch import nn

from foveola.errors import UsageError
from foveola.models.build import adapt, build, summary
from foveola.models.fast import Whitening
from foveola.models.layers import Normalise
from foveola.models.registry import MODELS
from foveola.types import Size


@pytest.mark.parametrize(
    ("name", "side", "classes", "options", "parameters", "trainable"),
    [
        ("alexnet_mini", 224, 2, {}, 635_170, 634_978),
        ("vgg6", 32, 10, {}, 552_362, 551_466),
        ("vgg6", 32, 10, {"head_batchnorm": True}, 552_874, 551_722),
    ],
)
def test_the_courses_networks_have_keras_parameter_counts(name, side, classes, options, parameters, trainable):
    size = Size(side, side)
    found = summary(build(name, size, classes, options), size)
    assert (found.parameters, found.trainable) == (parameters, trainable)


def test_alexnet_minis_sides_shrink_as_tensorflows_do():
    size = Size(224, 224)
    shapes = {row.name: row.shape for row in summary(build("alexnet_mini", size, 2), size).rows}
    assert [shapes[name] for name in ("conv1", "pool1", "pool2", "conv5")] == [
        (56, 56, 32),
        (28, 28, 32),
        (14, 14, 64),
        (14, 14, 32),
    ]


@pytest.mark.parametrize("name", ["alexnet_mini", "vgg6", "fast"])
def test_every_network_takes_pictures_that_are_not_square(name):
    size = Size(64, 40)
    model = build(name, size, 3)
    assert model(torch.zeros(2, 3, 64, 40, dtype=torch.uint8)).shape == (2, 3)
    assert all(dict(model.named_modules())[stage] is not None for stage in model.stages)


def test_one_seed_gives_the_same_weights_and_two_give_others():
    first, again, other = (build("fast", Size(32, 32), 4, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_building_leaves_torchs_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build("vgg6", Size(32, 32), 10)
    assert torch.equal(torch.rand(3), expected)


def test_whitened_patches_are_uncorrelated_with_equal_variance():
    torch.manual_seed(0)
    smooth = nn.functional.avg_pool2d(torch.rand(200, 3, 34, 34), 3, stride=1)
    layer = Whitening()
    layer.adapt((smooth - smooth.mean()) / smooth.std())
    out = layer((smooth - smooth.mean()) / smooth.std())[:, :12].transpose(0, 1).flatten(1)
    covariance = torch.cov(out.detach())
    assert torch.allclose(covariance - torch.diag(covariance.diag()), torch.zeros(12, 12), atol=1e-2)
    # The source adds 5e-4 to every variance before dividing, so the smallest directions come out below 1.
    assert covariance.diag()[:4] == pytest.approx(torch.ones(4), abs=0.02)


def test_of_large_pictures_few_make_the_filters(monkeypatch):
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("foveola.models.fast.WHITENED_PIXELS", 4 * 16 * 16)
    model, layer = build("fast", Size(16, 16), 2), Whitening()
    adapt(model, images)
    layer.adapt(model.normalise(images[::2]))
    assert torch.equal(model.whitening.weight, layer.weight)


def test_the_whitening_layer_does_not_learn_and_nothing_goes_back_through_it():
    model = build("fast", Size(32, 32), 2)
    went_in = []
    model.block1.register_forward_pre_hook(lambda _, inputs: went_in.extend(inputs))
    model(torch.zeros((1, 3, 32, 32), dtype=torch.uint8)).sum().backward()
    assert [part.grad for part in model.whitening.parameters()] == [None, None]
    assert not went_in[0].requires_grad


@pytest.fixture
def registered():
    """Register a factory for one test."""
    added = []

    def add(name, factory):
        added.append(name)
        return MODELS.register(name)(factory)

    yield add
    for name in added:
        MODELS.unregister(name)


def tiny(*, size: Size, classes: int, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_users_plain_network_gets_the_pixels_normalised(registered):
    registered("tiny", tiny)
    model = build("tiny", Size(16, 16), 3, {"width": 5})
    adapt(model, torch.randint(100, 200, (20, 3, 16, 16), dtype=torch.uint8))
    assert isinstance(model[0], Normalise)
    assert 140 < model[0].mean.mean() < 160
    assert model(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)).shape == (2, 3)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_an_unknown_option_of_a_network_names_the_known_ones(registered):
    registered("tiny", tiny)
    with pytest.raises(UsageError) as refusal:
        build("tiny", Size(16, 16), 3, {"widht": 5})
    assert str(refusal.value) == "model tiny: unknown option 'widht' (did you mean 'width'?); known: width"


def test_a_wrong_value_of_an_option_says_what_it_must_be():
    with pytest.raises(UsageError) as refusal:
        build("vgg6", Size(32, 32), 3, {"head_batchnorm": "yes", "bn_momentum": 2.0})
    assert str(refusal.value) == (
        "model vgg6: head_batchnorm = 'yes' can't be used: it must be a valid boolean; "
        "bn_momentum = 2.0 can't be used: it must be less than 1"
    )


def test_an_unknown_network_is_named_with_its_nearest():
    with pytest.raises(UsageError) as refusal:
        build("vgg", Size(32, 32), 3)
    assert (
        str(refusal.value)
        == "unknown model 'vgg' (did you mean 'vgg6'?); known: alexnet_mini, fast, fast_l, fast_m, transfer, "
        "transfer_pair, vgg6"
    )


def test_a_taken_name_is_refused():
    with pytest.raises(UsageError) as refusal:
        MODELS.register("fast")(tiny)
    assert str(refusal.value) == "model 'fast' is registered already: choose another name"


def test_a_network_that_cannot_take_the_size_says_so(registered):
    registered("deep", lambda *, size, classes: nn.Sequential(nn.Conv2d(3, 2, 15), nn.MaxPool2d(4)))
    with pytest.raises(
        UsageError,
        match=r"^model deep can't take images of 8x8: .*; choose a larger --size, or the size that the network was made for$",
    ):
        build("deep", Size(8, 8), 3)


class OneSize(nn.Module):
    """Refuses images of another size by assertion, as networks of timm do."""

    def forward(self, images):
        assert images.shape[2] == 32, "Input height (8) doesn't match model (32)."
        return images.flatten(1)[:, :3]


def test_a_network_that_asserts_its_size_says_so(registered):
    registered("one", lambda *, size, classes: OneSize())
    with pytest.raises(UsageError) as refusal:
        build("one", Size(8, 8), 3)
    assert str(refusal.value) == (
        "model one can't take images of 8x8: Input height (8) doesn't match model (32); choose a larger --size, or the size "
        "that the network was made for"
    )


class Viewed(nn.Module):
    """Flattens by `view`, which maps whose channels lie last can't be."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4 * 6 * 6, 3)

    def forward(self, images):
        maps = self.convolution(images)
        return self.head(maps.view(len(maps), -1))


def test_a_network_that_could_not_take_a_batch_as_it_lies_is_refused_before_training(registered):
    registered("viewed", lambda *, size, classes: Viewed())
    with pytest.raises(
        UsageError, match=r"^model viewed can't take images of 8x8: view size .*\.reshape\(.*; mend it$"
    ):
        build("viewed", Size(8, 8), 3)


def test_the_smallest_size_of_a_users_network_is_known(registered):
    def factory(*, size, classes):
        network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))
        network.min_px = 8
        return network

    registered("any", factory)
    assert build("any", Size(32, 32), 3).min_px == 8


def test_a_network_with_another_number_of_outputs_is_refused(registered):
    registered("wrong", lambda *, size, classes: nn.Sequential(nn.Flatten(), nn.Linear(192, 7)))
    with pytest.raises(UsageError) as refusal:
        build("wrong", Size(8, 8), 3)
    assert str(refusal.value) == "model wrong gives an output of shape (1, 7) for one image: it must be (1, 3)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fast", "model fast needs images of at least 10x10; got 9x8: choose a larger --size"),
        ("vgg6", "model vgg6 needs images of at least 8x8; got 9x7: choose a larger --size"),
        ("transfer", "model transfer needs images of at least 32x32; got 9x8: choose a larger --size"),
    ],
)
def test_a_size_below_a_networks_least_is_refused(name, text):
    with pytest.raises(UsageError) as refusal:
        build(name, Size(7 if name == "vgg6" else 8, 9), 3)
    assert str(refusal.value) == text


def test_grey_pictures_whiten_as_well_in_bfloat16_as_in_float32():
    grey = torch.randint(0, 256, (64, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = grey.expand(-1, 3, -1, -1)
    model = build("fast", Size(16, 16), 2)
    adapt(model, images)
    pixels = model.normalise(images)
    exact = model.whitening(pixels)
    short = model.whitening.to(torch.bfloat16)(pixels.to(torch.bfloat16)).float()
    assert (exact.std(dim=(0, 2, 3)) > 0.5).all()
    assert (short - exact).norm() < 0.02 * exact.norm()


def test_pictures_of_one_colour_give_finite_answers_in_training():
    images = torch.full((8, 3, 16, 16), 7, dtype=torch.uint8)
    model = build("fast", Size(16, 16), 2).train()
    adapt(model, images)
    logits = model(images)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_parameters_of_layers_with_layers_inside_and_of_no_answer_are_counted():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.zeros(3, 4, 4))  # 48
            self.norm = nn.BatchNorm2d(3)  # 6 that learn and 6 that do not
            self.head = nn.Linear(48, 2)  # 98
            self.aux = nn.Linear(3, 2)  # 8, never run

        def forward(self, images):
            return self.head((self.norm(images.float()) + self.place).flatten(1))

    found = summary(Placed(), Size(4, 4))
    assert (found.parameters, found.trainable) == (48 + 12 + 98 + 8, 48 + 6 + 98 + 8)
