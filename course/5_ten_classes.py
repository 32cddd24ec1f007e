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
# # 5. Ten classes
#
# CIFAR-10 is the fruit fly of image classification: 60,000 colour images of 32 by 32 pixels, in ten classes of
# 6,000 each. 10,000 of them are the test set, the same for everybody since 2009, so results can be compared.
#
# Put the path of the data into `FOVEOLA_COURSE_CIFAR10` (a folder of class folders, or the official archive).
# Without it the notebook takes scikit-learn's 1,797 hand-written digits: ten classes too, but grey, tiny and
# easy.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import foveola as fv

given = os.environ.get("FOVEOLA_COURSE_CIFAR10")
dataset = fv.open_dataset(given or "digits")
epochs = 14
print(
    "CIFAR-10" if given else "the embedded digits",
    len(dataset),
    "images,",
    ", ".join(dataset.class_names),
)

# %%
prepared = fv.prepare(dataset, fv.Size(32, 32))
first = [np.flatnonzero(dataset.labels == label)[:6] for label in range(10)]
fv.figures.samples(
    [[prepared.pixels[i] for i in rows] for rows in first],
    dataset.class_names,
    "the first six of each class",
)

# %% [markdown]
# ## One-hot, and softmax
#
# With two classes one number would be enough. With ten, the label is written as ten numbers, nine of them 0 and
# one of them 1, at the position of the class. That is called *one-hot*:

# %%
np.eye(10, dtype=int)[dataset.labels[:3]]

# %% [markdown]
# Why not simply number the classes from 0 to 9 and let the network predict a number? Because then "deer" (4)
# would be between "cat" (3) and "dog" (5), and half cat, half dog would be a deer. One-hot puts no class between
# two others.
#
# The network's last layer gives ten numbers too, but any numbers: 3.1 or -7. **Softmax** makes probabilities of
# them: raise e to the power of each, then divide by the sum. All become positive, and together they are 1.

# %%
logits = np.array([2.0, 1.0, -1.0])
powers = np.exp(logits)
print("e to the power of each:", powers.round(3))
print("divided by their sum:  ", (powers / powers.sum()).round(3))

# %% [markdown]
# The **loss** is the surprise about the right class: -ln p. A probability of 1 is no surprise, -ln 1 = 0; a tenth
# is -ln 0.1 = 2.3, which is what even guessing among ten classes comes to.
#
# ## The network
#
# `vgg6` has six convolutions in three pairs, each pair followed by pooling and dropout, then one hidden dense
# layer and the output: 552,362 parameters.

# %%
table = fv.show("vgg6", fv.Size(32, 32), 10)
print(f"{'layer':12} {'output shape':14} {'parameters':>10}")
for row in table.rows:
    print(f"{row.name:12} {' x '.join(map(str, row.shape)):14} {row.parameters:10,}")
print(f"{'all':27} {table.parameters:10,}")

# %%
work = Path(mkdtemp())
run = fv.train(dataset, model="vgg6", size="32x32", epochs=epochs, out=work / "run", seed=0)
print(run.headline)

# %%
fv.figures.curves(run)

# %% [markdown]
# ## Predictions
#
# Twenty-five test images with their predictions. If a prediction is wrong, the true class is below it.

# %%
fv.figures.predictions(run)

# %% [markdown]
# Probabilities say more than the prediction alone. Blue is the true class, and orange a wrong prediction.

# %%
fv.figures.probabilities(run, n=6)

# %%
fv.figures.confusion(run.evaluation)

# %% [markdown]
# Which pairs of classes are confused most? On CIFAR-10 it is cats and dogs, cars and trucks: things that look alike.
# The network can only go by looks. Here are the five most frequent mistakes on the images of this run:

# %%
counts = run.evaluation.confusion.copy()
np.fill_diagonal(counts, 0)
for flat in np.argsort(-counts, axis=None)[:5]:
    true, predicted = np.unravel_index(flat, counts.shape)
    print(
        f"{counts[true, predicted]:4} x {dataset.class_names[true]} predicted as {dataset.class_names[predicted]}"
    )

# %% [markdown]
# ## In one command each
#
# ```
# foveola train cifar10 --recipe examples/course_cifar10.toml
# foveola train cifar10 --epochs 2        # the modern network `fast`: more accurate, in a minute
# ```
