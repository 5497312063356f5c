"""Encryption around a kernel: what opens where, with which keys, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast import KeyRing, system
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Corrupt, TooLarge, WrongKey
from holdfast.kernel.commit import Append, Cell, Entry, Put, Read, Rewrite, ScopeCommit
from holdfast.kernel.frame import AT_COMMIT, AT_KEY, AT_PREFIX
from holdfast.kernel.limits import PAYLOAD_BYTES_MAX
from holdfast.wrappers.framing import Framing
from holdfast.wrappers.ring import SCOPE
from holdfast.wrappers.seal import Place, Seal
from tests.unit.wrappers.rings import BOTH, LAX, NEW, SECOND, A, B, fill, seal, send, shown


async def raw(inside: MemoryKernel, scope: str, key: str) -> Cell:
    """A cell as the kernel inside keeps it."""
    return next(one.cell for one in await inside.stored(scope) if one.cell.key == key)


async def plant(inside: MemoryKernel, scope: str, key: str, value: bytes) -> None:
    """Write past the keys."""
    cell = await raw(inside, scope, key)
    assert await inside.rewrite(scope, cells=[Rewrite(cell, value)]) == 1


async def test_nothing_but_names_is_readable_inside() -> None:
    inside = MemoryKernel()
    kernel = await seal(inside)
    await fill(kernel)
    kept = [one.cell.value for scope in (A, B) for one in await inside.stored(scope)]
    kept += [part for scope in (A, B) for record in await inside.log(scope) for part in (record.body, record.cause)]
    kept += [entry.value.encode() + entry.payload for one in await inside.stored(A) for entry in one.entries]
    everything = b"\n".join(kept)
    assert not any(word in everything for word in (b"value", b"long", b"one", b"two", b"ada", b"body", b"payload"))
    assert await inside.find("user", "ada", now_us=0) == ()
    assert [found.scope for found in await kernel.find("user", "ada", now_us=0)] == [A]


async def test_a_value_moved_to_another_key_scope_or_space_does_not_open() -> None:
    store = MemoryStore()
    inside, elsewhere = MemoryKernel(store), MemoryKernel(store, space="other")
    kernel, other = await seal(inside), await seal(elsewhere)
    await fill(kernel)
    await fill(other)
    value = (await raw(inside, A, "k")).value
    await plant(inside, A, "other", value)
    await plant(inside, B, "k", value)
    await plant(elsewhere, A, "k", value)
    for where, scope, key in ((kernel, A, "other"), (kernel, B, "k"), (other, A, "k")):
        with pytest.raises(Corrupt, match="does not open") as refused:
            await where.read([Read(scope, (key,))], now_us=0)
        assert refused.value.key_id == "old"
    assert (await kernel.read([Read(A, ("k",))], now_us=0))[0].cells["k"].value == b'"value"'


async def test_what_was_sealed_in_one_role_does_not_open_in_another() -> None:
    """A payload is no value, a body no cause, and the index key nothing but that."""
    inside = MemoryKernel()
    kernel = await seal(inside)
    await fill(kernel)
    [stored] = [one for one in await inside.stored(A) if one.cell.key == "k"]
    first, second, *_ = await inside.log(A)
    for value in (stored.entries[0].payload, first.body, first.cause, second.cause):
        await plant(inside, A, "k", value)
        with pytest.raises(Corrupt):
            await kernel.read([Read(A, ("k",))], now_us=0)


async def test_a_body_opens_with_the_cause_of_its_own_commit_alone() -> None:
    inside = MemoryKernel()
    kernel = await seal(inside)
    await fill(kernel)
    await send(kernel, ScopeCommit(A, body=b"[3]"), cause=b'{"by":"bo"}')
    first, second, third = await inside.log(A)
    for wrong in (
        replace(first, cause=third.cause),
        replace(first, cause=second.cause),
        replace(first, cause=b""),
        replace(first, body=third.body),
    ):
        await inside.rewrite(A, records=[wrong])
        with pytest.raises(Corrupt):
            await kernel.log(A)
    await inside.rewrite(A, records=[first])
    assert [record.cause for record in await kernel.log(A)] == [b'{"by":"ada"}', b"{}", b'{"by":"bo"}']


async def test_without_keys_a_sealed_store_names_the_keys_it_needs() -> None:
    inside = MemoryKernel()
    await fill(await seal(inside))
    await seal(inside, BOTH)
    with pytest.raises(WrongKey) as refused:
        await Framing(inside).read([Read(A, ("k",))], now_us=0)
    assert refused.value.key_ids == ["old"]
    with pytest.raises(WrongKey) as refused:
        await seal(inside, SECOND)
    assert refused.value.key_ids == ["old"]
    assert "old" in str(refused.value)


async def test_another_key_under_the_same_id_is_refused_at_the_opening() -> None:
    inside = MemoryKernel()
    await fill(await seal(inside))
    with pytest.raises(WrongKey) as refused:
        await seal(inside, KeyRing({"old": NEW}, active="old"))
    assert refused.value.key_ids == ["old"]


async def test_a_strict_ring_refuses_plaintext_and_another_reads_it() -> None:
    inside = MemoryKernel()
    kernel, lax = await seal(inside), await seal(inside, LAX)
    await fill(kernel)
    await plant(inside, A, "k", b'"planted"')
    with pytest.raises(Corrupt, match="not encrypted"):
        await kernel.read([Read(A, ("k",))], now_us=0)
    assert (await lax.read([Read(A, ("k",))], now_us=0))[0].cells["k"].value == b'"planted"'


async def test_a_strict_ring_does_not_open_a_plain_store_and_leaves_it_as_it_is() -> None:
    inside = MemoryKernel()
    await fill(Framing(inside))
    with pytest.raises(WrongKey, match="not encrypted"):
        await seal(inside)
    assert SCOPE not in await inside.scopes()
    await seal(inside, LAX)
    with pytest.raises(WrongKey, match="not encrypted"):
        await seal(inside)


@pytest.mark.parametrize("reverse", [False, True])
async def test_while_a_store_is_being_sealed_find_sees_old_entries_and_new_ones(reverse: bool) -> None:
    """In one order and page by page."""
    inside = MemoryKernel()
    plain = Framing(inside)
    for order in "135":
        await send(
            plain, ScopeCommit(f"s/{order}", "create", puts=(Put("k", b"1", entries=(Entry("t", "x", order),)),))
        )
    kernel = await seal(inside, LAX)
    for order in "246":
        await send(
            kernel, ScopeCommit(f"s/{order}", "create", puts=(Put("k", b"1", entries=(Entry("t", "x", order),)),))
        )
    orders: list[str] = []
    after = None
    while page := await kernel.find("t", "x", now_us=0, after=after, limit=2, reverse=reverse):
        orders += [found.order for found in page]
        after = page[-1].cursor
    assert orders == sorted("123456", reverse=reverse)
    assert await kernel.find("t", "y", now_us=0) == ()


async def test_the_scope_of_the_ring_shows_in_no_verb() -> None:
    inside = MemoryKernel()
    kernel = await seal(inside)
    assert (await kernel.scopes(), (await kernel.moved("")).scopes) == ((), ())
    for name in ("a/1", "z/1"):
        await send(kernel, ScopeCommit(name, "create", body=b"[]"))
    assert await kernel.scopes(limit=1) == ("a/1",)
    assert await kernel.scopes(limit=2) == ("a/1", "z/1")
    assert await kernel.scopes(after="a/1", limit=1) == ("z/1",)
    stats = await kernel.stats()
    assert (stats["scopes"], stats["cells"], stats["records"]) == (2, 0, 2)
    assert not [name for name in stats if name.endswith("/ring")]


async def test_a_payload_of_the_domain_fits_under_any_key_id() -> None:
    kernel = await seal(MemoryKernel(), KeyRing({"k" * 24: NEW}, active="k" * 24))
    assert kernel.traits.payload_bytes_max >= 200
    most = bytes(kernel.traits.payload_bytes_max)
    await send(kernel, ScopeCommit(A, "create", puts=(Put("k", b"1", entries=(Entry("t", "x", "1", most),)),)))
    [found] = await kernel.find("t", "x", now_us=0)
    assert found.payload == most
    [stored] = await kernel.inside.stored(A)
    assert len(stored.entries[0].payload) <= PAYLOAD_BYTES_MAX


async def test_two_openings_of_a_new_store_come_to_one_index_key() -> None:
    inside = MemoryKernel()
    one, two = await seal(inside), await seal(inside)
    await fill(one)
    assert await shown(two) == await shown(one)


SEAL = Seal(BOTH, "space")
NONCE = bytes(12)


@given(st.binary(max_size=200), st.sampled_from([AT_KEY, AT_PREFIX, AT_COMMIT]), st.data())
def test_a_frame_that_is_cut_flipped_or_swapped_never_opens(raw: bytes, kind: int, data: st.DataObject) -> None:
    place = Place(A, "value", "k")
    kept = SEAL.close(place, raw, nonce=system.random_bytes(12), kind=kind)
    assert SEAL.open(place, kept) == raw
    at = data.draw(st.integers(0, len(kept) - 1))
    flipped = kept[:at] + bytes((kept[at] ^ data.draw(st.integers(1, 255)),)) + kept[at + 1 :]
    swapped = bytearray(kept)
    swapped[-1], swapped[-2] = swapped[-2], swapped[-1]
    broken = [kept[:at], flipped, kept + b"x", bytes(swapped) if bytes(swapped) != kept else b"\x02"]
    for one in broken:
        with pytest.raises((Corrupt, WrongKey)):
            SEAL.open(place, one)
    for other in (Place(B, "value", "k"), Place(A, "value", "j"), Place(A, "body", "k"), Place(None, "value", "k")):
        with pytest.raises(Corrupt):
            SEAL.open(other, kept)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=2, max_size=2, unique=True))
def test_no_two_places_are_bound_alike(names: list[tuple[str, str]]) -> None:
    """Where a scope ends and a key begins is told by lengths, not by a character between them."""
    (scope, key), (other_scope, other_key) = names
    try:
        kept = SEAL.close(Place(scope, "value", key), b"raw", nonce=NONCE)
        other = Place(other_scope, "value", other_key)
        with pytest.raises(Corrupt):
            SEAL.open(other, kept)
    except UnicodeEncodeError:
        return


async def test_appends_of_one_prefix_keep_their_values_whatever_their_stamp() -> None:
    """Their keys are not known when they are sealed; a rekey seals them for their full keys."""
    inside = MemoryKernel()
    kernel = await seal(inside)
    await send(kernel, ScopeCommit(A, "create", appends=tuple(Append("l/", b"%d" % n) for n in range(3))))
    assert [one.cell.value for one in await kernel.stored(A)] == [b"0", b"1", b"2"]
    assert {(await inside.stored(A))[0].cell.value[0]} == {AT_PREFIX}
    moved = await seal(inside, BOTH)
    await moved.rekey()
    assert {(await inside.stored(A))[0].cell.value[0]} == {AT_KEY}
    assert [one.cell.value for one in await moved.stored(A)] == [b"0", b"1", b"2"]


async def test_no_nonce_is_used_twice() -> None:
    inside = MemoryKernel()
    kernel = await seal(inside)
    for _ in range(20):
        await fill_again(kernel)
    frames = [one.cell.value for one in await inside.stored(A)]
    frames += [part for record in await inside.log(A) for part in (record.body, record.cause)]
    values = [frame[5:17] for frame in frames if frame]
    own = {record.body[5:17] for record in await inside.log(A)}
    assert len(set(values)) == len(values) - len(own)  # a cause has its body's nonce, under another key


async def fill_again(kernel: Framing) -> None:
    puts = tuple(Put(f"k{system.random_bytes(4).hex()}", b"1") for _ in range(5))
    await send(kernel, ScopeCommit(A, "create", puts=puts, body=b"[1]"), cause=b"{}")


async def test_a_signal_is_sealed_on_its_way_and_heard_only_by_who_has_the_key() -> None:
    """G22: what listens on the kernel inside sees a frame; a listener without the key hears nothing."""
    inside = MemoryKernel()
    kernel = await seal(inside)
    heard: list[tuple[str, bytes]] = []
    seen: list[bytes] = []
    ends = [kernel.listen(lambda *told: heard.append(told)), inside.listen(lambda _, kept: seen.append(kept))]
    await kernel.signal("session/a", b"a secret token")
    await inside.signal("session/a", b"plain, and not from one of us")
    await inside.signal("session/b", seen[0])
    assert heard == [("session/a", b"a secret token")]
    assert b"secret" not in seen[0]
    for end in ends:
        end()
    with pytest.raises(TooLarge):
        await kernel.signal("session/a", bytes(kernel.traits.signal_bytes_max + 1))
