"""Writes the catalogue anew from the zoo: `python -m edgekit.catalogue`."""

from __future__ import annotations

from edgekit import files
from edgekit.graph.cost import cost
from edgekit.model import Source
from edgekit.zoo.entries import CATALOGUE, ENTRIES, Entry
from edgekit.zoo.registry import Network, build, networks


def entries() -> list[Entry]:
    """Every network of the zoo, built and counted as published, by name."""
    return [entry_of(network) for _, network in sorted(networks().items())]


def entry_of(network: Network) -> Entry:
    """One network, built and counted as published."""
    about = network.about
    shape = (1, 3, about.input_size, about.input_size)
    counted = cost(build(Source(name=network.name, num_classes=about.num_classes)).eval(), shape)
    return Entry(
        name=network.name,
        family=about.family,
        variant=about.variant,
        task=about.task,
        params=counted.params,
        macs=counted.macs,
        receptive_field=counted.receptive_field,
        input_shape=shape,
        least_input=about.least_input,
        num_classes=about.num_classes,
        input_multiple=about.input_multiple,
        scalable=about.scalable,
        accuracy=about.accuracy,
        accuracy_source=about.accuracy_source,
    )


if __name__ == "__main__":
    files.write_json(CATALOGUE, ENTRIES.dump_python(entries(), mode="json"))
