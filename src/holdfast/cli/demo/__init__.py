"""The demo: real work on real files, killed on purpose, and proved.

A worker counts every file under a folder, one transaction each, in a process that is killed twice with SIGKILL; a
follower in another process follows every change and is cut off once. Then three figures are proved from the store.

    files, count    what the work is; they know no store
    ledger          how the work is kept, and why each file counts once
    worker          a process: does the work                 ┐ they hear from the
    follower        a process: follows every change          ┘ conductor by a leash
    lock            one demo of a folder at a time in a store; they hold it together
    script          when who is killed
    conductor       starts, kills and resumes them; sees the work through watch
    proof           the three figures; report prints them

Only the public surface of Holdfast is used.
"""
