"""Prints what TFLite's own reader finds in a file: run in an environment that holds tflite-support and nothing else."""

import json
import sys

from tflite_support import metadata

reader = metadata.MetadataDisplayer.with_model_file(sys.argv[1])
packed = {
    name: reader.get_associated_file_buffer(name).decode()
    for name in reader.get_packed_associated_file_list()
}
json.dump({"metadata": json.loads(reader.get_metadata_json()), "packed": packed}, sys.stdout)
