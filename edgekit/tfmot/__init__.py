"""TensorFlow's Model Optimization Toolkit, driven in a process of its own: edgekit itself never imports TensorFlow.

`process.py` finds the interpreter that has it and runs `worker/` there, a job's folder in, its results out.
"""
