# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. A first deep network
#
# AlexNet won the ImageNet contest of 2012, and deep learning became famous with it. It had 60 million numbers to
# learn. The course's network is modelled on it and about a hundred times smaller: five convolutions, two hidden dense
# layers and an output, 635,170 numbers. This notebook builds it, counts it, trains it and measures it.
#
# As in the last notebook, `FOVEOLA_COURSE_FACES` names your folder. Without it, the notebook takes 357 images that are
# hard to tell apart: handwritten digits, 3 or 8, under so much noise that people make mistakes, too.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from scipy.stats import binomtest
from sklearn.datasets import load_digits

import foveola as fv


def noisy_digits():
    digits = load_digits()
    chosen = np.isin(digits.target, (3, 8))
    grey = digits.images[chosen]  # values from 0 to 16
    noisy = grey + np.random.default_rng(0).normal(0, 11, grey.shape)
    pixels = np.clip(np.rint(noisy * 255 / 16), 0, 255).astype(np.uint8)
    return fv.from_arrays(pixels, digits.target[chosen].astype(str), name="noisy digits")


given = os.environ.get("FOVEOLA_COURSE_FACES")
work = Path(mkdtemp())
data = given or noisy_digits()
size = "224x224" if given else "64x64"
flip = bool(given)  # a mirrored 3 is not a 3
epochs = 40
print(given or "noisy digits, 3 or 8", "at", size, "for", epochs, "epochs")

# %% [markdown]
# ## The layers
#
# A **convolution** is a set of kernels, as in the first notebook. But each kernel covers *all* channels of the previous
# layer and adds a number (the *bias*), and all its numbers are learned. **ReLU** turns negative values into 0. Without
# it, ten convolutions could do no more than a single one. **Pooling** keeps the largest of several neighbours and makes
# the maps smaller. **Batch norm** scales every channel to mean 0 and standard deviation 1 over the images of a batch,
# then to a mean and deviation that are learned. This makes training more stable. A **dense** layer connects every input
# with every output. **Dropout** sets half of the values to 0 at random during training, so that the network does not
# depend on single values.

# %%
table = fv.show("alexnet_mini", fv.Size(224, 224), 2)
print(f"{'layer':12} {'kind':14} {'output shape':16} {'parameters':>10}")
for row in table.rows:
    print(f"{row.name:12} {row.kind:14} {' x '.join(map(str, row.shape)):16} {row.parameters:10,}")
print(f"{'all':44} {table.parameters:10,}")

# %% [markdown]
# **What does a layer cost?** The first convolution has 32 kernels of 11 x 11 over 3 colours, and a bias for each:
# 32 x 11 x 11 x 3 + 32 = 11,648 parameters. Each kernel is laid over 56 x 56 places, so an image costs 56 x 56 x
# 32 x 11 x 11 x 3 = about 36 million multiplications; the biases are only added. The first dense layer is the opposite:
# many parameters, each used once. (Of the 128 parameters of `norm1` half are learned; the others are the channels'
# means and deviations, kept for the time after training.)

# %%
assert 32 * 11 * 11 * 3 + 32 == 11_648
multiplications = {}
for row in table.rows:
    if row.name.startswith("conv"):
        height, width, channels = row.shape
        weights = row.parameters - channels  # without the biases
        multiplications[row.name] = height * width * weights
assert multiplications["conv1"] == 56 * 56 * 32 * 11 * 11 * 3 == 36_427_776
for name, number in multiplications.items():
    print(f"{name}: {number / 1e6:.1f} million")

# %% [markdown]
# ## Training
#
# One *epoch* is one pass over the training images. After each epoch the network is measured on val. The network of the
# epoch that was best on val is kept. The test set is used once, at the end. All of this is one call:

# %%
settings = {"fit.flip": flip}
run = fv.train(
    data,
    model="alexnet_mini",
    size=size,
    epochs=epochs,
    settings=settings,
    out=work / "run",
    seed=0,
)
print(run.headline)

# %% [markdown]
# ## The curves
#
# On the left is the *loss*: how surprised the network is by the true classes, in nats. 0 means no surprise at all, and
# ln 2 = 0.69 is guessing between two. On the right is the accuracy. As long as both curves get better, the network learns
# something that holds for new images, too. If train keeps getting better and val does not, the network has begun to memorise
# the training images. That is **overfitting**. (Train is measured during training, with dropout, so it can look
# worse than val at first.)
#
# The noisy digits show it clearly. After about ten epochs the network knows nearly all training images, while the loss
# on val has risen again, far above its lowest value: on new images the network is wrong, and sure of it.

# %%
fv.figures.curves(run)

# %% [markdown]
# ## What the test says, and what it can't
#
# The accuracy is a share of the test images, and the test images are a sample. Another sample would have
# given another share. The 95 % interval contains the true accuracies for which such a result would be no surprise. Of
# many intervals made in this way, about 95 in 100 contain the true accuracy.

# %%
found = run.evaluation
low, high, _ = found.interval
print(f"{found.accuracy:.1%} of {len(found)} images; 95 % interval {low:.1%} to {high:.1%}")
print(f"always predicting the more frequent class: {found.majority_accuracy:.1%}")

# %% [markdown]
# The course text reports 82.5 %, from one run with 160 test images. The interval:

# %%
course = binomtest(132, 160).proportion_ci(0.95, method="wilson")
print(f"132 of 160: {132 / 160:.1%}, interval {course.low:.1%} to {course.high:.1%}")

# %% [markdown]
# So "82.5 %" means: somewhere between 76 and 88. If two networks reach 80 and 84 %, each on its own 160 images, you can't
# say which is better. On the *same* 160 images you can look at those that only one of the two gets right. Luck
# alone gives 6 to 0 of them, or more extreme, in 3 cases of 100, and 20 to 14 in 39. (That is McNemar's test.) To know
# such an accuracy within one percentage point you need about 6,000 test images, because the interval's width falls only
# with the square root of their number.
#
# And the test sample is not the only source of chance. The split, the initial weights and the order of the
# images are random, too. Another seed gives another network. Look at three:

# %%
accuracies = [found.accuracy]
for seed in (1, 2):
    other = fv.train(
        data,
        model="alexnet_mini",
        size=size,
        epochs=epochs,
        settings=settings,
        out=work / f"run{seed}",
        seed=seed,
    )
    accuracies.append(other.evaluation.accuracy)
print(", ".join(f"{accuracy:.1%}" for accuracy in accuracies))

# %% [markdown]
# ## Right and wrong
#
# Rows are the true classes, columns the predicted ones.

# %%
fv.figures.confusion(found)

# %%
fv.figures.predictions(run)

# %% [markdown]
# ## In one command each
#
# ```
# foveola show alexnet_mini --size 224x224 --classes 2
# foveola train faces --recipe examples/course_faces.toml
# foveola evaluate runs/...
# ```
#
# The report that `train` writes shows the same figures, with the worst mistakes. For photos there is a better way
# than to start from scratch: `foveola train faces` uses a network that was trained on a million images, and
# needs half a minute.
