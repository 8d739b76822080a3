"""An index of many modules: figures by module and by package, and who is imported by how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from parsing import Counts, Module


@dataclass(frozen=True)
class Index:
    """What is known of a set of modules. Indexes of disjoint sets merge in any order and grouping."""

    total: Counts
    packages: dict[str, Counts]
    importers: dict[str, int]
    modules: list[Module]

    @classmethod
    def of(cls, module: Module) -> Index:
        """The index of a single module."""
        package = module.name.partition(".")[0]
        return cls(module.counts, {package: module.counts}, dict.fromkeys(module.imports, 1), [module])

    @classmethod
    def merged(cls, parts: Iterable[Index]) -> Index:
        """The index of everything that the parts know."""
        total = Counts()
        packages: dict[str, Counts] = {}
        importers: Counter[str] = Counter()
        modules: list[Module] = []
        for part in parts:
            total += part.total
            for name, counts in part.packages.items():
                packages[name] = packages.get(name, Counts()) + counts
            importers.update(part.importers)
            modules += part.modules
        return cls(total, packages, dict(importers), sorted(modules, key=lambda module: module.name))

    def most_imported(self, at_most: int) -> list[tuple[str, int]]:
        """The modules that most others import, and how many do."""
        return sorted(self.importers.items(), key=lambda item: (-item[1], item[0]))[:at_most]

    def biggest(self, at_most: int) -> list[Module]:
        """The modules with most lines."""
        return sorted(self.modules, key=lambda module: (-module.counts.lines, module.name))[:at_most]

    def big_packages(self, at_most: int) -> list[tuple[str, Counts]]:
        """The packages of more than one module that have most lines."""
        several = [item for item in self.packages.items() if item[1].modules > 1]
        return sorted(several, key=lambda item: (-item[1].lines, item[0]))[:at_most]

    def unparsable(self) -> list[Module]:
        """The modules that could not be parsed."""
        return [module for module in self.modules if module.problem]
