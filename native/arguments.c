// Reading ordinary JavaScript arguments. Each reader returns false for a wrong type or range; the caller answers
// -EINVAL. Nothing here throws.
#include "native.h"

bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  return napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok && given >= count;
}

bool read_int(napi_env env, napi_value value, int32_t *out) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return false;
  if (!(number >= -2147483648.0 && number <= 2147483647.0)) return false;
  *out = (int32_t)number;
  return (double)*out == number;
}

static bool read_typed(napi_env env, napi_value value, napi_typedarray_type wanted, void **data, size_t *length) {
  bool is_typed = false;
  if (napi_is_typedarray(env, value, &is_typed) != napi_ok || !is_typed) return false;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, length, data, NULL, NULL) != napi_ok) return false;
  return type == wanted && (*data != NULL || *length == 0);
}

bool read_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length) {
  return read_typed(env, value, napi_uint8_array, (void **)data, length);
}

bool read_ints(napi_env env, napi_value value, int32_t **data, size_t *length) {
  return read_typed(env, value, napi_int32_array, (void **)data, length);
}

napi_value make_int(napi_env env, int32_t value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}
