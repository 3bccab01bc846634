{
  "targets": [
    {
      "target_name": "sozu_native",
      "sources": [
        "addon.c",
        "arguments.c",
        "batches.c",
        "bridge.c",
        "epoll.c",
        "fdpass.c",
        "memory.c",
        "process.c",
        "registers.c",
        "sandbox.c",
        "sockets.c",
        "tls_bio.c",
        "tls_causes.c",
        "tls_contexts.c",
        "tls_data.c",
        "tls_facts.c",
        "tls_hooks.c",
        "tls_identities.c",
        "tls_sessions.c",
        "tls_table.c",
        "tls_tickets.c"
      ],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags!": ["-fno-strict-aliasing"],
      "cflags_c": ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fvisibility=hidden"]
    }
  ]
}
