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
# # 4. What the network sees
#
# The kernels of a trained network are learned. What do they react to? This notebook looks inside: at the feature maps of
# one image in the five convolutions of the course's network, at the kernels themselves, at the arithmetic of a single
# number, and at heat maps that show which part of an image supports its class.
#
# `FOVEOLA_COURSE_FACES` names your folder; without it, pieces of two photos are used. They overlap, so the accuracy
# below says nothing about new photos.

# %%
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import foveola as fv


def write_pieces(folder, each):
    """Cut `each` pieces of many sizes out of each photo, and save them in one folder per class."""
    rng = np.random.default_rng(0)
    for name, photo in (("flower", "flower.jpg"), ("temple", "china.jpg")):
        whole = load_sample_image(photo)
        (folder / name).mkdir(parents=True)
        for number in range(each):
            height, width = rng.integers(60, 321, 2)
            top, left = (
                rng.integers(0, whole.shape[0] - height),
                rng.integers(0, whole.shape[1] - width),
            )
            piece = whole[top : top + height, left : left + width]
            Image.fromarray(piece).save(folder / name / f"{number:04d}.jpg", quality=90)
    return folder


given = os.environ.get("FOVEOLA_COURSE_FACES")
work = Path(mkdtemp())
folder = Path(given) if given else write_pieces(work / "pieces", each=200)
size, epochs = "224x224", 40
print(
    "your folder" if given else "embedded pieces of two photos",
    "at",
    size,
    "for",
    epochs,
    "epochs",
)

run = fv.train(
    folder,
    model="alexnet_mini",
    size=size,
    epochs=epochs,
    out=work / "run",
    seed=0,
)
print(run.headline)

# %% [markdown]
# We take the correctly classified test image that the network is most confident about.

# %%
found = run.evaluation
certain = int(np.where(found.correct, found.probabilities.max(axis=1), 0).argmax())
path = folder / found.ids[certain]
network = fv.Predictor.open(run)
image = network.see(path)
target = int(found.predicted[certain])
print(
    found.ids[certain],
    "is",
    found.class_names[target],
    f"({found.probabilities[certain, target]:.1%})",
)

# %% [markdown]
# ## Feature maps
#
# Each kernel of a convolution gives one map: bright where the kernel found what it reacts to. The first layer has
# 32 of them, at a quarter of the image's height and width. They are drawn after ReLU. Every map has its own scale,
# from its lowest to its highest value. A grey map has the same value everywhere: the channel does not react to this
# image, and is called dead.

# %%
maps = {one.stage: one for one in fv.EXPLANATIONS["feature_maps"](network.model, image)}
for name, one in maps.items():
    print(
        f"{name}: {len(one.values)} channels of {one.values.shape[1]}x{one.values.shape[2]}, {one.dead} dead"
    )

# %%
fv.figures.feature_maps(maps["relu1"])

# %% [markdown]
# In the first layer you can still recognise the image. The maps are mostly edges, colours and brightness, similar to the
# kernels of the first notebook.

# %%
fv.figures.feature_maps(maps["relu2"])

# %%
fv.figures.feature_maps(maps["relu3"])

# %%
fv.figures.feature_maps(maps["relu4"])

# %%
fv.figures.feature_maps(maps["relu5"])

# %% [markdown]
# The maps become smaller (the list above gives their sizes), and the deeper the layer, the less they look like an
# image. A bright pixel in the last layer means: *something of a certain kind is about here*. The network has learned
# which kind.
#
# ## The kernels themselves
#
# Only the first layer's kernels are applied to colours, so only they can be drawn as images. Grey is zero.

# %%
fv.figures.kernels(fv.EXPLANATIONS["kernels"](network.model))

# %% [markdown]
# Clear stripes and spots of colour are the sign of a network that was trained on many images. Kernels that look like noise
# have hardly changed since the start, because a few hundred images are not enough for this layer. The same seed gives
# the initial weights again. How far are they from the learned ones? (A correlation of 1 would mean that nothing has
# changed except perhaps the scale; two random draws have a correlation of about 0.)

# %%
before = fv.build("alexnet_mini", fv.Size.parse(size), len(found.class_names), seed=run.seed)
weights = [one.conv1.weight.detach().ravel() for one in (before, network.model)]
print(f"correlation with the start: {np.corrcoef(*weights)[0, 1]:.2f}")

# %% [markdown]
# Compare with a network that was trained on a million images: train with `--model transfer` and draw its kernels. (They
# are only 3 x 3.)
#
# ## What activates a channel
#
# A map shows where in *one* image a channel reacts. You can also ask the other way round: which parts of all test images
# activate it most? A row is a channel of the last convolution; the figure shows the six with the highest values. If its
# patches have something in common, the channel may react to that. But it may also react to something that you do not
# notice.

# %%
seen = np.stack([network.see(folder / name) for name in found.ids])
fv.figures.patches(
    fv.EXPLANATIONS["max_activating"](network.model, seen, "relu5"),
    "relu5",
    channels=6,
)

# %% [markdown]
# ## Which images the network finds similar
#
# Before its last layer the network has turned each image into a row of numbers. Images with similar numbers are similar
# *to the network*. t-SNE arranges them so that neighbours stay neighbours, as far as a plane allows. The distance between
# two groups has no meaning. The last layer can only draw a straight border through those numbers. Where the classes are
# mixed here, it may make mistakes, although classes that are mixed in the plane can be separate in all the numbers.

# %%
places = fv.EXPLANATIONS["embedding"](network.model, seen)
fv.figures.layout(places, found.labels, found.predicted, found.class_names, seen, "t-SNE")

# %% [markdown]
# ## The arithmetic of one number
#
# There is no secret in a layer. Here is one number of the first convolution, the largest one. The kernel covers a
# patch of the (normalised) image, 11 x 11 pixels of three colours. The layer multiplies them number by number, adds up
# all products, and adds a bias. ReLU turns a negative sum into 0.

# %%
first = fv.EXPLANATIONS["feature_maps"](network.model, image, ["conv1"])[0].values
place = [int(k) for k in np.unravel_index(first.argmax(), first.shape)]
pixel = fv.EXPLANATIONS["one_pixel"](network.model, image, "conv1", *place)
assert abs(pixel.total - pixel.value) < 1e-3
print(
    f"{pixel.products.size} products and a bias make {pixel.total:.4f}; the network itself computes {pixel.value:.4f}"
)

# %%
fv.figures.one_pixel(pixel, image)

# %% [markdown]
# The third convolution works in the same way, with 64 inputs instead of three colours, and a kernel of 3 x 3 numbers for
# each. The figure shows the four inputs with the largest products. The receptive field has become much larger.

# %%
third = fv.EXPLANATIONS["one_pixel"](network.model, image, "conv3", 0, 3, 3)
fv.figures.one_pixel(third, image)

# %% [markdown]
# ## Heat maps
#
# Four methods, one question: which part of the image supports the class? **Grad-CAM** weights the last maps by
# how much each one matters for the class. **HiResCAM** does so at each position. **Occlusion** is the simplest to
# understand: cover a square with the image's mean colour, and see how far the logarithm of the probability falls.
# **Integrated gradients** add up the contribution of every single pixel on the way from an image of the mean colour to
# the image.

# %%
methods = ("gradcam", "hirescam", "occlusion", "integrated_gradients")
heat = [fv.EXPLANATIONS[method](network.model, image, target) for method in methods]
fv.figures.heatmaps(image, heat, found.class_names)

# %% [markdown]
# The same for another class. If both maps light up in the same place, the place matters, but says little about
# *why*.

# %%
other = (target + 1) % len(found.class_names)
fv.figures.heatmaps(
    image,
    [fv.EXPLANATIONS[method](network.model, image, other) for method in methods],
    found.class_names,
)

# %% [markdown]
# **Be careful with heat maps.** They show where the prediction is sensitive. They show neither a reason nor that
# the prediction is right, and a wrong prediction can have a nice map as well. A simple test (J. Adebayo et al., "Sanity
# Checks for Saliency Maps", 2018): a network with random weights should give *another* map. Does it?

# %%
untrained = fv.build("alexnet_mini", fv.Size.parse(size), len(found.class_names), seed=1)
untrained.normalise.load_state_dict(network.model.normalise.state_dict())
drawn = [heat[0], fv.EXPLANATIONS["gradcam"](untrained, image, target)]
fv.figures.heatmaps(image, drawn, found.class_names)

# %% [markdown]
# ## In one command each
#
# ```
# foveola explain runs/... photo.jpg maps --method feature_maps
# foveola explain runs/... - kernels.png --method kernels
# foveola explain runs/... faces excites.png --method max_activating
# foveola explain runs/... faces alike.png --method embedding
# foveola explain runs/... photo.jpg pixel.png --method one_pixel --stage conv1
# foveola explain runs/... photo.jpg why.png --method gradcam
# ```
