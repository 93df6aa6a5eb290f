"""What Prometheus' own parser reads of an exposition."""

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
Figures = dict[str, dict[Labels, float]]


def figures(text: str) -> Figures:
    """Values by name and labels; each name stands once, with help, type and figures."""
    found: Figures = {}
    names: list[str] = []
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in {"gauge", "counter"}
        assert family.samples
        names.append(family.name)
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), f"{sample.name} twice"
            found[sample.name][labels] = sample.value
    assert len(names) == len(set(names))
    return found


def label_names(found: Figures) -> set[str]:
    """All names of labels."""
    return {name for samples in found.values() for labels in samples for name, _ in labels}
