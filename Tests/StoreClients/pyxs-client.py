"""pyxs (https://pypi.org/project/pyxs) against the socket that the first argument names. Ends with "all steps done"."""
import errno
import sys

import pyxs

path = sys.argv[1].encode()


def refused(number, call, *arguments):
    try:
        call(*arguments)
    except pyxs.PyXSError as error:
        assert error.args[0] == number, error
    else:
        raise AssertionError("not refused")


with pyxs.Client(unix_socket_path=path) as client:
    client.write(b"/py/a", b"1")
    assert client.read(b"/py/a") == b"1"
    assert client.read(b"/py/missing", b"default") == b"default"
    refused(errno.ENOENT, client.read, b"/py/missing")
    client.mkdir(b"/py/d")
    assert sorted(client.list(b"/py")) == [b"a", b"d"]
    assert client.exists(b"/py/d") and not client.exists(b"/py/e")
    client.set_perms(b"/py/a", [b"n0", b"b5"])
    assert client.get_perms(b"/py/a") == [b"n0", b"b5"]
    client.delete(b"/py/d")
    assert client.list(b"/py") == [b"a"]
    assert client.get_domain_path(5) == b"/local/domain/5"
    assert not client.is_domain_introduced(9)
    # Releasing is refused by pyxs itself where there is no Xen, as are resuming and setting a target.
    client.introduce_domain(9, 1, 1)
    assert client.is_domain_introduced(9)

    # While a transaction is open, all that a client does is part of it.
    client.transaction()
    client.write(b"/py/t", b"1")
    with pyxs.Client(unix_socket_path=path) as other:
        assert not other.exists(b"/py/t")
        assert client.commit()
        assert other.read(b"/py/t") == b"1"
        client.transaction()
        assert client.read(b"/py/t") == b"1"
        other.write(b"/py/t", b"2")
        assert not client.commit()
    client.transaction()
    client.delete(b"/py")
    client.rollback()
    assert client.exists(b"/py")

    with client.monitor() as monitor:
        monitor.watch(b"/py/w", b"token")
        events = monitor.wait()
        assert tuple(next(events)) == (b"/py/w", b"token")
        with pyxs.Client(unix_socket_path=path) as other:
            other.write(b"/py/w/below", b"1")
        assert tuple(next(events)) == (b"/py/w/below", b"token")
        monitor.unwatch(b"/py/w", b"token")
    client.delete(b"/py")
print("all steps done")
