"""What runs where TensorFlow is: Python's library, numpy, TensorFlow, tf_keras and its toolkit, and nothing of edgekit.

Started by `launch.py`. Its modules import each other by relative names, because its package has another name there.
"""
