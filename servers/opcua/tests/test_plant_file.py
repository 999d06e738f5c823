"""What the plant file may say, and what is wrong with it where it may not."""

import pytest
from factorylm_schema import PlantFileError

GOOD = """
[devices.server]
url = "opc.tcp://10.0.0.5:4840"
{device}
[devices.server.tags]
speed = {{ address = "nsu=urn:x;s=Speed"{tag} }}
"""


def text(device: str = "", tag: str = "") -> str:
    return GOOD.format(device=device, tag=tag)


def test_a_secured_device_with_a_user_is_accepted(planted):
    options = 'security = "Basic256Sha256"\nuser_env = "PLANT_USER"\npassword_env = "PLANT_PASSWORD"'
    device = planted(text(options)).device("server")
    assert device.options == {"security": "Basic256Sha256", "user_env": "PLANT_USER", "password_env": "PLANT_PASSWORD"}


@pytest.mark.parametrize(
    ("device", "tag", "told"),
    [
        ('security = "Basic128Rsa15"', "", "Aes128Sha256RsaOaep"),
        ('mode = "none"', "", "sign-and-encrypt"),
        ('user_env = "U"', "", "belong together"),
        ('user_env = "U"\npassword_env = "P"', "", "never sent over an unsecured channel"),
        ('user_env = "my secret!"', "", "user_env"),
        ('user_certificate = "/a"', "", "belong together"),
        ('pki = "certificates"', "", "absolute path"),
        ("max_nodes_per_read = 0", "", "max_nodes_per_read"),
        ('secruity = "none"', "", "did you mean security"),
        ("", ', type = "REAL"', "is not one of Boolean"),
        ("", ', write = { min = 0, max = 1 }, write_method = { object = "x", method = "i=1" }', "write_method.object"),
        ("", ', write_method = { object = "i=1", method = "i=2" }', "needs write limits"),
    ],
)
def test_a_fault_is_told_with_its_line_and_the_right_choice(planted, device, tag, told):
    with pytest.raises(PlantFileError, match=told) as raised:
        planted(text(device, tag))
    assert all(fault.line > 1 for fault in raised.value.faults)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("opc.tcp://user@10.0.0.5", "user does not belong"),
        ("opc.tcp://10.0.0.5:99999", "port"),
        ("opc.tcp://10.0.0.5?x=1", "looks like"),
        ("opc.tcp://:4840", "looks like"),
    ],
)
def test_a_wrong_url_is_refused(planted, url, told):
    with pytest.raises(PlantFileError, match=told):
        planted(text().replace("opc.tcp://10.0.0.5:4840", url))


@pytest.mark.parametrize("address", ["Speed", "i=Speed", "ns=2"])
def test_a_wrong_address_is_refused(planted, address):
    with pytest.raises(PlantFileError, match=r"speed\.address"):
        planted(text().replace("nsu=urn:x;s=Speed", address))


def test_an_element_of_an_array_is_never_writable(planted):
    with pytest.raises(PlantFileError, match="element of an array"):
        planted(text(tag=", write = { min = 0, max = 1 }").replace("s=Speed", "s=Speed;index=1"))
