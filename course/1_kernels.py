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
# # 1. Images and kernels
#
# An image on a computer is a table of numbers. This notebook changes such tables by very small programs called
# *kernels*: it sharpens, blurs and finds edges. Kernels matter for a second reason. They do most of the computing in
# the networks of the later notebooks. There, people do not choose the numbers in the kernels; the network learns them.
#
# You need no photo of your own: the image used here comes with the package scikit-learn. To use yours, put its
# path into the environment variable `FOVEOLA_COURSE_PHOTO`.

# %%
import os

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

import foveola as fv

path = os.environ.get("FOVEOLA_COURSE_PHOTO")
photo = fv.read_image(path) if path else load_sample_image("flower.jpg")
print(
    "your photo" if path else "the embedded image 'flower.jpg'",
    photo.shape,
    photo.dtype,
)

# %% [markdown]
# `shape` gives height, width and the number of colours; `uint8` means that every number is a whole number from 0 to
# 255. Three numbers, one each for red, green and blue, make the colour of one pixel. The pixel in the upper left
# corner:

# %%
photo[0, 0]

# %% [markdown]
# You can look at the three colours one at a time. Where a colour's image is bright, there is much of that colour.

# %%
fv.figures.channels(photo)

# %% [markdown]
# ## Smaller, by area
#
# We continue with an image of 100 by 100 pixels, so that single pixels can be seen. To make an image smaller, many
# pixels must become one. The best way is to take the mean over the *area* that each new pixel covers. OpenCV
# calls it `INTER_AREA`; in foveola it is the filter `scale`. Taking just one pixel of each area would be faster,
# but fine stripes could turn into coarse ones that were never there.

# %%
scaled = fv.Chain.parse("scale(width=100, height=100)")
small = scaled(photo)
assert np.array_equal(small, cv2.resize(photo, (100, 100), interpolation=cv2.INTER_AREA))
print(photo.shape, "became", small.shape)

# %%
fv.figures.steps(photo, scaled)

# %% [markdown]
# A photo that is not square is distorted, because its sides shrink by different factors. The next notebook shows how to
# keep the proportions.

# %% [markdown]
# ## A kernel, by hand
#
# A kernel is a small table, here 3 by 3. Lay it over a pixel and its eight neighbours, multiply what lies on top
# of each other, and add up the nine products. The sum is that pixel of the new image. Then move the kernel one
# pixel on, over the old image. That is all.
#
# The kernel below counts the pixel itself five times and subtracts its four nearest neighbours. If all five are
# equal, the sum is 5 - 4 = 1 times the pixel: nothing changes. If the pixel is brighter than the mean of its four
# neighbours, it becomes brighter still. The image is *sharpened*.

# %%
sharpen = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])

row, column = 40, 50
patch = small[row - 1 : row + 2, column - 1 : column + 2, 1].astype(
    int
)  # the green values of nine pixels
print(patch)
print("products\n", patch * sharpen)
print("sum", (patch * sharpen).sum())

# %% [markdown]
# A sum may be below 0 or above 255. `uint8` can't hold that, so it is clipped: below 0 becomes 0, above 255
# becomes 255. At the border some neighbours are missing; they are taken from the mirrored image.
# OpenCV does all of it for every pixel and colour. Our sum agrees with it:

# %%
by_opencv = cv2.filter2D(small, -1, sharpen)
by_hand = np.clip((patch * sharpen).sum(), 0, 255)
assert by_opencv[row, column, 1] == by_hand
by_opencv[row, column, 1], by_hand

# %% [markdown]
# ## Chains
#
# foveola gives the usual kernels and other filters names. A *chain* is a sentence of such names, joined by `|`, and
# `steps` draws the image after each of them. Every name stands for one OpenCV call or a few (`foveola list filters`
# says which), with exactly the same result.

# %%
fv.figures.steps(small, fv.Chain.parse("sharpen"))

# %% [markdown]
# ## Blur
#
# A mean over neighbours makes the differences between them smaller. The Gaussian blur weighs near neighbours more
# than far ones; the larger its size, the more is lost.

# %%
fv.figures.steps(small, fv.Chain.parse("blur(size=3)"))

# %%
fv.figures.steps(small, fv.Chain.parse("blur(size=9)"))

# %% [markdown]
# ## Edges, with and without a blur before
#
# Canny's method looks for places where brightness changes fast. It begins with two kernels, which measure the change
# across and down. The next steps are not kernels. Of each slope only the steepest line is kept, so that edges are thin,
# and two limits decide. A change faster than `high` is an edge. A change faster than `low` is an edge only if it
# touches another edge. Noise changes fast, too, so it helps to blur first. Compare: first without the blur, then with it.

# %%
fv.figures.steps(small, fv.Chain.parse("canny(low=50, high=150)"))

# %%
fv.figures.steps(small, fv.Chain.parse("blur(size=3)|canny(low=50, high=150)"))

# %% [markdown]
# ## Blur, then sharpen
#
# You might think that they cancel out. They do not. Stripes one pixel wide are gone after this blur, and no kernel
# can bring them back. The blur only weakens and rounds everything coarser, but `sharpen` does not strengthen it by
# the right factors.

# %%
there = fv.Chain.parse("blur(size=3)|sharpen")(small)
back = fv.Chain.parse("sharpen|blur(size=3)")(small)
print(
    "mean difference to the image, blur then sharpen:",
    np.abs(there.astype(int) - small).mean().round(2),
)
print(
    "mean difference to the image, sharpen then blur:",
    np.abs(back.astype(int) - small).mean().round(2),
)
print(
    "mean difference between the two:                  ",
    np.abs(there.astype(int) - back).mean().round(2),
)

# %%
fv.figures.steps(small, fv.Chain.parse("blur(size=3)|sharpen"))

# %% [markdown]
# ## Does the order matter?
#
# The last number above is not 0. But the kernels are not the reason. After each filter the image is rounded to whole
# numbers and clipped to 0 to 255, and the loss depends on the order. Here is the same with numbers that
# are neither rounded nor clipped, for `sharpen` and for an asymmetric kernel:

# %%
bell = cv2.getGaussianKernel(3, 0)
blur = bell @ bell.T  # the kernel of blur(size=3)
asymmetric = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def lay(kernel, image):
    return cv2.filter2D(image, -1, kernel.astype(float))


def apart(one, other):
    return np.abs(lay(other, lay(one, exact)) - lay(one, lay(other, exact)))


exact = small.astype(float)
for name, kernel in {"sharpen": sharpen, "asymmetric": asymmetric}.items():
    found = apart(blur, kernel)
    print(
        f"{name:8}  largest difference inside {found[1:-1, 1:-1].max()}, with the border {found.max()}"
    )
assert apart(blur, sharpen).max() == 0
assert apart(blur, asymmetric)[1:-1, 1:-1].max() == 0

# %% [markdown]
# Away from the border the order of two kernels never matters. At the border it does not matter for kernels that are
# symmetric from left to right and from top to bottom, such as `blur` and `sharpen`: a mirrored image gives the mirrored
# result. For the asymmetric kernel it does.
#
# Canny's method is not a kernel. It makes decisions, so the order matters. If you blur first, it finds other edges. If you
# blur afterwards, the edges themselves become soft.

# %%
fv.figures.steps(small, fv.Chain.parse("blur(size=3)|canny(low=50, high=150)"))

# %%
fv.figures.steps(small, fv.Chain.parse("canny(low=50, high=150)|blur(size=3)"))

# %% [markdown]
# ## What a kernel does, in three images
#
# `kernel_view` draws a kernel's numbers; what it does to a single bright pixel; and which *frequencies* pass. A
# frequency is how often light and dark alternate. In the third image the middle stands for uniform areas, the rim
# for the finest stripes. A blur lets the middle pass and blocks the rim. Sharpening is the reverse: uniform
# areas stay as they are (1 times), vertical or horizontal stripes one pixel wide become 5 times as strong, and a checkerboard
# of single pixels 9 times. That is why noise grows when an image is sharpened. (The fourth image is the whole one
# after the filter.)

# %%
fv.figures.kernel_view(small, fv.Chain.parse("blur(size=5)|sharpen"))

# %% [markdown]
# ## Your own kernel
#
# Any table of 3 by 3, 5 by 5 or 7 by 7 numbers will do. This one compares a pixel's left side with its right
# side, and so finds vertical edges. A negative sum is clipped to 0, so only edges that become brighter to the
# right are seen. Change the numbers!

# %%
mine = fv.Chain.parse("kernel(values=[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])")
fv.figures.steps(small, mine)

# %%
fv.figures.kernel_view(small, mine)

# %% [markdown]
# ## In one command each
#
# ```
# foveola filter photo.jpg small.png --chain "scale(width=100, height=100)"
# foveola filter photo.jpg sharp.png --chain sharpen
# foveola filter photo.jpg edges.png --chain "blur(size=3)|canny(low=50, high=150)"
# foveola filter photo.jpg steps.png --chain "blur(size=3)|sharpen" --steps
# foveola filter photo.jpg kernel.png --chain sharpen --kernel-view
# ```
#
# **To think about.** What does a kernel of nine times 1/9 do? What does one do whose numbers sum to 0 to a uniform
# area? Is there a kernel that moves the image one pixel to the left? Try it.
