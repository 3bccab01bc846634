// Contexts: one SSL_CTX per policy of a listener or of a backend. A session may change to another context at the pause;
// OpenSSL then carries neither versions nor verification over, so the policy is applied to the session itself.
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t base_options = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE;

static void free_context(tls_context *context) {
  if (context == NULL) return;
  SSL_CTX_free(context->ctx);
  free(context->groups);
  free(context->signature_algorithms);
  free(context);
}

// Texts come as bytes that end with NUL and hold no other.
static bool read_text(napi_env env, napi_value value, const char **text) {
  uint8_t *data;
  size_t length;
  if (!read_bytes(env, value, &data, &length) || length == 0 || data[length - 1] != 0) return false;
  *text = (const char *)data;
  return strlen(*text) == length - 1;
}

static bool refuse(const char *what) {
  tls_set_reason(what);
  return false;
}

/** Adds every certificate of a PEM bundle to the store, and its name to what a server asks for. */
static bool load_authorities(SSL_CTX *ctx, bool is_client, const uint8_t *pem, size_t length) {
  BIO *bio = BIO_new_mem_buf(pem, (int)length);
  STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
  X509_STORE *store = SSL_CTX_get_cert_store(ctx);
  int count = 0;
  bool good = bio != NULL && names != NULL;
  while (good) {
    X509 *authority = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (authority == NULL) break;
    count++;
    good = X509_STORE_add_cert(store, authority) == 1;
    X509_NAME *name = good && !is_client ? X509_NAME_dup(X509_get_subject_name(authority)) : NULL;
    if (name != NULL && sk_X509_NAME_push(names, name) == 0) X509_NAME_free(name);
    X509_free(authority);
  }
  // The end of the bundle is "no start line"; anything else is a broken block.
  unsigned long code = ERR_peek_last_error();
  if (good && count > 0 && ERR_GET_REASON(code) != PEM_R_NO_START_LINE) good = false;
  if (good && count > 0) ERR_clear_error();
  BIO_free(bio);
  if (!is_client && good && count > 0) SSL_CTX_set0_CA_list(ctx, names);
  else sk_X509_NAME_pop_free(names, X509_NAME_free);
  return good && count > 0;
}

static bool set_lists(tls_context *context, const char *ciphers, const char *suites) {
  SSL_CTX *ctx = context->ctx;
  if (ciphers[0] != 0 && SSL_CTX_set_cipher_list(ctx, ciphers) != 1) return refuse("cipher list");
  if (SSL_CTX_set_ciphersuites(ctx, suites) != 1) return refuse("TLS 1.3 cipher suites");
  if (context->groups != NULL && SSL_CTX_set1_groups_list(ctx, context->groups) != 1) return refuse("groups");
  if (context->signature_algorithms != NULL &&
      SSL_CTX_set1_sigalgs_list(ctx, context->signature_algorithms) != 1) {
    return refuse("signature algorithms");
  }
  return true;
}

static bool configure(tls_context *context, const int32_t *numbers) {
  SSL_CTX *ctx = context->ctx;
  if (SSL_CTX_set_min_proto_version(ctx, context->min_version) != 1) return refuse("lowest version");
  if (SSL_CTX_set_max_proto_version(ctx, context->max_version) != 1) return refuse("highest version");
  SSL_CTX_set_options(ctx, context->options);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_verify(ctx, context->verify_mode, NULL);
  SSL_CTX_set_num_tickets(ctx, (size_t)context->tickets);
  SSL_CTX_set_max_early_data(ctx, 0);
  SSL_CTX_set_recv_max_early_data(ctx, 0);
  SSL_CTX_set_timeout(ctx, numbers[5]);
  SSL_CTX_set_max_cert_list(ctx, 32768);
  SSL_CTX_set_msg_callback(ctx, tls_on_message);
  if (context->is_client) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_on_new_session);
  } else {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_on_ticket);
    SSL_CTX_set_client_hello_cb(ctx, tls_on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, tls_on_alpn, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, tls_on_status);
  }
  if (SSL_CTX_set_session_id_context(ctx, context->session_id_context, context->session_id_context_length) != 1) {
    return refuse("session id context");
  }
  return true;
}

static bool copy_text(char **place, const char *text) {
  if (text[0] == 0) return true;
  *place = strdup(text);
  return *place != NULL;
}

// ([client, lowest, highest, tickets, verify (0 no, 1 optional, 2 required), ticket seconds, handshake messages a second],
// ciphers, suites, groups, signature algorithms, session id context, CA bundle, ALPN list of a client in wire form):
// handle, -EPROTO with a reason, or another -errno.
VALUE_CALL(create_context) {
  napi_value values[8];
  int32_t *numbers;
  size_t count, id_length, authorities_length, alpn_length;
  const char *ciphers, *suites, *groups, *signatures;
  uint8_t *id, *authorities, *alpn;
  if (!read_arguments(env, info, 8, values)) return make_int(env, -EINVAL);
  if (!read_ints(env, values[0], &numbers, &count) || count != 7) return make_int(env, -EINVAL);
  if (!read_text(env, values[1], &ciphers) || !read_text(env, values[2], &suites)) return make_int(env, -EINVAL);
  if (!read_text(env, values[3], &groups) || !read_text(env, values[4], &signatures)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[5], &id, &id_length) || id_length > 32) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[6], &authorities, &authorities_length)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[7], &alpn, &alpn_length) || alpn_length > 255) return make_int(env, -EINVAL);
  if (authorities_length > 16777216 || numbers[3] < 0 || numbers[3] > 64 || numbers[5] < 0) return make_int(env, -EINVAL);
  if (numbers[4] < 0 || numbers[4] > 2 || numbers[6] < 1 || numbers[6] > 32767) return make_int(env, -EINVAL);

  tls_context *context = calloc(1, sizeof *context);
  if (context == NULL) return make_int(env, -ENOMEM);
  context->is_client = numbers[0] != 0;
  context->min_version = numbers[1];
  context->max_version = numbers[2];
  context->tickets = numbers[3];
  context->verify_mode = numbers[4] == 0   ? SSL_VERIFY_NONE
                         : numbers[4] == 1 ? SSL_VERIFY_PEER
                                           : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  context->options = base_options;
  if (context->tickets == 0 && !context->is_client) context->options |= SSL_OP_NO_TICKET;
  context->key_updates_per_second = numbers[6];
  memcpy(context->session_id_context, id, id_length);
  context->session_id_context_length = (uint8_t)id_length;
  ERR_clear_error();
  context->ctx = SSL_CTX_new(context->is_client ? TLS_client_method() : TLS_server_method());
  bool good = context->ctx != NULL && copy_text(&context->groups, groups) &&
              copy_text(&context->signature_algorithms, signatures);
  if (!good) {
    free_context(context);
    ERR_clear_error();
    return make_int(env, -ENOMEM);
  }
  good = configure(context, numbers) && set_lists(context, ciphers, suites);
  if (good && authorities_length > 0 &&
      !load_authorities(context->ctx, context->is_client, authorities, authorities_length)) {
    good = refuse("certificate authorities");
  }
  if (good && alpn_length > 0 && SSL_CTX_set_alpn_protos(context->ctx, alpn, (unsigned)alpn_length) != 0) {
    good = refuse("ALPN protocols");
  }
  if (!good) {
    free_context(context);
    return make_int(env, -EPROTO);
  }
  int32_t handle = tls_table_add(&tls_contexts, context);
  if (handle < 0) free_context(context);
  return make_int(env, handle);
}

// (handle): sessions made with it go on.
REGISTER_CALL(destroy_context) {
  tls_context *context = tls_table_remove(&tls_contexts, regs[REG_A]);
  free_context(context);
  regs[REG_RESULT] = context == NULL ? -EBADF : 0;
  return NULL;
}

/** Moves a session that is paused at its ClientHello to another context. */
bool tls_apply_context(SSL *ssl, const tls_context *context) {
  if (SSL_get_SSL_CTX(ssl) == context->ctx) return true;
  if (SSL_set_SSL_CTX(ssl, context->ctx) == NULL) return false;
  SSL_clear_options(ssl, SSL_OP_NO_TICKET);
  SSL_set_options(ssl, context->options);
  SSL_set_verify(ssl, context->verify_mode, NULL);
  if (SSL_set_num_tickets(ssl, (size_t)context->tickets) != 1) return false;
  if (SSL_set_min_proto_version(ssl, context->min_version) != 1) return false;
  if (SSL_set_max_proto_version(ssl, context->max_version) != 1) return false;
  if (context->groups != NULL && SSL_set1_groups_list(ssl, context->groups) != 1) return false;
  if (context->signature_algorithms != NULL && SSL_set1_sigalgs_list(ssl, context->signature_algorithms) != 1) return false;
  return SSL_set_session_id_context(ssl, context->session_id_context, context->session_id_context_length) == 1;
}

// (bytes): why the last context or identity was refused; the length.
VALUE_CALL(last_reason) {
  napi_value value;
  uint8_t *data;
  size_t length;
  if (!read_arguments(env, info, 1, &value) || !read_bytes(env, value, &data, &length)) return make_int(env, -EINVAL);
  return make_int(env, (int32_t)tls_copy_reason(data, length));
}

const native_function tls_context_functions[] = {
    {"tlsCreateContext", create_context},
    {"tlsDestroyContext", destroy_context},
    {"tlsLastReason", last_reason},
    END_OF_FUNCTIONS,
};
