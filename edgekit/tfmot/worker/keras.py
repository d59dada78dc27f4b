"""TensorFlow and Keras 2, which its Model Optimization Toolkit needs, loaded quietly and for the CPU alone."""

from __future__ import annotations

import logging
import os
import warnings

# Before any of them is imported; afterwards it changes nothing.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # its sums depend on the number of threads
os.environ["CUDA_VISIBLE_DEVICES"] = ""
warnings.filterwarnings("ignore")
logging.getLogger("tensorflow").setLevel(logging.ERROR)

import tensorflow as tf  # noqa: E402
import tf_keras as keras  # noqa: E402

__all__ = ["keras", "tf"]

if threads := os.environ.get(
    "OMP_NUM_THREADS"
):  # TensorFlow has a pool of its own, which does not ask for it
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))


def seed(value: int) -> None:
    """The same seed gives the same weights, on one machine."""
    keras.utils.set_random_seed(value)
    tf.config.experimental.enable_op_determinism()
