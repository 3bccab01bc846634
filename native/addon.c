// Entry of the addon: exports the functions of all tables. State is global, for the hot calls: the addon belongs to one
// JavaScript environment of the process, and a second one (a worker thread) is refused with a message.
#include "native.h"
#include "tls.h"

#include <stdatomic.h>

static atomic_int environments;

static void on_environment_end(void *data) { atomic_store(&environments, 0); }

static bool export_functions(napi_env env, napi_value exports, const native_function *functions) {
  for (const native_function *entry = functions; entry->name != NULL; entry++) {
    napi_value value;
    if (napi_create_function(env, entry->name, NAPI_AUTO_LENGTH, entry->call, NULL, &value) != napi_ok) return false;
    if (napi_set_named_property(env, exports, entry->name, value) != napi_ok) return false;
  }
  return true;
}

NAPI_MODULE_INIT() {
  if (atomic_exchange(&environments, 1) != 0) {
    napi_throw_error(env, NULL, "the native layer of sozu can be used by one thread of a process only");
    return NULL;
  }
  napi_add_env_cleanup_hook(env, on_environment_end, NULL);
  const native_function *tables[] = {batch_functions,   bridge_functions,   epoll_functions,  fdpass_functions, memory_functions,
                                     process_functions, register_functions, sandbox_functions, socket_functions,
                                     tls_context_functions, tls_data_functions, tls_fact_functions,
                                     tls_identity_functions, tls_session_functions, tls_ticket_functions};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    if (!export_functions(env, exports, tables[i])) return NULL;
  }
  return exports;
}
