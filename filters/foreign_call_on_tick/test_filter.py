import zlib

from pwasm.testing import World


def test_data_is_compressed_on_each_tick(pwasm_world: World) -> None:
    def results() -> list[str]:
        return [text for text in pwasm_world.logs("info") if text.startswith("foreign function (compress) called: ")]

    pwasm_world.eventually(lambda: any(" called: 5," in text for text in results()), "the fifth call")
    assert zlib.decompress(bytes.fromhex(results()[0].rpartition(" ")[2])) == b"hello world!"
