"""Solutions of lecture 3's lab."""

import torch


def descend(loss, weights, lr):
    """Return the weights after one step of gradient descent."""
    weights = weights.detach().requires_grad_()
    [gradient] = torch.autograd.grad(loss(weights), weights)
    return (weights - lr * gradient).detach()


def convolve(image, kernel):
    """Return what a filter gives at every place where it fits."""
    rows, columns = (n - k + 1 for n, k in zip(image.shape, kernel.shape, strict=True))
    output = torch.empty(rows, columns)
    for i in range(rows):
        for j in range(columns):
            output[i, j] = (image[i : i + kernel.shape[0], j : j + kernel.shape[1]] * kernel).sum()
    return output


def output_size(size, kernel, stride=1, padding=0):
    """Return the side of a CONV's output."""
    return (size + 2 * padding - kernel) // stride + 1


def max_pool(images):
    """Return the largest number of each block of 2×2."""
    n, channels, height, width = images.shape
    return images.reshape(n, channels, height // 2, 2, width // 2, 2).amax((3, 5))


def count_weights(channels, side, filters, kernel):
    """Return the weights of a CONV and of an FC that give the same size."""
    conv = filters * (kernel * kernel * channels + 1)
    dense = (channels * side**2 + 1) * filters * side**2
    return conv, dense


def receptive_field(layers):
    """Return the side of what one unit sees."""
    side, jump = 1, 1
    for kernel, stride in layers:
        side += (kernel - 1) * jump
        jump *= stride
    return side


def saliency(network, image):
    """Return how much each pixel changes the largest score."""
    image = image.detach().requires_grad_()
    [gradient] = torch.autograd.grad(network(image[None]).max(), image)
    return gradient.abs().amax(0)
