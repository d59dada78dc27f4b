"""Starts the worker, `launch.py FOLDER`, in an interpreter that need not have edgekit: its files are all it takes."""

import importlib.util
import sys
from pathlib import Path

NAME = "tfmot_worker"

if __name__ == "__main__":
    home = Path(__file__).with_name("worker")
    spec = importlib.util.spec_from_file_location(
        NAME, home / "__init__.py", submodule_search_locations=[str(home)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    importlib.import_module(f"{NAME}.run").main(Path(sys.argv[1]))
