"""A user remembers the head of the log: what was cut, forked or rewritten since is refused."""

import json
from dataclasses import replace

import pytest
from factorylm_registry.command import main
from factorylm_registry.merkle import leaf_hash, root_hash
from factorylm_registry.refusals import UntrustedError
from factorylm_registry.registry import open_registry
from factorylm_registry.remembering import Heads
from factorylm_registry.sources import FolderSource, HttpSource
from factorylm_registry.static_index import write_index
from factorylm_registry.tile_log import checkpoint_from, nodes_of_tiles


@pytest.fixture
def heads(tmp_path):
    return Heads(tmp_path / "heads.json")


def head_of(registry):
    return checkpoint_from(registry.log.checkpoint(), registry.signer.verifier)


def test_nodes_read_from_tiles_give_every_signed_root(registry, release, serve):
    """Across the borders of tiles: 256 entries fill the first, 257 begin the second."""
    for number in range(300):
        registry.store.publish(release(f"com.example/n{number:03}x"))
    with serve(registry) as address:
        fetch = HttpSource(address).tile
        for size in (1, 2, 255, 256, 257, 300):
            assert root_hash(size, nodes_of_tiles(fetch, size)) == root_hash(size, registry.log._node), size


def test_a_log_that_goes_on_is_accepted_and_remembered(registry, release, heads, clock, tmp_path):
    key = registry.signer.verifier
    for count, words in ((3, "first head"), (5, "2 entries more"), (5, "0 entries more"), (270, "265 entries more")):
        while registry.store.log_size() < count:
            registry.store.publish(release(f"com.example/n{registry.store.log_size():03}x"))
        folder = tmp_path / f"{count}"
        write_index(registry, folder)
        assert words in heads.accept(head_of(registry), key, FolderSource(folder), clock())
    assert json.loads(heads.file.read_text())[str(key)]["size"] == 270


def test_a_log_that_was_cut_is_refused_unless_an_older_copy_is_wanted(registry, release, heads, clock, tmp_path):
    registry.store.publish(release("com.example/a"))
    old, copy = head_of(registry), FolderSource(tmp_path / "old")
    write_index(registry, tmp_path / "old")
    registry.store.publish(release("com.example/bx"))
    write_index(registry, tmp_path / "new")
    key = registry.signer.verifier
    heads.accept(head_of(registry), key, FolderSource(tmp_path / "new"), clock())
    with pytest.raises(UntrustedError, match=r"has 1 entries, but 2 were seen before: it was cut.*--older"):
        heads.accept(old, key, copy, clock())
    assert "1 entries are missing" in heads.accept(old, key, copy, clock(), older=True)
    assert json.loads(heads.file.read_text())[str(key)]["size"] == 2, "an older copy is not what is remembered"


def test_a_log_with_another_past_is_refused(registry, release, heads, clock, domains, serve, tmp_path):
    """The same key signs two logs: one entry differs, everything else is as before."""
    other = open_registry(tmp_path / "other", domains)
    fork = replace(registry, store=other.store)
    for number in range(4):
        registry.store.publish(release(f"com.example/n{number}x"))
        fork.store.publish(release(f"com.example/n{number}x", description="another text" if number == 1 else "text"))
    key = registry.signer.verifier
    with serve(registry) as address:
        heads.accept(head_of(registry), key, HttpSource(address), clock())
    for more in ("", "com.example/more"):
        if more:
            fork.store.publish(release(more))
        with serve(fork) as address, pytest.raises(UntrustedError, match="not a continuation of the 4 entries"):
            heads.accept(head_of(fork), key, HttpSource(address), clock())
    other.store.close()


def test_tiles_that_do_not_fit_the_signed_head_are_refused(registry, release, heads, clock, tmp_path):
    key = registry.signer.verifier
    registry.store.publish(release("com.example/a"))
    write_index(registry, tmp_path / "one")
    heads.accept(head_of(registry), key, FolderSource(tmp_path / "one"), clock())
    registry.store.publish(release("com.example/bx"))
    write_index(registry, tmp_path / "two")
    tile = tmp_path / "two/log/tile/0/000.p/2"
    for content in (tile.read_bytes()[:32] + leaf_hash(b"x"), tile.read_bytes()[:40], b""):
        tile.write_bytes(content)
        with pytest.raises(UntrustedError):
            heads.accept(head_of(registry), key, FolderSource(tmp_path / "two"), clock())
    tile.unlink()
    with pytest.raises(UntrustedError, match="lacks its tile"):
        heads.accept(head_of(registry), key, FolderSource(tmp_path / "two"), clock())


def test_show_refuses_a_registry_that_lost_its_past(registry, release, serve, capsys, tmp_path, domains):
    for number in range(3):
        registry.store.publish(release(f"com.example/n{number}x"))
    asked = ["--key", str(registry.signer.verifier)]
    with serve(registry) as address:
        assert main(["show", "com.example/n0x", "--from", address, *asked]) == 0
    restored = open_registry(tmp_path / "restored", domains)
    restored.store.publish(release("com.example/n0x"))
    with serve(replace(registry, store=restored.store)) as address:
        assert main(["show", "com.example/n0x", "--from", address, *asked]) == 1
    assert "it was cut" in capsys.readouterr().err
    restored.store.close()
