from filter import AddHeader

from pwasm.testing import HostEmulator


def test_the_header_is_added() -> None:
    host = HostEmulator(AddHeader)

    response = host.request("GET", "/one")

    assert response.headers["x-wasm-custom"] == "FOO"
    assert any(message == "adding the header" for _level, message in host.logs)
