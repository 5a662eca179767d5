"""A simulated exchange in a process of its own, and the adapter that trades on it.

matching  what the exchange decides: pure values          server   HTTP and WebSocket round it
log       its durable memory                              process  starts and stops it
codec     its JSON                                        client   the broker port over HTTP and WebSocket
"""
