// Facts of a session after its handshake: numbers in the registers, bytes of the peer's certificate in the arena.
#include "tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

enum { UNKNOWN_GROUP = 0x1000000 };

/** The number of the group in the registry of TLS, 0 when there was no key exchange. */
static int32_t group_of(SSL *ssl) {
  int nid = (int)SSL_get_negotiated_group(ssl);
  switch (nid) {
    case NID_X9_62_prime256v1:
      return 23;
    case NID_secp384r1:
      return 24;
    case NID_secp521r1:
      return 25;
    case NID_X25519:
      return 29;
    case NID_X448:
      return 30;
    default:
      return (nid & UNKNOWN_GROUP) != 0 ? nid & 0xffff : 0;
  }
}

static int32_t alpn_of(const SSL *ssl) {
  const unsigned char *name;
  unsigned int length;
  SSL_get0_alpn_selected(ssl, &name, &length);
  if (length == 0) return TLS_ALPN_NONE;
  if (length == 2 && memcmp(name, "h2", 2) == 0) return TLS_ALPN_H2;
  return length == 8 && memcmp(name, "http/1.1", 8) == 0 ? TLS_ALPN_HTTP11 : TLS_ALPN_OTHER;
}

// (handle): version, cipher, group, resumed, ALPN, result of the verification, whether the peer has a certificate
REGISTER_CALL(session_facts) {
  const tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  if (session == NULL || session->state < TLS_ESTABLISHED) {
    regs[REG_RESULT] = session == NULL ? -EBADF : -ENOTCONN;
    return NULL;
  }
  SSL *ssl = session->ssl;
  const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
  int32_t *facts = regs + REG_EXTRA;
  facts[0] = SSL_version(ssl);
  facts[1] = cipher == NULL ? 0 : SSL_CIPHER_get_protocol_id(cipher);
  facts[2] = group_of(ssl);
  facts[3] = SSL_session_reused(ssl);
  facts[4] = alpn_of(ssl);
  facts[5] = (int32_t)SSL_get_verify_result(ssl);
  facts[6] = SSL_get0_peer_certificate(ssl) != NULL;
  regs[REG_RESULT] = 0;
  return NULL;
}

enum { PEER_SUBJECT, PEER_ISSUER, PEER_FINGERPRINT, PEER_SERIAL, PEER_DER, PEER_PEM };

static bool print_name(BIO *out, X509_NAME *name) { return X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0; }

static bool print_fact(BIO *out, X509 *certificate, int32_t kind) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int length;
  switch (kind) {
    case PEER_SUBJECT:
      return print_name(out, X509_get_subject_name(certificate));
    case PEER_ISSUER:
      return print_name(out, X509_get_issuer_name(certificate));
    case PEER_FINGERPRINT:
      if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1) return false;
      return BIO_write(out, digest, (int)length) == (int)length;
    case PEER_SERIAL:
      return i2a_ASN1_INTEGER(out, X509_get0_serialNumber(certificate)) > 0;
    case PEER_DER:
      return i2d_X509_bio(out, certificate) == 1;
    default:
      return PEM_write_bio_X509(out, certificate) == 1;
  }
}

// (handle, kind, offset, length): bytes of a fact; -ENOENT without a certificate, -ENOBUFS when they do not fit
REGISTER_CALL(peer_certificate) {
  const tls_session *session = tls_table_get(&tls_sessions, regs[REG_A]);
  uint8_t *data = arena_range(regs[REG_C], regs[REG_D]);
  int32_t kind = regs[REG_B];
  if (session == NULL || data == NULL || kind < PEER_SUBJECT || kind > PEER_PEM) {
    regs[REG_RESULT] = session == NULL ? -EBADF : data == NULL ? -EFAULT : -EINVAL;
    return NULL;
  }
  X509 *certificate = SSL_get0_peer_certificate(session->ssl);
  if (certificate == NULL) {
    regs[REG_RESULT] = -ENOENT;
    return NULL;
  }
  BIO *out = BIO_new(BIO_s_mem());
  char *bytes;
  long length = 0;
  bool good = out != NULL && print_fact(out, certificate, kind);
  if (good) length = BIO_get_mem_data(out, &bytes);
  if (!good || length < 0) regs[REG_RESULT] = -ENOMEM;
  else if (length > regs[REG_D]) regs[REG_RESULT] = -ENOBUFS;
  else {
    if (length > 0) memcpy(data, bytes, (size_t)length);
    regs[REG_RESULT] = (int32_t)length;
  }
  BIO_free(out);
  ERR_clear_error();
  return NULL;
}

// Live handles: contexts, identities, sessions, resumptions
REGISTER_CALL(count_handles) {
  regs[REG_EXTRA] = tls_contexts.live;
  regs[REG_EXTRA + 1] = tls_identities.live;
  regs[REG_EXTRA + 2] = tls_sessions.live;
  regs[REG_EXTRA + 3] = tls_resumptions.live;
  regs[REG_RESULT] = tls_sessions.live;
  return NULL;
}

const native_function tls_fact_functions[] = {
    {"tlsFacts", session_facts},
    {"tlsPeerCertificate", peer_certificate},
    {"tlsCountHandles", count_handles},
    END_OF_FUNCTIONS,
};
