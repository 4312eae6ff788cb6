# SPDX-License-Identifier: Apache-2.0
"""What generated C calls the parts of a planned model."""

from __future__ import annotations

__all__ = ["ModelNames"]

from mcukit.export.names import IdentifierTable, file_stem
from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.plan import Place, Plan
from mcukit.planning.tiles import StageTiles


class ModelNames:
    """Identifiers of layers, maps and arenas. `model` is what the files and functions begin with."""

    def __init__(self, flow: Dataflow, plan: Plan, stages: tuple[StageTiles, ...]) -> None:
        self.model = file_stem(flow.model.name)
        self._flow = flow
        self._several_arenas = len(plan.arenas) > 1
        # A layer called "input" would have the map of the network's input, "stage_0" the function of a stage.
        self._table = IdentifierTable(("input", *(f"stage_{number}" for number in range(len(stages)))))
        self.layers = tuple(
            self._table.claim(layer.name, f"{layer.node.operator.op_name}_{index}")
            for index, layer in enumerate(flow.layers)
        )
        """By position in Dataflow.layers."""
        self.narrow = tuple(
            self._table.claim(layer.name, f"{layer.node.operator.op_name}_{index}_narrow")
            for index, layer in enumerate(flow.narrow)
        )
        """The same for the narrow forms of layers, as far as there are any."""
        self._views = {
            tensor: f"{self._table.claim(f'{layer.name}_view', f'view_{index}')}_map"
            for index, (tensor, layer) in enumerate(flow.views.items())
        }
        self._stage_of = {index: tiles for tiles in stages for index in range(tiles.first, tiles.last)}

    def claim(self, name: str, fallback: str) -> str:
        """An identifier that no one has."""
        return self._table.claim(name, fallback)

    def map(self, tensor: str) -> str:
        """The mk_map that describes all of a tensor; a view of another shape has one of its own."""
        if tensor in self._views:
            return self._views[tensor]
        producer = self._flow.producer[tensor]
        return "input_map" if producer == INPUT else f"{self.layers[producer]}_map"

    def output_map(self, layer: int, *, narrow: bool = False) -> str:
        """What a layer writes, inside its function. narrow: of its narrow form."""
        identifier = self.narrow[layer] if narrow and not self.is_outgoing(layer) else self.layers[layer]
        return f"{identifier}_tiles[tile]" if self.has_tiles(layer) else f"{identifier}_map"

    def operand(self, tensor: str, reader: int, *, narrow: bool = False) -> str:
        """What a layer reads, inside its function: in a stage of column tiles the current tile of the stage's maps."""
        if tensor not in self._views:
            producer = self._flow.producer[tensor]
            if producer >= self._stage_of[reader].first and (narrow or self.has_tiles(producer)):
                return self.output_map(producer, narrow=narrow)
        return self.map(tensor)

    def is_outgoing(self, layer: int) -> bool:
        """Whether what a layer computes is read after its stage: both forms of the layer write the same map."""
        return self._flow.layers[layer].output in self._stage_of[layer].outgoing

    def has_tiles(self, layer: int) -> bool:
        """Whether the layer computes its map in several column tiles, each with an mk_map of its own."""
        return self._stage_of[layer].stage.tile_columns > 1

    def is_read_whole(self, layer: int) -> bool:
        """Whether a later stage reads the layer's map itself, and not a view of it."""
        output = self._flow.layers[layer].output
        last = self._stage_of[layer].last
        return any(
            output in self._flow.layers[reader].inputs for reader in self._flow.readers[output] if reader >= last
        )

    def arena(self, region: str) -> str:
        return f"arena_{region}" if self._several_arenas else "arena"

    def address(self, place: Place, skipped: int = 0) -> str:
        """Of a buffer, or of what lies `skipped` bytes behind its beginning."""
        return f"{self.arena(place.region)} + {place.offset + skipped}"
