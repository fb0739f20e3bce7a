from pwasm.testing import World

NAME = "custom_header_value_counts_value={}_reporter=wasmgosdk"
HEADER = "my-custom-header"


def test_requests_are_counted_by_the_value_of_their_header(pwasm_world: World) -> None:
    for value, times in {"foo": 3, "bar": 5}.items():
        for _ in range(times):
            assert pwasm_world.request("GET", "/", {HEADER: value}).status == 200
    assert pwasm_world.request("GET", "/").status == 200

    assert [pwasm_world.metric(NAME.format(value)) for value in ("foo", "bar", "other")] == [3, 5, 0]


def test_values_that_are_no_labels_are_counted_together(pwasm_world: World) -> None:
    for value in ("a b", "_reporter=me", "x" * 65, ""):
        assert pwasm_world.request("GET", "/", {HEADER: value}).status == 200

    assert pwasm_world.metric(NAME.format("other")) == 4


def test_clients_cannot_make_counters_without_end(pwasm_world: World) -> None:
    for number in range(150):
        assert pwasm_world.request("GET", "/", {HEADER: f"value{number}"}).status == 200

    # How many there are before this test differs: VM and counters live on from test to test in Envoy.
    counted = [number for number in range(150) if pwasm_world.metric(NAME.format(f"value{number}"))]
    assert len(counted) <= 100
    assert pwasm_world.metric(NAME.format("other")) == 150 - len(counted)
