"""Everything that speaks with TrueNAS; it knows nothing of Borg.

address.py      where TrueNAS is, from whatever the user wrote         (pure)
rpc.py          JSON-RPC 2.0 as TrueNAS speaks it: frames in and out   (pure)
errors.py       what can go wrong, and what to do then: one table      (pure)
alerts.py       our alerts as TrueNAS' classes, keys and texts         (pure)
trust.py        which certificate is trusted                           (pure but for reading a CA file)
credentials.py  the one place that lets the API key out
connection.py   one connection: TLS, WebSocket, calls, events          (edge)
session.py      options, login, rights, classes on one connection
client.py       a session that is kept up
delivery.py     an alert raised, read back, cleared
simulator/      a TrueNAS that answers like the releases, for the demo and the tests
"""
