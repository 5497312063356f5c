"""Families in Prometheus' text format."""

from prometheus_client.parser import text_string_to_metric_families

from holdfast.model.exposition import family, summary


def test_a_family_is_announced_once_and_labels_come_back_as_they_were() -> None:
    """Quotes, backslashes and line ends are escaped; what is no name becomes one."""
    odd = 'a"b\\c\nd\\n é'
    text = "\n".join([*family("1 odd-name", odd, [({"l": odd}, 1), ({"l": "x"}, 2)]), ""])
    (found,) = text_string_to_metric_families(text)
    assert (found.name, found.documentation, found.type) == ("holdfast_1_odd_name", odd, "gauge")
    assert [(sample.labels["l"], sample.value) for sample in found.samples] == [(odd, 1.0), ("x", 2.0)]


def test_a_summary_has_its_quantiles_its_sum_and_its_count() -> None:
    text = "\n".join([*summary("s", "told", [({}, {"0.5": 0.25}, 3.5, 7)]), ""])
    (found,) = text_string_to_metric_families(text)
    assert [(sample.name, sample.labels, sample.value) for sample in found.samples] == [
        ("holdfast_s", {"quantile": "0.5"}, 0.25),
        ("holdfast_s_sum", {}, 3.5),
        ("holdfast_s_count", {}, 7.0),
    ]


def test_a_family_without_samples_is_not_announced() -> None:
    assert [*family("f", "told", []), *summary("s", "told", [])] == []
