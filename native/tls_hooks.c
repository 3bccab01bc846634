// What OpenSSL calls back during a session: messages seen, the pause at the ClientHello, ALPN, the OCSP staple, tickets
// received in the client role. Each only copies a fact or hands over what TypeScript has chosen before.
#include "tls.h"

#include <openssl/tls1.h>
#include <string.h>

uint8_t *tls_hello_room = NULL;
int32_t tls_hello_room_length = 0;
int32_t tls_hello_length = 0;

// A handshake message of an open session (KeyUpdate, renegotiation) costs us work or an answer: TLS 1.3 sets no limit.
static void count_handshake_message(tls_session *session) {
  uint32_t second = (uint32_t)(clock_words[0] / 1e6);
  if (second != session->second) {
    session->second = second;
    session->handshake_messages = 0;
  }
  if (++session->handshake_messages > session->handshake_messages_max) session->cause = TLS_CAUSE_FLOOD;
}

static void take_hello(const uint8_t *data, size_t length) {
  tls_hello_length = (int32_t)length;
  if (tls_hello_room == NULL || (int64_t)length > tls_hello_room_length) return;
  memcpy(tls_hello_room, data, length);
}

void tls_on_message(int is_write, int version, int type, const void *data, size_t length, SSL *ssl, void *argument) {
  if (type != SSL3_RT_HANDSHAKE && type != SSL3_RT_ALERT) return;
  const uint8_t *bytes = data;
  tls_session *session = tls_session_of(ssl);
  if (type == SSL3_RT_ALERT) {
    if (length < 2) return;
    if (is_write) session->alert_sent = bytes[1];
    else session->alert_received = bytes[1];
    return;
  }
  if (is_write || length == 0) return;
  if (session->state == TLS_ESTABLISHED) count_handshake_message(session);
  else if (session->state == TLS_HELLO_AWAITED && bytes[0] == SSL3_MT_CLIENT_HELLO) take_hello(bytes, length);
}

int tls_on_client_hello(SSL *ssl, int *alert, void *argument) {
  tls_session *session = tls_session_of(ssl);
  if (session->refusal >= 0) {
    *alert = session->refusal;
    return SSL_CLIENT_HELLO_ERROR;
  }
  // Again after a HelloRetryRequest: the choice stands.
  if (session->state == TLS_HELLO_CHOSEN) return SSL_CLIENT_HELLO_SUCCESS;
  if (SSL_client_hello_isv2(ssl)) {
    *alert = SSL_AD_PROTOCOL_VERSION;
    session->cause = TLS_CAUSE_PEER_INCOMPATIBLE;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (tls_hello_length > tls_hello_room_length) {
    *alert = SSL_AD_DECODE_ERROR;
    session->cause = TLS_CAUSE_INVALID_MESSAGE;
    return SSL_CLIENT_HELLO_ERROR;
  }
  session->state = TLS_HELLO_PAUSED;
  return SSL_CLIENT_HELLO_RETRY;
}

static const unsigned char alpn_http11[] = "http/1.1";
static const unsigned char alpn_h2[] = "h2";

int tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                unsigned int in_length, void *argument) {
  uint8_t alpn = tls_session_of(ssl)->alpn;
  if (alpn != TLS_ALPN_HTTP11 && alpn != TLS_ALPN_H2) return SSL_TLSEXT_ERR_NOACK;
  *out = alpn == TLS_ALPN_H2 ? alpn_h2 : alpn_http11;
  *out_length = alpn == TLS_ALPN_H2 ? sizeof alpn_h2 - 1 : sizeof alpn_http11 - 1;
  return SSL_TLSEXT_ERR_OK;
}

int tls_on_status(SSL *ssl, void *argument) {
  const tls_session *session = tls_session_of(ssl);
  const tls_identity *identity = tls_table_get(&tls_identities, session->identities[0]);
  if (identity == NULL || SSL_get_certificate(ssl) != identity->certificate) {
    identity = tls_table_get(&tls_identities, session->identities[1]);
  }
  if (identity == NULL || SSL_get_certificate(ssl) != identity->certificate) return SSL_TLSEXT_ERR_NOACK;
  if (identity->staple == NULL) return SSL_TLSEXT_ERR_NOACK;
  uint8_t *copy = OPENSSL_memdup(identity->staple, identity->staple_length);
  if (copy == NULL) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)identity->staple_length);
  return SSL_TLSEXT_ERR_OK;
}

/** Keeps a copy: OpenSSL spoils the session of a connection that ends without close_notify. */
void tls_keep_ticket(SSL_SESSION **place, const SSL_SESSION *ticket) {
  SSL_SESSION *copy = SSL_SESSION_dup(ticket);
  if (copy == NULL) return;
  SSL_SESSION_free(*place);
  *place = copy;
}

/** 0: the reference to the session stays OpenSSL's. */
int tls_on_new_session(SSL *ssl, SSL_SESSION *ticket) {
  SSL_SESSION **place = tls_table_get(&tls_resumptions, tls_session_of(ssl)->resumption);
  if (place != NULL) tls_keep_ticket(place, ticket);
  return 0;
}
