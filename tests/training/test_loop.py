"""The loop: it learns, it repeats to the last bit, it stops at nonsense and says which setting is to blame."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from foveola.compute import device as devices
from foveola.data.loader import Batches
from foveola.errors import DivergedError, ResourceError, UsageError
from foveola.evaluation.forward_pass import predict
from foveola.evaluation.inputs import Views
from foveola.models.build import adapt, build
from foveola.models.registry import MODELS
from foveola.training.config import FitSpec, schedule
from foveola.training.history import EpochLog, StepLog
from foveola.training.loop import _forward_backward, fit, resize_batch
from foveola.training.optim import Adam, Nesterov, make_optimizer
from foveola.types import Size

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stripes():
    """120 pictures of 16x16: class 0 has horizontal stripes, class 1 vertical ones, both with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    pixels = rng.integers(0, 120, (120, 16, 16, 3))
    pixels[labels == 0, ::4] += 120
    pixels[labels == 1, :, ::4] += 120
    return pixels.astype(np.uint8), labels.astype(np.int64)


def history(stripes, spec, seed=0, dtype=torch.float32, images_in=None):
    pixels, labels = stripes
    how = {"flip": spec.flip, "translate_px": spec.translate_px, "epoch_images": spec.epoch_images, "seed": seed}
    train = Batches(pixels, labels, np.arange(80), spec.batch_size, **how)
    model = build("fast", Size(16, 16), 2, {"width1": 8, "width2": 16, "width3": 16}, seed=seed)
    adapt(model, train.sample(80))
    val = Batches(pixels, labels, np.arange(80, 120), 16)
    return list(fit(model, train, val, spec, device=CPU, dtype=dtype, seed=seed, images_in=images_in)), model


def epochs(rows):
    return [row._replace(seconds=0.0, val_seconds=0.0) for row in rows if isinstance(row, EpochLog)]


SPEC = FitSpec(epochs=3, batch_size=16, lr_peak=0.01, translate_px=1)


def test_a_network_learns_to_tell_stripes_apart(stripes):
    rows, _ = history(stripes, FitSpec(epochs=6, batch_size=16, lr_peak=0.01, flip=False))
    assert epochs(rows)[-1].val_accuracy >= 0.95
    assert epochs(rows)[-1].train_loss < epochs(rows)[0].train_loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_seed_gives_the_same_history_to_the_last_bit(stripes, dtype):
    first, second = (history(stripes, SPEC, dtype=dtype) for _ in range(2))
    assert epochs(first[0]) == epochs(second[0])
    for mine, other in zip(first[1].parameters(), second[1].parameters(), strict=True):
        assert torch.equal(mine, other)


def test_another_seed_gives_another_history(stripes):
    assert epochs(history(stripes, SPEC)[0]) != epochs(history(stripes, SPEC, seed=1)[0])


def test_dropout_is_drawn_from_the_seed_and_leaves_torchs_random_state_alone(stripes):
    pixels, labels = stripes
    train = Batches(pixels, labels, np.arange(80), 16)
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    model = build("vgg6", Size(16, 16), 2)
    rows = fit(model, train, train, FitSpec(epochs=1, batch_size=16), device=CPU, dtype=torch.float32, seed=0)
    next(rows)
    assert torch.equal(torch.rand(4), expected)


def test_every_step_and_every_epoch_has_its_row(stripes):
    rows, _ = history(stripes, SPEC)
    steps = [row for row in rows if isinstance(row, StepLog)]
    assert [row.step for row in steps] == list(range(1, 16))
    assert {row.total_steps for row in steps} == {15}
    assert [(row.epoch, row.step) for row in epochs(rows)] == [(1, 5), (2, 10), (3, 15)]


def test_measuring_val_is_a_part_of_the_epochs_seconds(stripes):
    rows, _ = history(stripes, SPEC)
    assert all(0 < row.val_seconds < row.seconds for row in rows if isinstance(row, EpochLog))


def test_train_loss_is_the_mean_of_the_steps_losses(stripes):
    rows, _ = history(stripes, SPEC)
    losses = [row.loss for row in rows if isinstance(row, StepLog) and row.epoch == 2]
    assert epochs(rows)[1].train_loss == pytest.approx(np.mean(losses))


def test_shares_are_of_the_epochs_pictures_when_an_epoch_is_no_pass(stripes):
    rows, _ = history(stripes, FitSpec(epochs=2, batch_size=16, lr_peak=0.01, epoch_images=100))
    assert [row.step for row in epochs(rows)] == [7, 14]
    for row in epochs(rows):
        assert 0 < row.train_accuracy <= 1
        assert row.train_accuracy * 100 == pytest.approx(round(row.train_accuracy * 100))


def test_epochs_of_lengths_of_their_own_share_the_run_evenly(stripes):
    # 80, 32 and 48 pictures by 16 are 5, 2 and 3 steps; the rate falls from 1 by thirds of the run, not by steps.
    spec = FitSpec(epochs=3, batch_size=16, lr_peak=0.01, schedule="one-cycle")
    rows, _ = history(stripes, spec, images_in={1: 80, 2: 32, 3: 48}.__getitem__)
    assert [row.step for row in epochs(rows)] == [5, 7, 10]
    last_steps = (4 / 5, 1 + 1 / 2, 2 + 2 / 3)
    assert [row.lr for row in epochs(rows)] == pytest.approx([0.01 * (1 - done / 3) for done in last_steps])


def test_how_many_steps_there_will_be_follows_the_epochs_lengths(stripes):
    rows, _ = history(stripes, SPEC, images_in={1: 80, 2: 32, 3: 48}.__getitem__)
    totals = {row.epoch: row.total_steps for row in rows if isinstance(row, StepLog)}
    assert totals == {1: 15, 2: 5 + 2 * 2, 3: 7 + 3}


def test_losses_are_plain_cross_entropy_whatever_the_label_smoothing(stripes):
    smooth = FitSpec(epochs=8, batch_size=16, lr_peak=0.01, flip=False, label_smoothing=0.3)
    rows, _ = history(stripes, smooth)
    # Smoothed targets alone have an entropy of 0.42 nats here: a smoothed loss could not fall below it.
    assert epochs(rows)[-1].train_loss < 0.42


def test_a_learning_rate_too_high_is_named_when_the_loss_is_lost(stripes):
    with pytest.raises(DivergedError) as refusal:
        history(stripes, FitSpec(epochs=3, batch_size=16, optimizer="sgd", lr_peak=1e30))
    assert str(refusal.value) == (
        "the loss became nan in epoch 1, step 2: fit.lr_peak = 1e+30 is the likely cause; try --set fit.lr_peak=0.1"
    )


def test_a_loss_that_the_last_step_lost_is_seen_on_val(stripes):
    with pytest.raises(DivergedError) as refusal:
        history(stripes, FitSpec(epochs=1, batch_size=80, optimizer="sgd", lr_peak=1e30))
    assert str(refusal.value) == (
        "the loss became nan in epoch 1, step 1: fit.lr_peak = 1e+30 is the likely cause; try --set fit.lr_peak=0.1"
    )


@pytest.mark.parametrize("sizes", [{"batch_size": 1}, {"batch_size": 2}, {"batch_size": 4, "micro_batch_size": 1}])
def test_a_single_picture_at_a_batch_norm_is_refused(stripes, sizes):
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.BatchNorm2d(3), nn.Linear(3, 2)

        def forward(self, images):
            return self.head(self.norm(images.float().mean(dim=(2, 3), keepdim=True)).flatten(1))

    pixels, labels = stripes
    train = Batches(pixels, labels, np.arange(79), sizes["batch_size"])
    with pytest.raises(UsageError) as refusal:
        list(fit(Normed(), train, train, FitSpec(epochs=1, **sizes), device=CPU, dtype=torch.float32, seed=0))
    assert str(refusal.value) == (
        "a batch or micro-batch contains a single image, and batch norm needs more than one value per channel: set "
        "fit.batch_size, and fit.micro_batch_size if you use it, to 3 or more"
    )


def test_a_usual_learning_rate_in_short_precision_puts_the_blame_on_the_precision(stripes):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, images):
            return torch.full((len(images), 2), float("nan")) * self.weight

    pixels, labels = stripes
    train = Batches(pixels, labels, np.arange(80), 16)
    with pytest.raises(DivergedError) as refusal:
        list(fit(Broken(), train, train, FitSpec(epochs=1), device=CPU, dtype=torch.bfloat16, seed=0))
    assert str(refusal.value) == (
        "the loss became nan in epoch 1, step 1: fit.precision = 'auto' is the likely cause; try --set fit.precision=float32"
    )


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("constant", [0.0, 0.5, 1.0, 1.0, 1.0]),
        ("cosine", [0.0, 0.5, 1.0, 0.75, 0.25]),
        ("one-cycle", [0.0, 0.5, 1.0, 2 / 3, 1 / 3]),
    ],
)
def test_schedules_go_through_their_points(kind, points):
    spec = FitSpec(schedule=kind, warmup_fraction=0.25)
    found = [schedule(spec, done) for done in (0.0, 0.125, 0.25, 0.5, 0.75)]
    assert found == pytest.approx(points)


def test_batch_norms_parameters_have_their_own_rate_and_no_decay():
    model = build("fast", Size(32, 32), 2)
    optimizer = make_optimizer(model, FitSpec(optimizer="sgd", weight_decay=0.1, norm_lr_scale=64, momentum=0.8))
    weights, norms = optimizer.groups
    assert isinstance(optimizer, Nesterov)
    assert (weights.weight_decay, weights.lr_scale, norms.weight_decay, norms.lr_scale) == (0.1, 1.0, 0.0, 64)
    assert {tuple(p.shape) for p in norms.parameters} == {(32,), (128,)}


def test_adamw_decouples_its_decay():
    optimizer = make_optimizer(build("vgg6", Size(32, 32), 2), FitSpec(optimizer="adamw"))
    assert isinstance(optimizer, Adam)
    assert optimizer.decay == "decoupled"


def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setattr(devices, "available_devices", lambda: ["cpu"])
    with pytest.raises(ResourceError) as refusal:
        devices.choose_device("cuda")
    assert (
        str(refusal.value)
        == "device 'cuda' is not available on this computer, which has cpu; use --set fit.device=auto"
    )


def test_a_device_that_is_none_is_refused():
    with pytest.raises(UsageError) as refusal:
        devices.choose_device("gpu")
    assert str(refusal.value) == "device 'gpu' is not known: choose auto, cpu, cuda, cuda:N or mps"


def test_bfloat16_that_would_be_emulated_is_refused_and_auto_takes_float32(monkeypatch):
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: False)
    with pytest.raises(ResourceError) as refusal:
        devices.choose_precision("bfloat16", CPU)
    assert str(refusal.value) == "cpu does not support bfloat16 on this machine: use --set fit.precision=float32"
    assert devices.choose_precision("auto", CPU) == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_recommended_recipe_repeats_to_the_last_bit(stripes, dtype):
    spec = FitSpec(**{**MODELS.entry("fast").fit, "epochs": 4, "batch_size": 16, "micro_batch_size": 8, "cutout_px": 4})
    first, second = (history(stripes, spec, dtype=dtype) for _ in range(2))
    assert epochs(first[0]) == epochs(second[0])
    for mine, other in zip(first[1].parameters(), second[1].parameters(), strict=True):
        assert torch.equal(mine, other)


def test_micro_batches_add_up_to_the_gradient_of_the_batch(stripes):
    # alexnet_mini has no batch norm and, in eval mode, no dropout: the mean of the parts must be the whole.
    pixels, labels = stripes
    images, wanted = torch.from_numpy(pixels[:10]).permute(0, 3, 1, 2), torch.from_numpy(labels[:10])
    gradients = []
    for parts in (1, 4, 2, 10):
        model = build("alexnet_mini", Size(64, 64), 2).eval()
        bigger = torch.nn.functional.interpolate(images, (64, 64))
        _, logits = _forward_backward(model, bigger, wanted, FitSpec(), torch.float32, parts)
        assert logits.shape == (10, 2)
        gradients.append([p.grad for p in model.parameters()])
    for other in gradients[1:]:
        assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(gradients[0], other, strict=True))


def test_small_pictures_go_through_in_as_few_parts_as_their_pixels_allow(stripes):
    seen = []
    pixels, labels = stripes
    model = build("fast", Size(32, 32), 2, {"width1": 8, "width2": 8, "width3": 8})
    model.register_forward_pre_hook(lambda m, inputs: seen.append(tuple(inputs[0].shape[::3])) if m.training else None)
    spec = FitSpec(epochs=1, batch_size=16, micro_batch_size=4, start_scale=0.5, whole_from=0.7, lr_peak=0.01)
    larger, labels = pixels[:64].repeat(2, axis=1).repeat(2, axis=2), labels[:64]
    train, val = (Batches(larger, labels, np.arange(n), 16) for n in (64, 4))
    list(fit(model, train, val, spec, device=CPU, dtype=torch.float32, seed=0))
    # 4 whole pictures at a time: as many pixels as 16 of a quarter's area, or 7 of nine sixteenths'.
    assert seen == [(16, 16), (16, 16), (6, 24), (5, 24), (5, 24), (4, 32), (4, 32), (4, 32), (4, 32)]


def test_pictures_begin_small_and_end_whole(stripes):
    seen = []
    pixels, labels = stripes
    model = build("fast", Size(32, 24), 2, {"width1": 8, "width2": 8, "width3": 8})
    model.register_forward_pre_hook(lambda m, inputs: seen.append(tuple(inputs[0].shape[2:])) if m.training else None)
    large = np.zeros((120, 32, 24, 3), np.uint8)
    large[:, :16, :16] = pixels
    train = Batches(large, labels, np.arange(100), 10)
    spec = FitSpec(epochs=1, batch_size=10, start_scale=0.5)
    list(fit(model, train, train, spec, device=CPU, dtype=torch.float32, seed=0))
    assert seen == [(16, 12)] * 4 + [(24, 18)] * 3 + [(32, 24)] * 3


def test_val_is_measured_at_the_size_of_the_training_images_and_in_the_end_on_whole_ones(stripes):
    spec = FitSpec(epochs=10, batch_size=40, start_scale=0.75, whole_from=0.7)
    scales = [row.val_scale for row in epochs(history(stripes, spec)[0])]
    assert scales == [0.75] * 3 + [0.875] * 3 + [1.0] * 4


def test_the_last_epoch_is_measured_on_whole_images_even_where_no_step_saw_any(stripes):
    spec = FitSpec(epochs=2, batch_size=40, start_scale=0.75, whole_from=1.0)
    assert [row.val_scale for row in epochs(history(stripes, spec)[0])] == [0.75, 1.0]


def test_no_side_shrinks_below_what_the_network_takes():
    images = torch.zeros((2, 3, 24, 12), dtype=torch.uint8)
    assert resize_batch(images, 0.5, 10).shape == (2, 3, 12, 10)
    assert resize_batch(images, 0.5, 40).shape == (2, 3, 24, 12)


def test_shrinking_is_antialiased_against_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mine = resize_batch(torch.from_numpy(pixels[None]).permute(0, 3, 1, 2), 0.5, 1)[0].permute(1, 2, 0).numpy()
    pillow = np.asarray(Image.fromarray(pixels).resize((8, 8), Image.Resampling.BILINEAR))
    assert np.abs(mine.astype(int) - pillow).max() <= 1


def test_a_network_of_one_size_refuses_small_beginnings(stripes):
    pixels, labels = stripes
    train = Batches(pixels, labels, np.arange(80), 16)
    rows = fit(
        build("vgg6", Size(16, 16), 2),
        train,
        train,
        FitSpec(epochs=1, start_scale=0.5),
        device=CPU,
        dtype=torch.float32,
        seed=0,
    )
    with pytest.raises(UsageError) as caught:
        next(rows)
    assert str(caught.value) == (
        "fit.start_scale = 0.5 starts with smaller images, but this network takes only one image size: set "
        "fit.start_scale to 1"
    )


def test_flips_at_test_time_are_the_mean_of_both_mirrorings(stripes):
    pixels, labels = stripes
    model = build("fast", Size(16, 16), 2)
    plain, mirrored = (Batches(p, labels, np.arange(20), 8) for p in (pixels, pixels[:, :, ::-1].copy()))
    mean = (predict(model, plain.in_order(), CPU) + predict(model, mirrored.in_order(), CPU)) / 2
    assert np.allclose(predict(model, plain.in_order(), CPU, views=Views(flips=True)), mean, atol=1e-6)


def test_views_average_the_picture_half_and_its_two_shifts_a_quarter_each(stripes):
    pixels, labels = stripes
    model = build("fast", Size(16, 16), 2, {"width1": 8, "width2": 16, "width3": 16}).eval()
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")

    def answers(some, **views):
        batches = Batches(np.ascontiguousarray(some), labels, np.arange(120), 32)
        return predict(model, batches.in_order(), CPU, views=Views(**views))

    plain, up, down = answers(pixels), answers(padded[:, :16, :16]), answers(padded[:, 2:, 2:])
    assert np.allclose(answers(pixels, shift_px=1), plain / 2 + up / 4 + down / 4, atol=1e-6)
    mirrored = [answers(some[:, :, ::-1]) for some in (pixels, padded[:, :16, :16], padded[:, 2:, 2:])]
    expected = (plain + mirrored[0]) / 4 + (up + mirrored[1]) / 8 + (down + mirrored[2]) / 8
    assert np.allclose(answers(pixels, flips=True, shift_px=1), expected, atol=1e-6)


def statistics(model):
    return [norm.running_mean.clone() for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]


@pytest.mark.parametrize("finetune", [True, False])
def test_fine_tuning_keeps_the_statistics_of_batch_norm(stripes, finetune):
    pixels, labels = stripes
    model = build("fast", Size(16, 16), 2, {"width1": 8, "width2": 16, "width3": 16})
    before = statistics(model)
    train, val = (Batches(pixels, labels, rows, 16) for rows in (np.arange(80), np.arange(80, 120)))
    spec = FitSpec(epochs=2, batch_size=16, lr_peak=0.01, finetune=finetune)
    for _ in fit(model, train, val, spec, device=CPU, dtype=torch.float32, seed=0):
        pass
    assert all(map(torch.equal, before, statistics(model))) is finetune


def test_val_is_measured_in_the_views_that_are_asked_for(stripes):
    pixels, labels = stripes
    train, val = (Batches(pixels, labels, rows, 16) for rows in (np.arange(80), np.arange(80, 120)))
    spec, views = FitSpec(epochs=1, batch_size=16, lr_peak=0.01), Views(flips=True)
    model = build("fast", Size(16, 16), 2, {"width1": 8, "width2": 16, "width3": 16})
    *_, row = fit(model, train, val, spec, device=CPU, dtype=torch.float32, seed=0, views=views)
    logits = torch.from_numpy(predict(model, val.in_order(), CPU, views=views))
    assert row.val_loss == pytest.approx(float(nn.functional.cross_entropy(logits, torch.from_numpy(labels[80:]))))
