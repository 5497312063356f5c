"""Two people edit one document. Whoever saves second is told, looks at what changed, and saves again."""

import asyncio

from holdfast import Conflict, Holdfast, Scope, State


async def edit(document: State, old: str, new: str, *, version: int) -> int:
    """Save an edit of the text as it was at that version; on conflict redo it on what is there now."""
    text = await document.get("text", str)
    assert text is not None
    while True:
        try:
            return await document.set("text", text.replace(old, new), if_version=version)
        except Conflict as conflict:
            newest = conflict.found.version
        [past] = (await document.history("text", limit=1)).items
        print(f"  version {version} is stale; {past.by} wrote {past.value!r}")
        assert past.version == newest
        text, version = past.value, newest


async def main() -> None:
    async with Holdfast.open("memory://") as hold:
        document = hold.state(Scope.global_("documents"), namespace="letter")
        version = await document.set("text", "Dear friends, the cat sat.", if_version=0)
        print(f"Written, at version {version}.")
        try:
            await document.set("text", "Mine!", if_version=0)
            raise AssertionError("0 means: it must not exist")
        except Conflict:
            print("It cannot be made twice.")

        # Both have read the same version.
        with hold.acting(by="ada"):
            await edit(document, "cat", "dog", version=version)
        with hold.acting(by="bo"):
            await edit(document, "friends", "colleagues", version=version)

        assert await document.get("text") == "Dear colleagues, the dog sat."
        history = await document.history("text")
        for past in reversed(history.items):
            print(f"  {past.version}: {past.value!r} by {past.by}")
        assert [past.by for past in history.items] == ["bo", "ada", None]


if __name__ == "__main__":
    asyncio.run(main())
