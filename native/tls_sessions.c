// Sessions: made for a connected socket, handshake with its pause at the ClientHello, what TypeScript chose there, end.
#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

// Results of a handshake step; src/os/tls.ts has the same numbers.
enum { HANDSHAKE_DONE, HANDSHAKE_READ, HANDSHAKE_WRITE, HANDSHAKE_HELLO, HANDSHAKE_FAILED };

static void free_session(tls_session *session) {
  // Without this OpenSSL takes the end of the session for an accident and spoils the tickets that it was given.
  if (session->state == TLS_ESTABLISHED) SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(session->ssl);
  free(session->ahead);
  free(session->pending);
  free(session);
}

static tls_session *new_session(const tls_context *context, int32_t fd) {
  tls_session *session = calloc(1, sizeof *session);
  if (session == NULL) return NULL;
  session->fd = fd;
  session->identities[0] = session->identities[1] = session->resumption = -1;
  session->alert_sent = session->alert_received = session->refusal = -1;
  session->is_client = context->is_client;
  session->handshake_messages_max = (int16_t)context->key_updates_per_second;
  session->ssl = SSL_new(context->ctx);
  BIO *bio = session->ssl == NULL ? NULL : tls_bio_new(session);
  if (bio == NULL) {
    SSL_free(session->ssl);
    free(session);
    ERR_clear_error();
    return NULL;
  }
  SSL_set_bio(session->ssl, bio, bio);
  return session;
}

static int32_t add_session(tls_session *session) {
  int32_t handle = tls_table_add(&tls_sessions, session);
  if (handle < 0) free_session(session);
  return handle;
}

// (fd, context, offset, length): a session in the server role; the range of the arena holds what was already read.
REGISTER_CALL(accept_session) {
  const tls_context *context = tls_table_get(&tls_contexts, regs[REG_B]);
  const uint8_t *ahead = arena_range(regs[REG_C], regs[REG_D]);
  uint32_t length = (uint32_t)regs[REG_D];
  if (context == NULL || context->is_client || ahead == NULL || length > TLS_AHEAD_MAX) {
    regs[REG_RESULT] = context == NULL ? -EBADF : ahead == NULL ? -EFAULT : -EINVAL;
    return NULL;
  }
  tls_session *session = new_session(context, regs[REG_A]);
  if (session != NULL && length > 0) session->ahead = malloc(length);
  if (session == NULL || (length > 0 && session->ahead == NULL)) {
    if (session != NULL) free_session(session);
    regs[REG_RESULT] = -ENOMEM;
    return NULL;
  }
  if (length > 0) memcpy(session->ahead, ahead, length);
  session->ahead_end = length;
  SSL_set_accept_state(session->ssl);
  regs[REG_RESULT] = add_session(session);
  return NULL;
}

static bool expect_host(SSL *ssl, const char *host) {
  X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1) return true;
  ERR_clear_error();
  return SSL_set1_host(ssl, host) == 1;
}

static bool prepare_client(tls_session *session, int32_t identity, const char *name, const char *host) {
  SSL *ssl = session->ssl;
  session->state = TLS_HELLO_CHOSEN;
  if (name[0] != 0 && SSL_set_tlsext_host_name(ssl, name) != 1) return false;
  if (host[0] != 0 && !expect_host(ssl, host)) return false;
  if (identity >= 0 && !tls_apply_identity(ssl, tls_table_get(&tls_identities, identity))) return false;
  SSL_SESSION **ticket = tls_table_get(&tls_resumptions, session->resumption);
  if (ticket != NULL && *ticket != NULL && SSL_SESSION_is_resumable(*ticket)) {
    SSL_SESSION *copy = SSL_SESSION_dup(*ticket);
    SSL_set_session(ssl, copy);
    SSL_SESSION_free(copy);
  }
  SSL_set_connect_state(ssl);
  return true;
}

// ([fd, context, identity or -1, resumption or -1], server name, name or address to verify): a session in the client role.
// Both texts end with NUL; empty: none.
VALUE_CALL(connect_session) {
  napi_value values[3];
  int32_t *numbers;
  uint8_t *name, *host;
  size_t count, name_length, host_length;
  if (!read_arguments(env, info, 3, values)) return make_int(env, -EINVAL);
  if (!read_ints(env, values[0], &numbers, &count) || count != 4) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[1], &name, &name_length) || !read_bytes(env, values[2], &host, &host_length)) {
    return make_int(env, -EINVAL);
  }
  if (name_length == 0 || name_length > 256 || strnlen((char *)name, name_length) != name_length - 1 ||
      host_length == 0 || host_length > 256 || strnlen((char *)host, host_length) != host_length - 1) {
    return make_int(env, -EINVAL);
  }
  const tls_context *context = tls_table_get(&tls_contexts, numbers[1]);
  if (context == NULL) return make_int(env, -EBADF);
  if (numbers[2] != -1 && tls_table_get(&tls_identities, numbers[2]) == NULL) return make_int(env, -EBADF);
  if (numbers[3] != -1 && tls_table_get(&tls_resumptions, numbers[3]) == NULL) return make_int(env, -EBADF);
  if (!context->is_client) return make_int(env, -EINVAL);
  tls_session *session = new_session(context, numbers[0]);
  if (session == NULL) return make_int(env, -ENOMEM);
  session->resumption = numbers[3];
  if (!prepare_client(session, numbers[2], (char *)name, (char *)host)) {
    tls_set_reason("client session");
    free_session(session);
    return make_int(env, -EPROTO);
  }
  ERR_clear_error();
  return make_int(env, add_session(session));
}

// OpenSSL does not report a ticket that came with a resumption of TLS 1.2.
static void keep_renewed_ticket(tls_session *session) {
  SSL_SESSION **place = tls_table_get(&tls_resumptions, session->resumption);
  if (place == NULL || SSL_version(session->ssl) >= TLS1_3_VERSION || !SSL_session_reused(session->ssl)) return;
  tls_keep_ticket(place, SSL_get0_session(session->ssl));
}

static int32_t step(tls_session *session) {
  SSL *ssl = session->ssl;
  session->blocked = session->drained = session->may_stop_early = false;
  int result = SSL_do_handshake(ssl);
  if (result == 1) {
    session->state = TLS_ESTABLISHED;
    session->handshake_messages = 0;
    if (session->resumption >= 0) keep_renewed_ticket(session);
    return HANDSHAKE_DONE;
  }
  int want = SSL_want(ssl);
  if (want == SSL_CLIENT_HELLO_CB && session->state == TLS_HELLO_PAUSED) return HANDSHAKE_HELLO;
  if (want == SSL_READING && session->blocked) return HANDSHAKE_READ;
  if (want == SSL_WRITING && session->error == 0 && session->pending != NULL) return HANDSHAKE_WRITE;
  tls_note_failure(session);
  return HANDSHAKE_FAILED;
}

// The last message of a TLS 1.3 handshake is the client's: what a server has to say after it are tickets.
static bool has_only_tickets(const tls_session *session) {
  return !session->is_client && session->pending == NULL && tls_output_end > 0 && tls_output_end <= TLS_LAZY_MAX &&
         SSL_version(session->ssl) == TLS1_3_VERSION;
}

static int32_t handshake(tls_session *session) {
  int32_t result = HANDSHAKE_DONE;
  if (session->state == TLS_BROKEN) result = HANDSHAKE_FAILED;
  else if (session->state == TLS_HELLO_PAUSED) result = HANDSHAKE_HELLO;
  else if (session->state != TLS_ESTABLISHED) {
    result = step(session);
    tls_keep_input(session);
    if (result == HANDSHAKE_DONE && has_only_tickets(session)) tls_keep_tickets(session);
  }
  if (session->has_lazy) return result;
  int32_t sent = session->pending == NULL && tls_output_end == 0 ? 0 : tls_send_output(session);
  if (result == HANDSHAKE_FAILED) return result;
  if (sent < 0) {
    tls_note_failure(session);
    return HANDSHAKE_FAILED;
  }
  return sent > 0 && result != HANDSHAKE_HELLO ? HANDSHAKE_WRITE : result;
}

// (handle, offset, length): one of the results above. HELLO: its length, the message is in the range. FAILED: see
// tls_store_failure.
REGISTER_CALL(handshake_session) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  uint8_t *room = arena_range(regs[REG_B], regs[REG_C]);
  if (session == NULL || room == NULL) {
    regs[REG_RESULT] = session == NULL ? -EBADF : -EFAULT;
    return NULL;
  }
  tls_hello_room = room;
  tls_hello_room_length = regs[REG_C];
  tls_hello_length = 0;
  int32_t result = handshake(session);
  tls_hello_room = NULL;
  regs[REG_RESULT] = result;
  if (result == HANDSHAKE_HELLO) regs[REG_EXTRA] = tls_hello_length;
  if (result == HANDSHAKE_FAILED) tls_store_failure(session);
  clock_monotonic();
  return NULL;
}

static int32_t use_identity(tls_session *session, int32_t handle) {
  const tls_identity *identity = tls_table_get(&tls_identities, handle);
  if (identity == NULL) return -EBADF;
  if (!tls_apply_identity(session->ssl, identity)) {
    tls_set_reason("identity");
    return -EPROTO;
  }
  session->identities[session->identities[0] < 0 ? 0 : 1] = handle;
  return 0;
}

// (handle, context, ALPN, identity or -1): the handshake may go on. -EPROTO: OpenSSL refuses the combination.
REGISTER_CALL(choose) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  const tls_context *context = tls_table_get(&tls_contexts, regs[REG_B]);
  int32_t result = 0;
  if (session == NULL || context == NULL) result = -EBADF;
  else if (session->state != TLS_HELLO_PAUSED || context->is_client) result = -EINVAL;
  else if (regs[REG_C] < TLS_ALPN_NONE || regs[REG_C] > TLS_ALPN_H2) result = -EINVAL;
  else if (!tls_apply_context(session->ssl, context)) {
    tls_set_reason("context");
    result = -EPROTO;
  } else if (regs[REG_D] != -1) {
    result = use_identity(session, regs[REG_D]);
  }
  if (result == 0) {
    session->alpn = (uint8_t)regs[REG_C];
    session->handshake_messages_max = (int16_t)context->key_updates_per_second;
    session->state = TLS_HELLO_CHOSEN;
  }
  regs[REG_RESULT] = result;
  return NULL;
}

// (handle, identity): one more, of another kind of key, before or after `choose`.
REGISTER_CALL(add_identity) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  if (session == NULL) regs[REG_RESULT] = -EBADF;
  else if (session->is_client || session->state > TLS_HELLO_CHOSEN) regs[REG_RESULT] = -EINVAL;
  else regs[REG_RESULT] = use_identity(session, regs[REG_B]);
  return NULL;
}

// (handle, alert): the next step of the handshake sends the alert and fails.
REGISTER_CALL(refuse) {
  tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  if (session == NULL || session->state != TLS_HELLO_PAUSED || regs[REG_B] < 0 || regs[REG_B] > 255) {
    regs[REG_RESULT] = session == NULL ? -EBADF : -EINVAL;
    return NULL;
  }
  session->refusal = (int16_t)regs[REG_B];
  session->state = TLS_HELLO_CHOSEN;
  regs[REG_RESULT] = 0;
  return NULL;
}

// (handle): nothing is sent; the descriptor stays open.
REGISTER_CALL(end_session) {
  tls_session *session = tls_table_remove(&tls_sessions, regs[REG_A]);
  if (session != NULL) free_session(session);
  regs[REG_RESULT] = session == NULL ? -EBADF : 0;
  return NULL;
}

// A place for the ticket of a backend: client sessions made with it use the last one and leave their own.
REGISTER_CALL(create_resumption) {
  SSL_SESSION **place = calloc(1, sizeof *place);
  regs[REG_RESULT] = place == NULL ? -ENOMEM : tls_table_add(&tls_resumptions, place);
  if (regs[REG_RESULT] < 0) free(place);
  return NULL;
}

REGISTER_CALL(destroy_resumption) {
  SSL_SESSION **place = tls_table_remove(&tls_resumptions, regs[REG_A]);
  if (place != NULL) SSL_SESSION_free(*place);
  free(place);
  regs[REG_RESULT] = place == NULL ? -EBADF : 0;
  return NULL;
}

const native_function tls_session_functions[] = {
    {"tlsAccept", accept_session},
    {"tlsConnect", connect_session},
    {"tlsHandshake", handshake_session},
    {"tlsChoose", choose},
    {"tlsAddIdentity", add_identity},
    {"tlsRefuse", refuse},
    {"tlsFree", end_session},
    {"tlsCreateResumption", create_resumption},
    {"tlsDestroyResumption", destroy_resumption},
    END_OF_FUNCTIONS,
};
