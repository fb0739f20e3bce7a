import pytest

from pwasm.testing import World


@pytest.mark.pwasm(vm_configuration={"name": "vm configuration"}, configuration={"name": "plugin configuration"})
def test_both_configurations_are_logged(pwasm_world: World) -> None:
    logs = pwasm_world.logs("info")

    assert 'vm config: {"name": "vm configuration"}' in logs
    assert 'plugin config: {"name": "plugin configuration"}' in logs
