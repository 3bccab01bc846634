// The bridge between Node's libuv loop and an epoll set of ours: uv_poll watches the epoll descriptor and calls a
// JavaScript function whenever it is readable. The call goes through napi_make_callback inside a handle scope; what it
// throws is taken and ends in napi_fatal_exception, so that one throw neither wedges the loop nor starves promises.
#include "native.h"

#include <stdlib.h>
#include <uv.h>

typedef struct bridge {
  uv_poll_t handle;
  napi_env env;
  napi_ref callback;
  napi_ref receiver;
  napi_async_cleanup_hook_handle hook;
  struct bridge *next;
  int epoll;
} bridge;

static bridge *bridges;

static void on_ready(uv_poll_t *handle, int status, int events) {
  bridge *self = handle->data;
  napi_env env = self->env;
  napi_handle_scope scope;
  napi_value receiver, callback, result;
  if (self->callback == NULL || napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, self->receiver, &receiver) == napi_ok &&
      napi_get_reference_value(env, self->callback, &callback) == napi_ok) {
    napi_make_callback(env, NULL, receiver, callback, 0, NULL, &result);
    bool pending = false;
    napi_value error;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env, &error) == napi_ok) {
      napi_fatal_exception(env, error);
    }
  }
  napi_close_handle_scope(env, scope);
}

static void on_closed(uv_handle_t *handle) {
  bridge *self = handle->data;
  if (self->hook != NULL) napi_remove_async_cleanup_hook(self->hook);
  free(self);
}

static void end_bridge(bridge *self) {
  for (bridge **link = &bridges; *link != NULL; link = &(*link)->next) {
    if (*link == self) {
      *link = self->next;
      break;
    }
  }
  uv_poll_stop(&self->handle);
  if (self->callback != NULL) napi_delete_reference(self->env, self->callback);
  if (self->receiver != NULL) napi_delete_reference(self->env, self->receiver);
  self->callback = NULL;
  self->receiver = NULL;
  if (!uv_is_closing((uv_handle_t *)&self->handle)) uv_close((uv_handle_t *)&self->handle, on_closed);
}

static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  bridge *self = data;
  if (!uv_is_closing((uv_handle_t *)&self->handle)) end_bridge(self);
}

static bridge *find_bridge(int epoll) {
  for (bridge *self = bridges; self != NULL; self = self->next) {
    if (self->epoll == epoll) return self;
  }
  return NULL;
}

static int start(napi_env env, int epoll, napi_value receiver, napi_value callback) {
  if (find_bridge(epoll) != NULL) return -EEXIST;
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOSYS;
  bridge *self = calloc(1, sizeof *self);
  if (self == NULL) return -ENOMEM;
  self->env = env;
  self->epoll = epoll;
  int result = uv_poll_init(loop, &self->handle, epoll);
  if (result < 0) {
    free(self);
    return result;
  }
  self->handle.data = self;
  self->next = bridges;
  bridges = self;
  if (napi_create_reference(env, receiver, 1, &self->receiver) != napi_ok ||
      napi_create_reference(env, callback, 1, &self->callback) != napi_ok ||
      napi_add_async_cleanup_hook(env, on_environment_end, self, &self->hook) != napi_ok) {
    end_bridge(self);
    return -ENOMEM;
  }
  result = uv_poll_start(&self->handle, UV_READABLE, on_ready);
  if (result < 0) end_bridge(self);
  return result;
}

// (epoll, receiver object, function)
VALUE_CALL(start_bridge) {
  napi_value values[3];
  int32_t epoll;
  napi_valuetype receiver, callback;
  if (!read_arguments(env, info, 3, values) || !read_int(env, values[0], &epoll)) return make_int(env, -EINVAL);
  if (napi_typeof(env, values[1], &receiver) != napi_ok || receiver != napi_object) return make_int(env, -EINVAL);
  if (napi_typeof(env, values[2], &callback) != napi_ok || callback != napi_function) return make_int(env, -EINVAL);
  return make_int(env, start(env, epoll, values[1], values[2]));
}

REGISTER_CALL(stop_bridge) {
  bridge *self = find_bridge(regs[REG_A]);
  regs[REG_RESULT] = self == NULL ? -ENOENT : 0;
  if (self != NULL) end_bridge(self);
  return NULL;
}

const native_function bridge_functions[] = {
    {"startBridge", start_bridge},
    {"stopBridge", stop_bridge},
    END_OF_FUNCTIONS,
};
