"""What TF-MOT's tests share: Keras networks that Keras itself trains and writes."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.data import load_data
from edgekit.data.split import Data
from edgekit.tfmot import process

SIDE = 32
NETWORK = """
def net(keras):
    layers = keras.layers
    inputs = x = keras.Input((32, 32, 3), name="pictures")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(name="stem-norm")(x)
    x = skip = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(16, 1, activation="relu")(x)
    x = layers.Add()([x, skip])
    gate = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(8, 1, activation="relu")(gate)
    x = layers.Multiply()([x, layers.Conv2D(16, 1, activation="sigmoid")(gate)])
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    inner = keras.Sequential([
        keras.Input((8, 8, 16)),
        layers.SeparableConv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
    ])
    x = layers.Dropout(0.1)(layers.Flatten()(inner(x)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="forward")(x))
"""
TRAIN = """
import os, sys
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np
if sys.argv[1] == "2":
    import tf_keras as keras
else:
    import keras
exec(open(sys.argv[2]).read())
keras.utils.set_random_seed(0)
model, data = net(keras), np.load(sys.argv[3])
model.compile(keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy")
model.fit(data["images"], data["targets"], epochs=int(sys.argv[4]), batch_size=32, verbose=0)
model.save(sys.argv[5])
"""


@pytest.fixture(scope="session")
def digits() -> Data:
    return load_data(None, input_size=SIDE)


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory, digits: Data) -> Callable[[int, int], Path]:
    """A version of Keras and how many epochs → the file that it writes of the trained network."""
    folder = tmp_path_factory.mktemp("keras")
    (folder / "net.py").write_text(NETWORK)
    (folder / "train.py").write_text(textwrap.dedent(TRAIN))
    assert digits.train is not None
    assert digits.train.targets is not None
    images = digits.train.images(np.arange(len(digits.train)))
    raw = np.round((images.transpose(0, 2, 3, 1) + 1) * 127.5)
    np.savez(folder / "digits.npz", images=raw, targets=digits.train.targets)

    def made(version: int, epochs: int) -> Path:
        path = folder / f"net-{version}.keras"
        if not path.exists():
            words = [version, folder / "net.py", folder / "digits.npz", epochs, path]
            command = [str(word) for word in (process.interpreter(), folder / "train.py", *words)]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert ended.returncode == 0, ended.stderr
        return path

    return made
